package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"slipway/internal/problem"
)

// maxDepth is how deep the JSON of a body may nest. encoding/json stops at 10,000 by itself, far over what any body of
// ours needs, and what we decode is walked again (validated, stored, written), so the limit is ours.
const maxDepth = 64

// BodyError is the message for a body that is not JSON at all; surfaces with a documented text match on it.
const BodyError = "Invalid JSON"

// decodeJSON reads one JSON value. Strict refuses members that v does not have. Every error names what was expected
// and where.
func decodeJSON(b []byte, v any, strict bool) error {
	if !utf8.Valid(b) {
		return problem.New(problem.Invalid, BodyError+": the body is not valid UTF-8")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return problem.New(problem.Invalid, BodyError+": the body is empty")
	}
	if err := checkTokens(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return jsonProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem.New(problem.Invalid, BodyError+": text follows the JSON value")
	}
	return nil
}

// checkTokens bounds the depth and refuses NUL in strings: PostgreSQL cannot store it, and nothing of ours needs it.
func checkTokens(b []byte) error {
	depth := 0
	inString := false
	for i := 0; i < len(b); i++ {
		c := b[i]
		if inString {
			switch c {
			case '\\':
				if i+5 < len(b) && b[i+1] == 'u' && string(b[i+2:i+6]) == "0000" {
					return problem.New(problem.Invalid, BodyError+": a string holds a NUL character")
				}
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case '{', '[':
			if depth++; depth > maxDepth {
				return problem.New(problem.Invalid, BodyError+": nested deeper than %d levels", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

func jsonProblem(err error) error { return problem.OfJSON(BodyError, err) }

// cleanText says whether a parameter is text that can be stored and shown.
func cleanText(t string) bool { return utf8.ValidString(t) && !strings.ContainsRune(t, 0) }
