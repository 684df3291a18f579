package rsql

import (
	"fmt"
	"strings"
)

// Code says what kind of mistake an [Error] is. The texts are the error codes of the API.
type Code string

const (
	// CodeInvalidFilter: the text is not RSQL.
	CodeInvalidFilter Code = "invalid-filter"
	// CodeUnknownField: the filter names a field that does not exist, or an object without a key.
	CodeUnknownField Code = "unknown-field"
	// CodeOperatorNotAllowed: the field does not take this operator.
	CodeOperatorNotAllowed Code = "operator-not-allowed"
	// CodeInvalidValue: the value is not one of the field's type.
	CodeInvalidValue Code = "invalid-value"
	// CodeTooComplex: the filter is over one of the limits of this package.
	CodeTooComplex Code = "filter-too-complex"
	// CodeInvalidQuery: the URL query cannot be decoded, or holds the parameter more than once. Whoever reads it says so:
	// net/url drops a pair with a raw ";" in it, and with it a whole filter.
	CodeInvalidQuery Code = "invalid-query"
	// CodeInvalidSort: the sort parameter is wrong.
	CodeInvalidSort Code = "invalid-sort"
	// CodeInvalidCursor: the cursor is damaged or belongs to another list.
	CodeInvalidCursor Code = "invalid-cursor"
)

// NoPosition is the Position of an Error that has none: that of a cursor.
const NoPosition = -1

// Error is a mistake in what a client sent. Its texts are meant for that client and hold no internals.
type Error struct {
	Code Code
	// Position is where the mistake is: the number of characters (Unicode code points, not bytes) before it in the
	// decoded filter or sort. A filter that ends too early has its length here. NoPosition for a cursor.
	Position int
	// Expected lists what would have been right at the position. Only errors of cursors have none.
	Expected []string
	// Detail says what is wrong, without the position and without Expected.
	Detail string
}

// Error gives the whole message: detail, position and what was expected.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Position != NoPosition {
		fmt.Fprintf(&b, " at position %d", e.Position)
	}
	if len(e.Expected) > 0 {
		b.WriteString(", expected ")
		b.WriteString(alternatives(e.Expected))
	}
	return b.String()
}

func alternatives(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

// excerpt quotes a piece of the client's text for a message, shortened so that a long value is not sent back whole.
func excerpt(text string) string {
	const longest = 40
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
