package assets

import (
	"errors"

	"slipway/internal/problem"
	"slipway/internal/rsql"
)

// Fault says more about a *problem.Error of this package than its message: it is the problem's cause.
type Fault struct {
	// Code names the mistake for programs: invalid-filter, invalid-cursor ...
	Code string
	// Parameter is the query parameter at fault, Pointer the JSON pointer into the body. One of them is set.
	Parameter, Pointer string
	// Position is where in the parameter's value the mistake is, in characters from 0; -1 for none.
	Position int
	// Expected lists what would have been right there.
	Expected []string
	// Status replaces the usual HTTP status of the problem's kind, where not 0.
	Status int

	message string
}

func (f *Fault) Error() string { return f.message }

// Codes of faults that are not those of package rsql.
const (
	CodeInvalidParameter = "invalid-parameter"
	CodeUnknownParameter = "unknown-parameter"
	CodeInvalidBody      = "invalid-body"
	CodeNotFound         = "not-found"
)

// BadParameter is the problem of a query parameter.
func BadParameter(parameter, code, message string) error {
	return &problem.Error{Kind: problem.Invalid, Message: message, Cause: &Fault{Code: code, Parameter: parameter, Position: rsql.NoPosition, message: message}}
}

// BadText is the problem of a query parameter whose text is wrong at a place.
func BadText(parameter string, err *rsql.Error) error { return place(parameter).wrong(err) }

// BadPointer is the problem of a member of the body.
func BadPointer(pointer, message string) error {
	return &problem.Error{Kind: problem.Invalid, Message: message, Cause: &Fault{Code: CodeInvalidBody, Pointer: pointer, Position: rsql.NoPosition, message: message}}
}

// place is where a text of the client came from: a query parameter or, with a slash, a pointer into the body.
type place string

// wrong turns an error of package rsql about a client's text into a problem; other errors stay as they are.
func (p place) wrong(err error) error {
	var e *rsql.Error
	if !errors.As(err, &e) {
		return err
	}
	f := &Fault{Code: string(e.Code), Position: e.Position, Expected: e.Expected, message: e.Error()}
	if p != "" && p[0] == '/' {
		f.Pointer = string(p)
	} else {
		f.Parameter = string(p)
	}
	return &problem.Error{Kind: problem.Invalid, Message: e.Error(), Cause: f}
}
