package composer

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ParseError says why a version or a constraint could not be read. It is meant to be shown to the person who wrote it.
type ParseError struct {
	// What is the thing that was read: "version", "branch" or "constraint".
	What string
	// Input is the whole text as it was given.
	Input string
	// Offset is where in Input the trouble begins, in bytes from 0.
	Offset int
	// Expected says what would have been right at Offset.
	Expected string
}

// Error names the input, the place (counted in characters from 1) and what was expected there.
func (e *ParseError) Error() string {
	offset := min(max(e.Offset, 0), len(e.Input))
	found := "the end"
	if rest := e.Input[offset:]; rest != "" {
		found = strconv.Quote(shorten(rest, 24))
	}
	return fmt.Sprintf("%s %s: expected %s at character %d, found %s",
		e.What, strconv.Quote(shorten(e.Input, 80)), e.Expected, utf8.RuneCountInString(e.Input[:offset])+1, found)
}

// shorten cuts text to at most limit bytes, on a character boundary, so that an error never repeats a huge input.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}
