package rsql

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// tests are the values of one comparison, ready to bind. A field passes if it passes one of them.
type tests struct {
	empty    bool // the field is empty
	exact    []any
	patterns []string       // LIKE patterns over folded text
	spans    [][2]time.Time // both ends included
}

// read converts the values of a comparison that does not compare by order.
func (t *tests) read(field *Field, c *Comparison) error {
	for _, value := range c.Values {
		if value.Text == "" {
			t.empty = true
			continue
		}
		// In a list an asterisk is an ordinary character: the API documents wildcards for == and != only.
		wild := len(value.Wildcards) > 0 && !c.Operator.takesList()
		switch field.Type {
		case Text, Array, Object:
			if wild {
				t.patterns = append(t.patterns, LikePattern(value))
			} else {
				t.exact = append(t.exact, value.Text)
			}
		case Timestamp:
			from, to, err := parseTime(value)
			if err != nil {
				return err
			}
			t.spans = append(t.spans, [2]time.Time{from, to})
		case Integer:
			number, err := parseInteger(value)
			if err != nil {
				return err
			}
			t.exact = append(t.exact, number)
		case Boolean:
			if value.Text != "true" && value.Text != "false" {
				return invalidValue(value, "is not a boolean", "true", "false")
			}
			t.exact = append(t.exact, value.Text == "true")
		case UUID:
			id, err := uuid.Parse(value.Text)
			if err != nil || len(value.Text) != 36 {
				return invalidValue(value, "is not a UUID", "a UUID such as 0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e")
			}
			t.exact = append(t.exact, id.String())
		}
	}
	return nil
}

func invalidValue(value Value, problem string, expected ...string) error {
	return &Error{Code: CodeInvalidValue, Position: value.Position, Expected: expected,
		Detail: excerpt(value.Text) + " " + problem}
}

func parseInteger(value Value) (int64, error) {
	number, err := strconv.ParseInt(value.Text, 10, 64)
	if err != nil {
		return 0, invalidValue(value, "is not an integer of 64 bits", "a whole number")
	}
	return number, nil
}

// parseTime reads a timestamp and gives the first and last microsecond that it means: a whole day for a bare date.
//
// Both ends are within the years 1 to 9999, because SQLite compares timestamps as texts. Digits beyond microseconds are
// refused: PostgreSQL does not store them, so there is nothing they could equal.
func parseTime(value Value) (from, to time.Time, err error) {
	text, strict := value.Text, true
	if len(text) == len(time.DateOnly) {
		from, err = time.Parse(time.DateOnly, text)
		to = from.AddDate(0, 0, 1).Add(-time.Microsecond)
	} else {
		from, err = time.Parse(time.RFC3339, text)
		from = from.UTC()
		to = from
		strict = rfc3339.MatchString(text)
	}
	if err != nil || !strict || from.Year() < 1 || from.Year() > 9999 {
		return from, to, invalidValue(value, "is not a timestamp",
			"a date such as 2024-01-31", "an RFC 3339 time such as 2024-01-31T12:00:00Z, at most to the microsecond")
	}
	return from, to, nil
}

// rfc3339 is the form with at most microseconds. [time.Parse] alone also takes 2024-01-01T1:00:00,5Z.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$`)

// LikePattern makes a LIKE pattern of a value with wildcards, for a text folded by [Fold]; its escape character is that of
// [ContainsPattern]. A run of asterisks becomes one "%": more would only cost time.
func LikePattern(value Value) string {
	var b strings.Builder
	start := 0
	for i, star := range value.Wildcards {
		b.WriteString(escapeLike(Fold(value.Text[start:star])))
		if i == 0 || star > start {
			b.WriteByte('%')
		}
		start = star + 1
	}
	b.WriteString(escapeLike(Fold(value.Text[start:])))
	return b.String()
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// escapeLike makes every character of a text literal in a LIKE pattern whose escape character is the backslash.
func escapeLike(text string) string { return likeEscaper.Replace(text) }

// ContainsPattern makes a LIKE pattern that finds a term anywhere in a text folded by [Fold]. Its escape character is
// the backslash: the default of PostgreSQL, but SQLite has none and needs ESCAPE '\'.
func ContainsPattern(term string) string { return "%" + escapeLike(Fold(term)) + "%" }

// searchTerm gives the term of a Search field. Such a field needs no wildcards; those at the ends say what it does
// anyway and are dropped, one inside is an ordinary asterisk.
func searchTerm(value Value) (string, error) {
	from, to := 0, len(value.Text)
	for from < to && slices.Contains(value.Wildcards, from) {
		from++
	}
	for to > from && slices.Contains(value.Wildcards, to-1) {
		to--
	}
	if from == to {
		return "", &Error{Code: CodeInvalidValue, Position: value.Position, Expected: []string{"a term to search for"},
			Detail: fmt.Sprintf("%s holds no term", excerpt(value.Text))}
	}
	return value.Text[from:to], nil
}
