package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// OfJSON says for people what is wrong with JSON that could not be decoded, as a problem of the member at fault where there is
// one. what begins the text of other mistakes.
func OfJSON(what string, err error) error {
	var typ *json.UnmarshalTypeError
	var syn *json.SyntaxError
	var at *time.ParseError
	var p *Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &typ):
		name := typ.Field
		if name == "" {
			name = "body"
		}
		return BadField(name, "expected %s, got %s", jsonType(typ.Type.Kind().String()), typ.Value)
	case errors.As(err, &syn):
		return New(Invalid, "%s: %s at byte %d", what, syn.Error(), syn.Offset)
	case errors.As(err, &at):
		return New(Invalid, "%s: expected a time such as 2026-01-02T03:04:05Z, got %s", what, at.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return BadField(strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`), "this member is not known")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return New(Invalid, "%s: the text ends too early", what)
	}
	return Wrap(Invalid, err, "%s", fmt.Sprintf("%s: %s", what, strings.TrimPrefix(err.Error(), "json: ")))
}

// jsonType names a Go kind as a JSON reader would.
func jsonType(kind string) string {
	switch kind {
	case "struct", "map":
		return "an object"
	case "slice", "array":
		return "an array"
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	default:
		if strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint") {
			return "a whole number"
		}
		if strings.HasPrefix(kind, "float") {
			return "a number"
		}
		return kind
	}
}
