package rsql

import (
	"fmt"
	"slices"
	"strings"
)

// Type is the type of a field's values.
type Type int

const (
	// Text takes ==, != (with wildcards), =in= and =out=.
	Text Type = iota + 1
	// Timestamp takes every operator. Values are dates (2006-01-02) or RFC 3339 with at most six digits of fraction.
	Timestamp
	// Integer takes every operator. Values are decimal, 64 bits with sign.
	Integer
	// Boolean takes == and !=. Values are true and false.
	Boolean
	// UUID takes ==, !=, =in= and =out=, without wildcards. Values have the 36-character form.
	UUID
	// Array is a set of texts. It takes the operators of Text.
	Array
	// Object maps keys to texts. Its selector is "name.key" and takes the operators of Text; the name alone takes only
	// == and != with an empty value.
	Object
	// Search looks for a term anywhere in a row, without case. It takes only ==.
	Search
)

var textOperators = []Operator{Equal, NotEqual, In, NotIn}

// Operators lists what fields of the type take.
func (t Type) Operators() []Operator {
	switch t {
	case Timestamp, Integer:
		return append(slices.Clone(textOperators), Less, LessOrEqual, Greater, GreaterOrEqual)
	case Boolean:
		return []Operator{Equal, NotEqual}
	case Search:
		return []Operator{Equal}
	}
	return slices.Clone(textOperators)
}

// String gives the name of the type in the API: string, datetime, integer, boolean, array or object.
func (t Type) String() string {
	switch t {
	case Text, UUID, Search:
		return "string"
	case Timestamp:
		return "datetime"
	case Integer:
		return "integer"
	case Boolean:
		return "boolean"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return fmt.Sprintf("Type(%d)", int(t))
}

// Field is something a filter can name.
type Field struct {
	// Name is the selector: unquoted text without a dot.
	Name string
	Type Type
	// Operators limits what the field takes; nil means all that its type takes.
	Operators []Operator
	// PostgreSQL and SQLite say where each database keeps the field.
	PostgreSQL, SQLite Source
}

func (f *Field) source(d Dialect) Source {
	if d == PostgreSQL {
		return f.PostgreSQL
	}
	return f.SQLite
}

// Fields is a table of fields, safe for concurrent use.
type Fields struct {
	list   []Field
	byName map[string]*Field
}

// NewFields checks a table of fields: names are unique and can be written in a filter, types take the operators, and
// each database has a source that can hold the type.
func NewFields(list ...Field) (*Fields, error) {
	fields := &Fields{list: slices.Clone(list), byName: make(map[string]*Field, len(list))}
	for i := range fields.list {
		field := &fields.list[i]
		if field.Name == "" || strings.Contains(field.Name, ".") || strings.ContainsFunc(field.Name, isReserved) {
			return nil, fmt.Errorf("field name %q cannot be written in a filter", field.Name)
		}
		if fields.byName[field.Name] != nil {
			return nil, fmt.Errorf("field %s is there twice", field.Name)
		}
		if field.Type < Text || field.Type > Search {
			return nil, fmt.Errorf("field %s has no type", field.Name)
		}
		allowed := field.Type.Operators()
		if field.Operators == nil {
			field.Operators = allowed
		}
		for _, operator := range field.Operators {
			if !slices.Contains(allowed, operator) {
				return nil, fmt.Errorf("field %s: operator %s does not fit type %s", field.Name, operator, field.Type)
			}
		}
		for _, d := range []Dialect{PostgreSQL, SQLite} {
			if source := field.source(d); source == nil || !source.holds(field.Type, d) {
				return nil, fmt.Errorf("field %s: source %T cannot hold type %s on %s", field.Name, source, field.Type, d)
			}
		}
		fields.byName[field.Name] = field
	}
	return fields, nil
}

// All gives the fields in the order of the table.
func (f *Fields) All() []Field { return slices.Clone(f.list) }

// find resolves a selector to its field and, for an object, the key. Keys may hold dots: only the first one separates.
func (f *Fields) find(c *Comparison) (field *Field, key string, hasKey bool, err error) {
	if field = f.byName[c.Field]; field != nil {
		return field, "", false, nil
	}
	name, key, _ := strings.Cut(c.Field, ".")
	if field = f.byName[name]; field != nil && field.Type == Object && key != "" {
		return field, key, true, nil
	}
	var known []string
	for _, field := range f.list {
		if field.Type == Object {
			known = append(known, field.Name+".<key>")
		} else {
			known = append(known, field.Name)
		}
	}
	return nil, "", false, &Error{Code: CodeUnknownField, Position: c.Position, Expected: known,
		Detail: "unknown field " + excerpt(c.Field)}
}
