package version

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var measured = []string{"0.1", "0.1.0", "0.0.9", "0.0.10", "1.0"}

func TestValid(t *testing.T) {
	for _, v := range []string{"0", "1", "1.0", "0.0.10", "0.0.5.0", "99999999999999999999999.1"} {
		require.True(t, Valid(v), v)
	}
	for _, v := range []string{"", ".", "1.", ".1", "1..0", "v1", "1.@", "@", "latest", "1.a", "-1", "1 ", "１"} {
		require.False(t, Valid(v), v)
	}
}

func TestCompareOrder(t *testing.T) {
	ordered := []string{"0", "0.0", "0.0.0", "0.0.9", "0.0.10", "0.1", "0.1.0", "1", "1.0", "2", "10", "18446744073709551617"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, Compare(a, b), "%s %s", a, b)
		}
	}
	require.Equal(t, 0, Compare("01.2", "1.02"))
}

func TestNext(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "2", "0.": "0.2", "0.0.": "0.0.11", "0.1.": "0.1.1", "1.": "1.1", "2.": "2.0", "x": "x0",
	} {
		require.Equal(t, want, Next(measured, prefix), "prefix %q", prefix)
	}
	require.Equal(t, "0.0.6", Next([]string{"0.0.5.0"}, "0.0."))
	require.Equal(t, "0", Next(nil, ""))
	require.Equal(t, "1.10", Next([]string{"1.9"}, "1."))
	require.Equal(t, "1000000000000000000000", Next([]string{"999999999999999999999"}, ""))
}

func TestPrevious(t *testing.T) {
	for v, want := range map[string]string{"0.1.0": "0.1", "0.1": "0.0.10", "1.0": "0.1.0", "0.0.10": "0.0.9", "7": "1.0"} {
		got, ok := Previous(measured, v)
		require.True(t, ok, v)
		require.Equal(t, want, got, v)
	}
	_, ok := Previous(measured, "0.0.9")
	require.False(t, ok)
}

func TestQuery(t *testing.T) {
	for text, want := range map[string]Query{
		"latest": {Latest, ""}, "@": {Latest, ""}, "v@": {Latest, ""},
		"v0.1.@": {Prefix, "0.1."}, "0.1.@": {Prefix, "0.1."}, "1.@": {Prefix, "1."},
		"v1.0": {Exact, "1.0"}, "1.0": {Exact, "1.0"}, "0": {Exact, "0"},
		"production": {Tag, "production"}, "v10.alpha": {Tag, "v10.alpha"}, "vlatest": {Tag, "vlatest"}, "1@": {Tag, "1@"}, "v": {Tag, "v"},
	} {
		got, err := ParseQuery(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	_, err := ParseQuery("")
	require.EqualError(t, err, "Empty version query")
}

func TestSelect(t *testing.T) {
	for text, want := range map[string]string{
		"latest": "1.0", "0.@": "0.1.0", "0.0.@": "0.0.10", "v0.1.@": "0.1.0", "1.0": "1.0", "v0.1": "0.1",
		"1": "", "2.@": "", "ci": "",
	} {
		q, err := ParseQuery(text)
		require.NoError(t, err)
		got, ok := q.Select(measured)
		require.Equal(t, want != "", ok, text)
		require.Equal(t, want, got, text)
	}
	_, ok := Query{Kind: Latest}.Select(nil)
	require.False(t, ok)
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "latest", "v@", "0.1.@", "v1.0", "ci", "1.@.@", "v1.\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			require.Empty(t, text)
			return
		}
		again, err := ParseQuery(q.String())
		require.NoError(t, err)
		require.Equal(t, q, again)
		if v, ok := q.Select(measured); ok {
			require.True(t, slices.Contains(measured, v))
		}
		if q.Kind == Exact || q.Kind == Prefix {
			require.True(t, Valid(Next([]string{q.Value}, "")) || q.Kind == Prefix)
		}
	})
}
