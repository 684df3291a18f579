package rsql

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// parserCase is a row of testdata/cases.tsv. Its columns: id, input as JSON, what the reference parser gives, the kind
// and the line:column of the reference's error, what two other parsers give (the second with its column), what this
// package must give ("=" for the same as the reference), source, note.
type parserCase struct {
	id, input, expected, errorKind, errorColumn, otherColumn string
}

func readCases(t *testing.T) []parserCase {
	data, err := os.ReadFile("testdata/cases.tsv")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	var cases []parserCase
	for _, line := range lines[1:] {
		columns := strings.Split(line, "\t")
		require.GreaterOrEqual(t, len(columns), 9, "row %q", line)
		c := parserCase{id: columns[0], expected: columns[2], errorKind: columns[3], otherColumn: columns[7]}
		require.NoError(t, json.Unmarshal([]byte(columns[1]), &c.input), "row %s", c.id)
		if _, column, found := strings.Cut(columns[4], ":"); found {
			c.errorColumn = column
		}
		if columns[8] != "=" {
			c.expected = columns[8]
			c.errorColumn, c.otherColumn, c.errorKind = "", "", ""
		}
		cases = append(cases, c)
	}
	require.Len(t, cases, 203)
	return cases
}

func TestParseCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.id, func(t *testing.T) {
			node, err := Parse(c.input)
			if c.expected != "error" {
				require.NoError(t, err, "%q", c.input)
				require.Equal(t, c.expected, symbolic(t, node), "%q", c.input)
				again, err := Parse(node.String())
				require.NoError(t, err, "%q", node)
				require.Equal(t, c.expected, symbolic(t, again), "the canonical text %q", node)
				return
			}
			var problem *Error
			require.ErrorAs(t, err, &problem, "%q", c.input)
			require.Equal(t, CodeInvalidFilter, problem.Code, "%q: %v", c.input, err)
			length := utf8.RuneCountInString(c.input)
			if c.errorKind == "syntax" && problem.Position != length {
				// The reference counts columns from 1 and its columns of syntax errors are those of the wrong token,
				// except at the end of the text.
				column, err := strconv.Atoi(c.errorColumn)
				require.NoError(t, err)
				if c.input[column-1] == ' ' {
					column++ // a word operator: the reference counts the blank before it as part of it
				}
				require.Equal(t, column, problem.Position+1, "%q: %v", c.input, problem)
			}
			if column, err := strconv.Atoi(c.otherColumn); err == nil && c.errorKind == "lexical" {
				// Of a wrong token the reference gives the end, the other parser the start, as this package does.
				require.Equal(t, column, problem.Position+1, "%q: %v", c.input, problem)
			}
			if strings.Contains(problem.Detail, "end of the filter") {
				require.Equal(t, length, problem.Position, "%q: %v", c.input, err)
			}
		})
	}
}

// symbolic writes a tree in the notation of the cases file.
func symbolic(t *testing.T, node Node) string {
	names := map[Operator]string{Equal: "eq", NotEqual: "ne", Less: "lt", LessOrEqual: "le", Greater: "gt",
		GreaterOrEqual: "ge", In: "in", NotIn: "out"}
	list := func(name string, parts []Node) string {
		for _, part := range parts {
			name += " " + symbolic(t, part)
		}
		return "(" + name + ")"
	}
	switch node := node.(type) {
	case And:
		return list("and", node)
	case Or:
		return list("or", node)
	case *Comparison:
		text := "(" + names[node.Operator] + " " + quoteJSON(t, node.Field)
		for _, value := range node.Values {
			text += " " + quoteJSON(t, value.Text)
		}
		return text + ")"
	}
	t.Fatalf("unknown node %T", node)
	return ""
}

func quoteJSON(t *testing.T, text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(text))
	return strings.TrimSuffix(b.String(), "\n")
}

// asError gives the *Error in err and fails the test if there is none.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var problem *Error
	require.True(t, errors.As(err, &problem), "not an *Error: %v", err)
	return problem
}
