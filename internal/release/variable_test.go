package release

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What may be given for a variable of each type, and what becomes of it (facts 3.9).
func TestParseValues(t *testing.T) {
	for _, c := range []struct {
		kind        string
		given, want any
	}{
		{"string", "x", "x"}, {"string", "", ""}, {"string", "$this.name", "$this.name"}, {"string", 7, "7"}, {"string", 1.5, "1.5"}, {"string", true, "true"},
		{"bool", true, true}, {"bool", "true", true}, {"bool", "1", true}, {"bool", "yay", true}, {"bool", "yes", true}, {"bool", "TRUE", true}, {"bool", 1, true}, {"bool", 1.0, true},
		{"bool", false, false}, {"bool", "false", false}, {"bool", "0", false}, {"bool", "no", false}, {"bool", "", false}, {"bool", 0, false},
		{"integer", 7, int64(7)}, {"integer", "7", int64(7)}, {"integer", " -7 ", int64(-7)}, {"integer", 7.9, int64(7)}, {"integer", 7.0, int64(7)},
		{"list", []any{"a", 1.0}, []any{"a", int64(1)}}, {"list", `["a", 1, [true]]`, []any{"a", int64(1), []any{true}}}, {"list", "[]", []any{}}, {"list", []any{}, []any{}},
		{"list[string]", `["a"]`, []any{"a"}}, {"list[integer]", []any{1, 2.0}, []any{int64(1), int64(2)}}, {"list[bool]", []any{true}, []any{true}},
	} {
		kind, options, err := ParseType(c.kind)
		require.NoError(t, err)
		got, err := (&Variable{ID: "v", Type: kind, Options: options}).Parse(c.given)
		require.NoError(t, err, "%s %v", c.kind, c.given)
		require.Equal(t, c.want, got, "%s %v", c.kind, c.given)
	}
	for _, c := range []struct {
		kind  string
		given any
		want  string
	}{
		{"string", []any{"x"}, "a text"}, {"string", "a\x00b", "a text without NUL characters"},
		{"bool", "perhaps", "true or false"}, {"bool", 2, "true or false"}, {"bool", []any{}, "true or false"},
		{"integer", "seven", "a whole number"}, {"integer", "7.5", "a whole number"}, {"integer", true, "a whole number"},
		{"list", "a,b", "a list, or a list as JSON text"}, {"list", "null", "a list, or a list as JSON text"}, {"list", 5, "a list, or a list as JSON text"},
		{"list[string]", "[1]", "a list of texts"}, {"list[integer]", `["1"]`, "a list of whole numbers"}, {"list[bool]", "[1]", "a list of true and false"},
	} {
		kind, options, err := ParseType(c.kind)
		require.NoError(t, err)
		_, err = (&Variable{ID: "v", Type: kind, Options: options}).Parse(c.given)
		require.EqualError(t, err, "value of the variable 'v' is not "+c.want, "%s %v", c.kind, c.given)
	}
}

func TestMagicIDsImplyTheirType(t *testing.T) {
	for _, id := range []string{"version", "client", "project", "deployment", "environment"} {
		require.Equal(t, id, NewVariable(id).Type)
		require.True(t, IsMagicType(id))
	}
	require.Equal(t, "string", NewVariable("name").Type)
	require.False(t, IsMagicType("string"))
}
