package api

import (
	"encoding"
	"encoding/json"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
)

var (
	timeType        = reflect.TypeFor[time.Time]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	textType        = reflect.TypeFor[encoding.TextMarshaler]()
)

// schema describes a type as encoding/json writes it. Named structs become components, so that a type that holds itself
// ends.
func (d *document) schema(t reflect.Type) *openapi3.SchemaRef {
	if t.Kind() == reflect.Pointer {
		ref := d.schema(t.Elem())
		if ref.Ref == "" {
			ref.Value.Nullable = true
		}
		return ref
	}
	inline := func(s *openapi3.Schema) *openapi3.SchemaRef { return openapi3.NewSchemaRef("", s) }
	switch {
	case t == timeType:
		return inline(openapi3.NewDateTimeSchema())
	case t == rawType:
		return inline(openapi3.NewSchema())
	case implements(t, unmarshalerType), implements(t, marshalerType):
		return inline(openapi3.NewSchema()) // its own business
	case implements(t, textType):
		return inline(openapi3.NewStringSchema())
	}
	switch t.Kind() {
	case reflect.Bool:
		return inline(openapi3.NewBoolSchema())
	case reflect.String:
		return inline(openapi3.NewStringSchema())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return inline(openapi3.NewInt64Schema())
	case reflect.Float32, reflect.Float64:
		return inline(openapi3.NewFloat64Schema())
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return inline(openapi3.NewBytesSchema())
		}
		s := openapi3.NewArraySchema()
		s.Items = d.schema(t.Elem())
		return inline(s)
	case reflect.Map:
		s := openapi3.NewObjectSchema()
		s.AdditionalProperties = openapi3.AdditionalProperties{Schema: d.schema(t.Elem())}
		return inline(s)
	case reflect.Struct:
		return d.object(t)
	}
	return inline(openapi3.NewSchema()) // any
}

func implements(t, i reflect.Type) bool { return t.Implements(i) || reflect.PointerTo(t).Implements(i) }

func (d *document) object(t reflect.Type) *openapi3.SchemaRef {
	if t.Name() == "" {
		s := openapi3.NewObjectSchema()
		d.members(s, t)
		return openapi3.NewSchemaRef("", s)
	}
	name, ok := d.names[t]
	if !ok {
		name = d.name(t)
		s := openapi3.NewObjectSchema()
		d.schemas[name] = openapi3.NewSchemaRef("", s)
		d.members(s, t)
	}
	return openapi3.NewSchemaRef("#/components/schemas/"+name, d.schemas[name].Value)
}

// name is the type's, with its package's in front where another package has a type of that name.
func (d *document) name(t reflect.Type) string {
	name := []rune(t.Name())
	name[0] = unicode.ToUpper(name[0])
	text := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			return r
		}
		return '_' // type parameters
	}, string(name))
	if other, ok := d.taken[text]; ok && other != t {
		pkg := path.Base(t.PkgPath())
		text = strings.ToUpper(pkg[:1]) + pkg[1:] + text
	}
	for n := 2; d.taken[text] != nil && d.taken[text] != t; n++ {
		text += strconv.Itoa(n)
	}
	d.taken[text], d.names[t] = t, text
	return text
}

func (d *document) members(s *openapi3.Schema, t reflect.Type) {
	if s.Properties == nil {
		s.Properties = openapi3.Schemas{}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			e := f.Type
			if e.Kind() == reflect.Pointer {
				e = e.Elem()
			}
			if e.Kind() == reflect.Struct {
				d.members(s, e)
				continue
			}
		}
		name := jsonName(f)
		if name == "" {
			continue
		}
		ref := d.schema(f.Type)
		if ref.Ref == "" {
			limit(ref.Value, f.Type, f.Tag.Get("validate"))
		}
		s.Properties[name] = ref
		for tag := range strings.SplitSeq(f.Tag.Get("validate"), ",") {
			if tag == "required" {
				s.Required = append(s.Required, name)
			}
			if tag == "dive" {
				break // what follows is about the elements
			}
		}
	}
}

// limit writes the limits of a validate tag into a schema.
func limit(s *openapi3.Schema, t reflect.Type, validate string) {
	if s == nil {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for tag := range strings.SplitSeq(validate, ",") {
		if tag == "dive" {
			return
		}
		key, value, _ := strings.Cut(tag, "=")
		n, err := strconv.ParseUint(value, 10, 63)
		switch {
		case key == "oneof":
			for v := range strings.FieldsSeq(value) {
				s.Enum = append(s.Enum, v)
			}
		case err != nil:
		case key == "max" && t.Kind() == reflect.String:
			s.MaxLength = &n
		case key == "max" && t.Kind() == reflect.Slice:
			s.MaxItems = &n
		case key == "max" && t.Kind() == reflect.Map:
			s.MaxProps = &n
		case key == "max" && (t.Kind() == reflect.Int || t.Kind() == reflect.Int64):
			f := float64(n)
			s.Max = &f
		case key == "min" && t.Kind() == reflect.String:
			s.MinLength = n
		case key == "min" && (t.Kind() == reflect.Int || t.Kind() == reflect.Int64):
			f := float64(n)
			s.Min = &f
		}
	}
}
