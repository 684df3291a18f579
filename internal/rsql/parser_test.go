package rsql

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct {
		filter   string
		code     Code
		position int
		message  string // a part of it
	}{
		"empty":                {"", CodeInvalidFilter, 0, `the filter ends too early at position 0, expected a field or "("`},
		"blank":                {" \t\r\n", CodeInvalidFilter, 4, "the filter ends too early"},
		"no operator":          {"name", CodeInvalidFilter, 4, "expected ==, !="},
		"no value":             {"name==", CodeInvalidFilter, 6, `expected a value or "("`},
		"one equals sign":      {"name=nginx", CodeInvalidFilter, 4, `'=' is not an operator at position 4`},
		"tilde":                {"name~nginx", CodeInvalidFilter, 4, "is not an operator"},
		"bang":                 {"!name==a", CodeInvalidFilter, 0, "is not an operator"},
		"unknown operator":     {"name=like=a", CodeInvalidFilter, 4, `unknown operator "=like="`},
		"operator in capitals": {"name=IN=a", CodeInvalidFilter, 4, `unknown operator "=IN="`},
		"form before operator": {"name=like=a)", CodeInvalidFilter, 11, `unexpected ")"`},
		"two values":           {"name==(a,b)", CodeInvalidFilter, 9, `operator "==" takes one value`},
		"list with and":        {"a=in=(b;c)", CodeInvalidFilter, 7, `expected "," or ")"`},
		"open quote":           {`a==b;c=="d`, CodeInvalidFilter, 8, `a quote is opened but not closed at position 8, expected a closing "`},
		"escaped last quote":   {`a=='b\'`, CodeInvalidFilter, 3, "expected a closing '"},
		"backslash at the end": {`a=='b\`, CodeInvalidFilter, 3, "expected a closing '"},
		"open parenthesis":     {"(a==b;c==d", CodeInvalidFilter, 10, `expected ";", "," or ")"`},
		"position in runes":    {"é==😀)", CodeInvalidFilter, 4, `unexpected ")" at position 4, expected ";", "," or the end`},
		"NUL":                  {"a=='é\x00'", CodeInvalidFilter, 5, "NUL"},
		"not UTF-8":            {"é==a\xffb", CodeInvalidFilter, 4, "not valid UTF-8"},
		"surrogate":            {"a==\xed\xa0\x80", CodeInvalidFilter, 3, "not valid UTF-8"},
		"plus read as blank":   {"created_at>2024-01-01T00:00:00 02:00", CodeInvalidFilter, 31, `unexpected "02:00"`},
		"long token":           {"a==b " + strings.Repeat("x", 1000), CodeInvalidFilter, 5, `"` + strings.Repeat("x", 40) + `…"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.filter)
			problem := asError(t, err)
			require.Equal(t, c.code, problem.Code, "%v", err)
			require.Equal(t, c.position, problem.Position, "%v", err)
			require.ErrorContains(t, err, c.message)
			require.Less(t, len(err.Error()), 300)
		})
	}
}

func TestWildcardsAndEscapes(t *testing.T) {
	for filter, want := range map[string]Value{
		`a==*b*c`:     {Text: "*b*c", Wildcards: []int{0, 2}},
		`a=="*b\*c"`:  {Text: "*b*c", Wildcards: []int{0}},
		`a=='é*\**'`:  {Text: "é***", Wildcards: []int{2, 4}},
		`a==\*`:       {Text: `\*`, Wildcards: []int{1}}, // outside quotes a backslash is a backslash
		`a=='\n\\'`:   {Text: `n\`},
		`a=="it's"`:   {Text: "it's"},
		`a=='%_\'?$'`: {Text: "%_'?$"},
	} {
		node, err := Parse(filter)
		require.NoError(t, err, filter)
		want.Position = 3
		require.Equal(t, want, node.(*Comparison).Values[0], filter)
	}
}

// Parentheses, lists and chains at their limit are read, one more is refused.
func TestParseLimits(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("(", depth) + "a==b" + strings.Repeat(")", depth) }
	chain := func(count int) string { return strings.Repeat("a==b;", count-1) + "a==b" }
	list := func(count int) string { return "a=in=(" + strings.Repeat("b,", count-1) + "b)" }
	long := func(size int) string { return "a==" + strings.Repeat("b", size-3) }
	for _, c := range []struct {
		at, over string
		position int
	}{
		{nested(MaxDepth), nested(MaxDepth + 1), MaxDepth},
		{chain(MaxComparisons), chain(MaxComparisons + 1), 5 * MaxComparisons},
		{list(MaxListValues), list(MaxListValues + 1), 6 + 2*MaxListValues},
		{list(MaxListValues) + ";" + list(MaxValues-MaxListValues), list(MaxListValues) + ";" + list(MaxValues-MaxListValues+1),
			6 + 2*MaxListValues + 1 + 6 + 2*(MaxValues-MaxListValues)},
		{long(MaxBytes), long(MaxBytes + 1), MaxBytes},
		{"a==" + strings.Repeat("é", (MaxBytes-3)/2) + "b", "a==" + strings.Repeat("é", (MaxBytes-2)/2+1), 3 + (MaxBytes-3)/2},
	} {
		_, err := Parse(c.at)
		require.NoError(t, err)
		_, err = Parse(c.over)
		problem := asError(t, err)
		require.Equal(t, CodeTooComplex, problem.Code, "%v", err)
		require.Equal(t, c.position, problem.Position, "%v", err)
		require.Contains(t, problem.Expected[0], "at most ")
	}
	// Parentheses side by side do not nest.
	_, err := Parse(strings.Repeat("(a==b),", 99) + "(a==b)")
	require.NoError(t, err)
}

// TestS20_HugeFiltersAreRefusedFast holds the parser to a bound of memory and time on texts made to exhaust either.
func TestS20_HugeFiltersAreRefusedFast(t *testing.T) {
	for name, filter := range map[string]string{
		"10,000 parentheses":       strings.Repeat("(", 10_000),
		"8,192 parentheses":        strings.Repeat("(", MaxBytes),
		"parentheses and values":   strings.Repeat("(a==b;", MaxBytes/6),
		"1 MB parentheses":         strings.Repeat("(", 1<<20),
		"1 MB of one value":        "a==" + strings.Repeat("b", 1<<20),
		"commas":                   "a=in=(" + strings.Repeat("b,", 4000),
		"blanks":                   strings.Repeat(" ", MaxBytes),
		"blanks and word operator": "a==b" + strings.Repeat(" and", 2000),
		"letters of an operator":   "a=" + strings.Repeat("z", MaxBytes-2),
		"open quote":               "a=='" + strings.Repeat(`\\`, 4000),
		"asterisks":                "a==" + strings.Repeat("*", MaxBytes) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			allocated := testing.AllocsPerRun(1, func() {
				_, err := Parse(filter)
				asError(t, err)
			})
			require.Less(t, allocated, 3000.0)
			require.Less(t, time.Since(start), time.Second)
		})
	}
}
