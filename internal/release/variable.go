package release

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Types of variables. The last five are filled in by the platform and cannot be set by users.
const (
	TypeString      = "string"
	TypeList        = "list"
	TypeInteger     = "integer"
	TypeBool        = "bool"
	TypeVersion     = "version"
	TypeClient      = "client"
	TypeProject     = "project"
	TypeDeployment  = "deployment"
	TypeEnvironment = "environment"
)

// Variable is an input or an output of a release.
type Variable struct {
	ID          string         `json:"id"`
	Type        string         `json:"type"`
	Default     any            `json:"default,omitempty"` // a value, or a text that starts with "$" and is evaluated
	Description string         `json:"description,omitempty"`
	Friendly    string         `json:"friendly,omitempty"`
	Visible     bool           `json:"visible"`
	Options     map[string]any `json:"options,omitempty"`
	Sensitive   bool           `json:"sensitive,omitempty"`
	Items       any            `json:"items"` // the allowed values, or an expression that gives them; null allows all
	// EvalBeforeDependencies says that the value does not need what a dependency puts out.
	EvalBeforeDependencies bool     `json:"eval_before_dependencies"`
	Scopes                 []string `json:"scopes"`
}

// NewVariable returns a visible string variable in both scopes.
func NewVariable(id string) *Variable {
	v := &Variable{ID: id, Type: TypeString, Visible: true, EvalBeforeDependencies: true}
	if IsMagicType(id) {
		v.Type = id
	}
	v.Scopes = bothScopes()
	return v
}

// UnmarshalJSON reads a variable; what is absent has the values of NewVariable. A plain string is the id.
func (v *Variable) UnmarshalJSON(data []byte) error {
	type plain Variable
	*v = Variable{Visible: true, EvalBeforeDependencies: true}
	err := oneOrObject(data, func(s string) { v.ID = s }, func(b []byte) error { return json.Unmarshal(b, (*plain)(v)) })
	v.Default, v.Items = PlainValue(v.Default), PlainValue(v.Items)
	for key, value := range v.Options {
		v.Options[key] = PlainValue(value)
	}
	return err
}

// HasDefault reports whether the variable has a default value; an empty text is one.
func (v *Variable) HasDefault() bool { return v.Default != nil }

// IsMagicType reports whether a type is filled in by the platform.
func IsMagicType(t string) bool {
	switch t {
	case TypeVersion, TypeClient, TypeProject, TypeDeployment, TypeEnvironment:
		return true
	}
	return false
}

var variableID = regexp.MustCompile(`^[a-zA-Z]+[a-zA-Z0-9_-]*$`)

// ValidateVariableID checks the id of a variable. Ids become parts of environment variable names, and the beginning
// PREVIOUS_ is taken by the values of the run before.
func ValidateVariableID(id string) error {
	if id == "" {
		return invalidf("Variable object is missing an 'id'")
	}
	if len(id) > 256 || !variableID.MatchString(id) {
		return invalidf("Invalid variable id '%s': expected letters, then letters, digits, '-' and '_'", id)
	}
	if strings.HasPrefix(id, "PREVIOUS_") {
		return invalidf("Invalid variable id '%s': ids that start with 'PREVIOUS_' are reserved", id)
	}
	return nil
}

// ParseType reads a type as plans write it: "string", "integer", "bool", "list", "list[string]" or a magic type. It
// returns the type and, for a list with an item type, the options that say so.
func ParseType(text string) (string, map[string]any, error) {
	name, item, isList := strings.Cut(strings.TrimSpace(text), "[")
	if isList {
		item, closed := strings.CutSuffix(item, "]")
		if name != TypeList || !closed || item != TypeString && item != TypeInteger && item != TypeBool {
			return "", nil, invalidf("Unknown variable type '%s'", text)
		}
		return TypeList, map[string]any{item: true}, nil
	}
	switch {
	case name == "":
		return TypeString, nil, nil
	case name == TypeString, name == TypeList, name == TypeInteger, name == TypeBool, IsMagicType(name):
		return name, nil, nil
	case name == "int":
		return TypeInteger, nil, nil
	case name == "boolean":
		return TypeBool, nil, nil
	}
	return "", nil, invalidf("Unknown variable type '%s'", text)
}

// PlainValue turns the numbers of a decoded JSON value into int64 where they are whole, in lists and maps too. Without
// it a whole number would be printed in another form than it was sent in once it is large.
func PlainValue(value any) any {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case int:
		return int64(v)
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
		return float64(v)
	case []any:
		for i := range v {
			v[i] = PlainValue(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = PlainValue(v[key])
		}
	}
	return value
}

// Parse turns a given value into the type of the variable: a bool also from "true", "1", "yes", "yay" and their
// opposites, an integer from a text of digits, a list from JSON text. Allowed values are not checked here. Texts are
// never evaluated: what a user gives is only ever data.
func (v *Variable) Parse(given any) (any, error) {
	given = PlainValue(given)
	switch v.Type {
	case TypeBool:
		switch value := given.(type) {
		case bool:
			return value, nil
		case int64:
			if value == 0 || value == 1 {
				return value == 1, nil
			}
		case string:
			switch strings.ToLower(value) {
			case "true", "1", "yes", "yay", "y", "on":
				return true, nil
			case "false", "0", "no", "nay", "n", "off", "":
				return false, nil
			}
		}
		return nil, v.mismatch("true or false")
	case TypeInteger:
		switch value := given.(type) {
		case int64:
			return value, nil
		case float64:
			return int64(value), nil
		case string:
			if number, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
				return number, nil
			}
		}
		return nil, v.mismatch("a whole number")
	case TypeList:
		if text, ok := given.(string); ok {
			var items []any
			if err := json.Unmarshal([]byte(text), &items); err != nil || items == nil {
				return nil, v.mismatch("a list, or a list as JSON text")
			}
			given = PlainValue(items)
		}
		items, ok := given.([]any)
		if !ok {
			return nil, v.mismatch("a list, or a list as JSON text")
		}
		return items, v.checkItemTypes(items)
	}
	switch value := given.(type) {
	case string:
		if strings.ContainsRune(value, 0) {
			return nil, v.mismatch("a text without NUL characters")
		}
		return value, nil
	case int64:
		return strconv.FormatInt(value, 10), nil
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	return nil, v.mismatch("a text")
}

// mismatch does not print the value, which may be a secret.
func (v *Variable) mismatch(expected string) error {
	return invalidf("value of the variable '%s' is not %s", v.ID, expected)
}

func (v *Variable) checkItemTypes(items []any) error {
	for _, item := range items {
		switch {
		case v.Options[TypeString] == true:
			if _, ok := item.(string); !ok {
				return v.mismatch("a list of texts")
			}
		case v.Options[TypeInteger] == true:
			if _, ok := item.(int64); !ok {
				return v.mismatch("a list of whole numbers")
			}
		case v.Options[TypeBool] == true:
			if _, ok := item.(bool); !ok {
				return v.mismatch("a list of true and false")
			}
		}
	}
	return nil
}
