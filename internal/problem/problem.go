// Package problem has the one error type that Slipway shows to callers: a kind, a safe message and, for bad input, the
// fields at fault. Each API surface translates it into its own shape; every other error is an internal one and its text
// is never shown.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in terms that every surface can map to a status.
type Kind string

// The kinds, with the HTTP status that most surfaces give them.
const (
	Invalid         Kind = "invalid"          // 400: the input is wrong
	Unauthenticated Kind = "unauthenticated"  // 401: no credential, or a bad one
	Forbidden       Kind = "forbidden"        // 403: readable, but not allowed
	NotFound        Kind = "not_found"        // 404: does not exist, or the caller may not know that it does
	Exists          Kind = "exists"           // 409: the name or key is taken
	Conflict        Kind = "conflict"         // 409: the thing is not in a state that allows this
	TooLarge        Kind = "too_large"        // 413: over a limit
	TooMany         Kind = "too_many"         // 429: slow down
	Unavailable     Kind = "unavailable"      // 503: something Slipway needs is away, try again
	Unprocessable   Kind = "unprocessable"    // 422: well-formed, but cannot be done
	LimitReached    Kind = "limit_reached"    // 403: an organization has all that it may have; see models.OrganizationQuota
	Unsupported     Kind = "unsupported_type" // 415: the content type is not one that this operation reads
	Internal        Kind = "internal"         // 500: a fault of Slipway
)

// Field names one member of the input and what is wrong with it.
type Field struct {
	// Name is the member's path as the caller wrote it: "steps[2].plan_location", or a parameter's name.
	Name string `json:"name"`
	// Message says what was expected.
	Message string `json:"message"`
}

// Error is an error that may be shown to the caller.
type Error struct {
	Kind    Kind
	Message string
	Fields  []Field
	// RetryAfter is when to come back, for Unavailable and TooMany; 0 leaves it out.
	RetryAfter time.Duration
	// Cause is for the log only.
	Cause error
}

// Error gives the safe message, and the fields' where there are any.
func (e *Error) Error() string {
	t := e.Message
	for i, f := range e.Fields {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		t += sep + f.Name + ": " + f.Message
	}
	return t
}

// Unwrap gives the cause, so that errors.Is sees through.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind; format and args make the safe message.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind whose cause is kept for the log.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// BadField makes an Invalid error about one field.
func BadField(name, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Message: "invalid input", Fields: []Field{{Name: name, Message: fmt.Sprintf(format, args...)}}}
}

// Is says whether err is, or wraps, an Error of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
