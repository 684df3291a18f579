package api

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// place says where a field of a request struct is read from.
type place int

const (
	inPath place = iota
	inQuery
	inHeader
	inBody
)

// field is one field of a request struct, as its tags describe it.
type field struct {
	in     place
	name   string
	goName string
	index  []int
	typ    reflect.Type
	body   string // json, raw
	// validate is the field's tag, for the document.
	validate string
}

// shape is what reflection finds out about a handler's request and result, once at start.
type shape struct {
	request reflect.Type
	result  reflect.Type
	fields  []field
	body    *field
	stream  bool
}

func (s *shape) hasPath(name string) bool {
	for _, f := range s.fields {
		if f.in == inPath && f.name == name {
			return true
		}
	}
	return false
}

// shapeOf reads the tags of a request struct:
//
//	Project string   `path:"project"`       a path parameter, decoded
//	Full    string   `query:"full"`         a query parameter: string, bool, int, []string, or a pointer to one
//	Accept  string   `header:"Accept"`      a header
//	Body    Build    `body:"json"`          the body as JSON; a pointer means that it may be absent
//	Body    []byte   `body:"raw"`           the body's bytes, within the row's limit
//
// Embedded structs are read too. A tag on a type that cannot hold it is a mistake of ours and panics at start.
func shapeOf(req, res reflect.Type) *shape {
	s := &shape{request: req, result: res}
	if req.Kind() != reflect.Struct {
		panic(fmt.Sprintf("api: request type %s is not a struct", req))
	}
	s.walk(req, nil)
	return s
}

func (s *shape) walk(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int{}, at...), i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			s.walk(f.Type, index)
			continue
		}
		for tag, in := range map[string]place{"path": inPath, "query": inQuery, "header": inHeader, "body": inBody} {
			name, ok := f.Tag.Lookup(tag)
			if !ok {
				continue
			}
			fd := field{in: in, name: name, goName: f.Name, index: index, typ: f.Type, validate: f.Tag.Get("validate")}
			if in == inBody {
				if name != "json" && name != "raw" {
					panic(fmt.Sprintf("api: %s.%s: body:%q is neither json nor raw", t, f.Name, name))
				}
				fd.body = name
				s.body = &fd
				continue
			}
			if err := setText(reflect.New(f.Type).Elem(), []string{"1"}); err != nil {
				panic(fmt.Sprintf("api: %s.%s: a parameter cannot be of type %s", t, f.Name, f.Type))
			}
			s.fields = append(s.fields, fd)
		}
	}
}

// setText puts a parameter's text into a field. The error says what was expected, for people.
func setText(v reflect.Value, texts []string) error {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if err := setText(p.Elem(), texts); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	text := texts[0]
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("expected true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("expected a whole number")
		}
		v.SetInt(n)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.String {
			return fmt.Errorf("unsupported type %s", v.Type())
		}
		v.Set(reflect.ValueOf(append([]string{}, texts...)).Convert(v.Type()))
	default:
		return fmt.Errorf("unsupported type %s", v.Type())
	}
	return nil
}

// jsonName gives the member name that encoding/json uses for a struct field, or "" for one it skips.
func jsonName(f reflect.StructField) string {
	tag := f.Tag.Get("json")
	if tag == "-" || !f.IsExported() {
		return ""
	}
	name, _, _ := strings.Cut(tag, ",")
	if name == "" {
		return f.Name
	}
	return name
}
