package api

import (
	"unicode/utf8"

	"slipway/internal/problem"
)

// CheckBody applies what every JSON body is held to (UTF-8, no NUL, bounded depth) to one that a handler reads by
// itself, from a field with the tag body:"raw".
func CheckBody(b []byte) error {
	if !utf8.Valid(b) {
		return problem.New(problem.Invalid, BodyError+": the body is not valid UTF-8")
	}
	return checkTokens(b)
}

// DecodeBody reads a JSON body that a handler got as raw bytes, leniently: members that v does not have are skipped.
func DecodeBody(b []byte, v any) error { return decodeJSON(b, v, false) }
