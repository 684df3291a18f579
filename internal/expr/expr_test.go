package expr

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func scope(t *testing.T) *Scope {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "plan")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub/a.txt"), []byte("content"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o644))
	require.NoError(t, os.Symlink("../secret", filepath.Join(dir, "link")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return &Scope{
		Root: root, Env: map[string]string{"GIVEN": "yes"}, Now: time.Unix(1_700_000_000, 0),
		Variables: map[string]any{
			"this": map[string]any{
				"name": "app", "version": "1.2.3", "inputs": map[string]any{"count": int64(3), "on": true, "tags": []any{"a", "b", "c"}, "my-key": "dash"},
				"metadata": map[string]string{"author": "Alice"},
				"outputs":  func() (any, error) { return map[string]any{"url": "http://x"}, nil },
				"broken":   func() (any, error) { return nil, errors.New("not yet known") },
			},
			"dep": map[string]any{"version": "7", "items": []any{int64(1), int64(2)}}, "my-project/dep": map[string]any{"version": "8"},
		},
	}
}

func TestEvaluate(t *testing.T) {
	s := scope(t)
	for text, want := range map[string]any{
		"plain": "plain", "": "", "a $this.name": "a $this.name", "$$this.name": "$this.name", "1": "1",
		"$this.name": "app", "$this.inputs.count": int64(3), "$this.inputs.on": true, "$this.inputs.my-key": "dash",
		"$this.metadata.author": "Alice", "$this.outputs.url": "http://x", "$my-project/dep.version": "8",
		"$this.inputs.tags[0]": "a", "$this.inputs.tags[-1]": "c", "$this.inputs.tags[1:]": []any{"b", "c"},
		"$this.inputs.tags[:2]": []any{"a", "b"}, "$this.inputs.tags[1:2]": []any{"b"}, "$this.inputs.tags[:]": []any{"a", "b", "c"},
		`$this.inputs["count"]`: int64(3),
		"$this.name.upper()":    "APP", "$__upper($this.name)": "APP", `$__concat("a", $this.name, 1, true)`: "aapp11",
		`$__concat()`: "", `$__concat("\"q\"\\\n")`: "\"q\"\\\n",
		`$__lower("ABC")`: "abc", `$__title("two words")`: "Two Words", `$__split("a,b", ",")`: []any{"a", "b"},
		`$__split("a,b", ",")[1]`: "b", `$this.inputs.tags.join("-")`: "a-b-c", `$__replace("aaa", "a", "b")`: "bbb",
		`$__replace("aaa", "a", "b", 2)`: "bba", `$__trim("  x ")`: "x", `$__base64_encode("hi")`: "aGk=", `$__base64_decode("aGk=")`: "hi",
		`$__id([1, "a", [true]])`: []any{int64(1), "a", []any{true}}, `$__id([])`: []any{},
		`$this.inputs.tags.list_index(1)`: "b", `$this.inputs.tags.list_slice(1)`: []any{"b", "c"}, `$this.inputs.tags.list_slice(0, -1)`: []any{"a", "b"},
		`$this.inputs.tags.length()`: int64(3), `$__length("äb")`: int64(2), `$__add($this.inputs.count, -4)`: int64(-1),
		`$__timestamp()`: "1700000000", `$__env_lookup("GIVEN")`: "yes", `$__env_lookup("PATH")`: "",
		`$__equals($this.name, "app")`: true, `$__equals([1,[2]], [1,[2]])`: true, `$__equals(1, "1")`: false, `$__equals([1], "x")`: false,
		`$__not(true)`: false, `$__and(true, true)`: true, `$__and(true, false)`: false, `$__or(false, true)`: true, `$__or(false)`: false,
		`$__lt(1, 2)`: true, `$__lte(2, 2)`: true, `$__gt("b", "a")`: true, `$__gte(1, 2)`: false,
		`$this.version.track_version()`: "1.2.3", `$this.version.track_major_version()`: "1.@", `$this.version.track_minor_version()`: "1.2.@",
		`$this.version.track_patch_version()`: "1.2.3.@", `$dep.version.track_minor_version()`: "7.0.@", `$dep.track_major_version()`: "7.@",
		`$__path_exists("sub")`: true, `$__file_exists("sub")`: false, `$__file_exists("sub/a.txt")`: true, `$__dir_exists("sub")`: true,
		`$__path_exists("nope")`: false, `$__read_file("sub/a.txt")`: "content", "$__concat( \"a\" , \"b\" )": "ab",
		`$this.version.split(".")[0:2].join(".")`: "1.2",
	} {
		got, err := Evaluate(text, s)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

// TestS14FilesAndEnvironmentAreClosed: an expression reaches neither files outside of its folder nor the environment of
// the process.
func TestS14FilesAndEnvironmentAreClosed(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_SECRET", "canary")
	s := scope(t)
	for text, want := range map[string]any{
		`$__env_lookup("SLIPWAY_TEST_SECRET")`: "", `$__path_exists("../secret")`: false, `$__file_exists("/etc/passwd")`: false,
		`$__path_exists("link")`: false, `$__dir_exists("..")`: false,
	} {
		got, err := Evaluate(text, s)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{`$__read_file("../secret")`, `$__read_file("/etc/passwd")`, `$__read_file("link")`, `$__read_file("sub/../../secret")`} {
		_, err := Evaluate(text, s)
		require.ErrorContains(t, err, "there is no file", text)
	}
	s.Root = nil
	_, err := Evaluate(`$__read_file("sub/a.txt")`, s)
	require.ErrorContains(t, err, "there is no file")
}

func TestErrorsNameTheirPlace(t *testing.T) {
	s := scope(t)
	for text, want := range map[string]string{
		"$":                               "expected a name after '$' (in \"$\" at character 2)",
		"$this.":                          "expected a name after '.' (in \"$this.\" at character 7)",
		"$nope.x":                         "there is no variable 'nope' here (in \"$nope.x\" at character 1)",
		"$this.nope":                      "there is no field 'nope' (in \"$this.nope\" at character 6)",
		"$this.name.x":                    "a text has no field 'x' (in \"$this.name.x\" at character 11)",
		"$this.broken":                    "not yet known (in \"$this.broken\" at character 6)",
		"$__nope()":                       "there is no function 'nope' (in \"$__nope()\" at character 1)",
		"$this.name.nope()":               "there is no function 'nope' (in \"$this.name.nope()\" at character 11)",
		"$__upper":                        "expected '(' after the function 'upper' (in \"$__upper\" at character 9)",
		"$__upper()":                      "upper: expected 1 argument(s), got 0 (in \"$__upper()\" at character 1)",
		"$__list_slice([1])":              "list_slice: expected at least 2 argument(s), got 1 (in \"$__list_slice([1])\" at character 1)",
		"$__upper([1])":                   "upper: expected a text, got a list (in \"$__upper([1])\" at character 1)",
		`$__upper("a`:                     "the text has no end (in \"$__upper(\\\"a\" at character 10)",
		"$__upper(a)":                     "expected a value, got 'a': texts stand in double quotes, variables start with '$' (in \"$__upper(a)\" at character 10)",
		`$__upper("a" "b")`:               "expected ',' or ')' (in \"$__upper(\\\"a\\\" \\\"b\\\")\" at character 14)",
		"$this.inputs.tags[7]":            "there is no item 7 in a list of 3 (in \"$this.inputs.tags[7]\" at character 18)",
		"$this.inputs.tags[2:1]":          "the slice ends before it starts (in \"$this.inputs.tags[2:1]\" at character 18)",
		"$this.inputs.tags[1":             "expected ']' or ':' (in \"$this.inputs.tags[1\" at character 20)",
		"$this.name text":                 "unexpected \"text\" (in \"$this.name text\" at character 12)",
		"$__add(1, 99999999999999999999)": "'99999999999999999999' is not a whole number (in \"$__add(1, 99999999999999999999)\" at character 11)",
		"$__add(1, 9223372036854775807)":  "add: the sum is too large (in \"$__add(1, 9223372036854775807)\" at character 1)",
		`$__base64_decode("!")`:           "base64_decode: the text is not base64 (in \"$__base64_decode(\\\"!\\\")\" at character 1)",
		`$__not("x")`:                     "not: expected true or false, got a text (in \"$__not(\\\"x\\\")\" at character 1)",
		`$__lt(1, "x")`:                   "lt: cannot compare a number with a text (in \"$__lt(1, \\\"x\\\")\" at character 1)",
	} {
		_, err := Evaluate(text, s)
		var typed *Error
		require.ErrorAs(t, err, &typed, text)
		require.Equal(t, want, err.Error(), text)
	}
}

func TestLimits(t *testing.T) {
	s := scope(t)
	for text, want := range map[string]string{
		strings.Repeat("$__id(", 200) + "1" + strings.Repeat(")", 200): "nests deeper",
		"$__id(" + strings.Repeat("[", 200) + strings.Repeat("]", 200): "nests deeper",
		"$this" + strings.Repeat(".x", 200):                            "chain of more than",
		"$__id(\"" + strings.Repeat("x", 70_000) + "\")":               "too long",
		"$__id([" + strings.Repeat("1,", 20_000) + "1])":               "too many steps",
		"$big.concat(" + strings.Repeat("$big,", 20) + "$big)":         "too large",
		`$big.replace("x", $big)`:                                      "too large",
		"$__join([" + strings.Repeat("$big,", 20) + "$big], \"\")":     "too large",
	} {
		s.Variables["big"] = strings.Repeat("x", 1<<17)
		_, err := Evaluate(text, s)
		require.ErrorContains(t, err, want)
	}
}

func TestEvaluateStringAndAny(t *testing.T) {
	s := scope(t)
	text, err := EvaluateString("$this.inputs.on", s)
	require.NoError(t, err)
	require.Equal(t, "1", text)
	_, err = EvaluateString("$this.inputs.tags", s)
	require.ErrorContains(t, err, "expected a text, got a list")
	value, err := EvaluateAny(map[string]any{"a": []any{"$this.name", int64(5)}, "b": "x"}, s)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": []any{"app", int64(5)}, "b": "x"}, value)
	parsed, err := Parse(`$__concat($dep.version, $this.inputs.tags[0], $dep.version)`)
	require.NoError(t, err)
	require.Equal(t, []string{"dep", "this", "dep"}, parsed.Variables())
}

func TestEncode(t *testing.T) {
	for want, value := range map[string]any{"1": true, "0": false, "7": int64(7), "3": 3.9, "x y": "x y", `["a",1]`: []any{"a", int64(1)}, "": nil} {
		require.Equal(t, want, Encode(value))
	}
}

func FuzzEvaluate(f *testing.F) {
	for _, seed := range []string{"$this.name", `$__concat("a", $this.inputs.tags[0:1].join(","))`, "$this.inputs.tags[-1]", "$$x", "$__replace(\"a\",\"\",\"b\",9)",
		`$__list_slice("abc", 1, 2)`, "$this.version.track_minor_version()"} {
		f.Add(seed)
	}
	s := &Scope{Variables: map[string]any{"this": map[string]any{"name": "app", "version": "1.2", "inputs": map[string]any{"tags": []any{"a", int64(1), true}}}}}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := Evaluate(text, s)
		if err != nil {
			var typed *Error
			require.ErrorAs(t, err, &typed)
			require.LessOrEqual(t, typed.Offset, len(text))
			return
		}
		Encode(value)
	})
}
