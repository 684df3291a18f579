package api

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"slipway/internal/problem"
)

var validation = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		if f.Anonymous && f.Tag.Get("json") == "" {
			return embedded // members of embedded structs are the caller's to see, the structs are not
		}
		for _, tag := range []string{"path", "query", "header"} {
			if n := f.Tag.Get(tag); n != "" {
				return n
			}
		}
		return jsonName(f)
	})
	return v
})

// validate checks the `validate` tags of a request and names each field as the caller wrote it.
func validate(v reflect.Value) error {
	err := validation().Struct(v.Interface())
	var all validator.ValidationErrors
	if err == nil || !errors.As(err, &all) {
		return nil
	}
	p := &problem.Error{Kind: problem.Invalid, Message: "invalid input"}
	for _, e := range all {
		// The namespace begins with the request type and, for bodies, with the field that holds it.
		name := e.Namespace()
		if _, rest, ok := strings.Cut(name, "."); ok {
			name = rest
		}
		name = strings.TrimPrefix(strings.ReplaceAll(name, embedded+".", ""), "Body.")
		p.Fields = append(p.Fields, problem.Field{Name: name, Message: expected(e)})
	}
	return p
}

// embedded marks the names of embedded structs in the paths that the validator makes.
const embedded = "\x00"

func expected(e validator.FieldError) string {
	switch e.Tag() {
	case "required":
		return "is required"
	case "max":
		return fmt.Sprintf("at most %s", amount(e))
	case "min":
		return fmt.Sprintf("at least %s", amount(e))
	case "oneof":
		return "expected one of " + strings.ReplaceAll(e.Param(), " ", ", ")
	case "url", "http_url":
		return "expected a URL"
	case "email":
		return "expected an e-mail address"
	}
	return "does not satisfy " + e.Tag()
}

func amount(e validator.FieldError) string {
	switch e.Kind() {
	case reflect.String:
		return e.Param() + " characters"
	case reflect.Slice, reflect.Map:
		return e.Param() + " items"
	}
	return e.Param()
}
