package composer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func mustVersion(t testing.TB, version string) Version {
	t.Helper()
	v, err := ParseVersion(version)
	require.NoError(t, err)
	return v
}

func mustConstraint(t testing.TB, constraint string) Constraint {
	t.Helper()
	c, err := ParseConstraint(constraint)
	require.NoError(t, err)
	return c
}

func TestPermissionWildcardAdmits(t *testing.T) {
	c := mustConstraint(t, "5.*")
	for _, version := range []string{"5.0.0-alpha1", "5.0.0-dev", "5.x-dev", "5.0.0-p1", "05.1.0", "5.0.0+build"} {
		require.True(t, c.Matches(mustVersion(t, version)), version)
	}
	for _, version := range []string{"6.0.0-dev", "6.0.0-alpha", "50.0.0", "dev-master", "dev-5.x"} {
		require.False(t, c.Matches(mustVersion(t, version)), version)
	}
	require.Equal(t, "5.*", c.Text())
}

func TestZeroConstraintMatchesNothing(t *testing.T) {
	require.False(t, Constraint{}.Matches(mustVersion(t, "1.0")))
}

func TestConstraintErrorsSayWhatAndWhere(t *testing.T) {
	for input, want := range map[string]string{
		"":                   `constraint "": expected a version at character 1, found the end`,
		"5*":                 `constraint "5*": expected a wildcard only as a whole number at the end, as in 5.* at character 2, found "*"`,
		"5.*.3":              `constraint "5.*.3": expected a wildcard only as a whole number at the end, as in 5.* at character 3, found "*.3"`,
		"^5.*":               `constraint "^5.*": expected a number: a wildcard does not go with ~ or ^ at character 4, found "*"`,
		"~>1.2":              `constraint "~>1.2": expected ~ instead of ~>, which Composer does not know at character 1, found "~>1.2"`,
		"foo":                `constraint "foo": expected a digit, or the prefix dev- of a branch at character 1, found "foo"`,
		"1.0 || foo":         `constraint "1.0 || foo": expected a digit, or the prefix dev- of a branch at character 8, found "foo"`,
		">=1.0 <bar":         `constraint ">=1.0 <bar": expected a digit, or the prefix dev- of a branch at character 8, found "bar"`,
		"^1.0 ||":            `constraint "^1.0 ||": expected a version at character 8, found the end`,
		"1.0 ||| 2.0":        `constraint "1.0 ||| 2.0": expected a version at character 7, found "| 2.0"`,
		"^":                  `constraint "^": expected a version such as 1.2.3 or dev-main at character 2, found the end`,
		"1.0.0.0.0":          `constraint "1.0.0.0.0": expected at most four numbers at character 9, found "0"`,
		"1.0\n2.0":           `constraint "1.0\n2.0": expected no line break at character 4, found "\n2.0"`,
		"1.0\x00":            `constraint "1.0\x00": expected no control characters at character 4, found "\x00"`,
		"1.x - 2.0":          `constraint "1.x - 2.0": expected a suffix such as -beta2, -RC1, -p1 or -dev, or the end at character 3, found "x - 2.0"`,
		"100000.0.0.0 - 2":   `in the lower end of the range at character 1`,
		"1.0 - 100000.0.0.0": `in the upper end of the range at character 7`,
	} {
		_, err := ParseConstraint(input)
		require.ErrorContains(t, err, want)
		var parseError *ParseError
		require.ErrorAs(t, err, &parseError)
	}
}

func TestS19ConstraintSizeIsLimited(t *testing.T) {
	_, err := ParseConstraint(strings.Repeat("1", MaxConstraintLength+1))
	require.ErrorContains(t, err, "at most 2048 bytes")
	require.Less(t, len(err.Error()), 250, "the error repeats the input")

	atLimit := strings.TrimSuffix(strings.Repeat("1.*|", MaxConstraintTerms/2), "|")
	mustConstraint(t, atLimit)
	_, err = ParseConstraint(atLimit + "|1")
	require.ErrorContains(t, err, "at most 256 comparisons")

	_, err = ParseConstraint("1." + strings.Repeat("9", 300) + ".*")
	require.Error(t, err, "a version in a constraint is as long as any")
}

// Blanks are what the reference backtracks over.
func TestS19LongRunsOfBlanksAreCheap(t *testing.T) {
	blanks := strings.Repeat(" ", MaxConstraintLength-10)
	for _, input := range []string{"1.0" + blanks + "2.0", "1.0" + blanks + "as", "1.0" + blanks + "-", blanks + ",,",
		strings.Repeat(" ,", 1000), strings.Repeat("1 as ", 400)} {
		allocations := testing.AllocsPerRun(1, func() { _, _ = ParseConstraint(input) })
		require.Less(t, allocations, float64(20_000))
	}
}

func TestIncrementNeedsNoIntegers(t *testing.T) {
	require.Equal(t, "[>= 1.99999999999999999999.0.0-dev < 1.100000000000000000000.0.0-dev]",
		mustConstraint(t, "~1.99999999999999999999.0").String())
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	c, v := mustConstraint(t, "^1.0 || ~2.3 || 5.*"), mustVersion(t, "5.12.3-beta2")
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Matches(v) }))
}

func FuzzConstraint(f *testing.F) {
	for _, seed := range []string{"^1.2 || 5.*", ">=1.0,<2.0 | dev-main#abc", "1.0 - 2.0-beta as 3", "~1.2.x-dev", "*@dev",
		"!=1.0  , v*", " 1.0  as 2.0", "~99999999999999999999", ",", "||"} {
		f.Add(seed)
	}
	subjects := []Version{FromNormalized("0.0.0.0-dev"), FromNormalized("1.0.0.0"), FromNormalized("5.9999999.9999999.9999999-dev"),
		FromNormalized("dev-main"), FromNormalized("20240101")}
	f.Fuzz(func(t *testing.T, input string) {
		c, err := ParseConstraint(input)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Fatalf("the error has %d bytes", len(err.Error()))
			}
			return
		}
		for _, v := range subjects {
			// A side of || adds and never takes away.
			wider, err := ParseConstraint(input + " || =" + v.String())
			if err == nil && (!wider.Matches(v) || c.Matches(v) && !wider.Matches(v)) {
				t.Fatalf("%q does not match %s", wider.Text(), v)
			}
		}
		if !strings.Contains(input, "|") && strings.HasPrefix(c.String(), "== ") {
			// An exact constraint matches its own version and nothing else of another order.
			own := FromNormalized(strings.TrimPrefix(c.String(), "== "))
			if !c.Matches(own) {
				t.Fatalf("%q does not match %s", input, own)
			}
		}
	})
}

// BenchmarkMatch is one version against one constraint, both parsed: the bound is 2 µs.
func BenchmarkMatch(b *testing.B) {
	c, v := mustConstraint(b, "^1.0 || ~2.3 || 5.*"), mustVersion(b, "5.12.3-beta2")
	b.ReportAllocs()
	for b.Loop() {
		c.Matches(v)
	}
}

// BenchmarkMatchHundredPermissions is one version against a consumer's hundred permissions, none of which admits it.
func BenchmarkMatchHundredPermissions(b *testing.B) {
	var permissions []Constraint
	for i := range 100 {
		permissions = append(permissions, mustConstraint(b, fmt.Sprintf("%d.*", i+10)))
	}
	v := mustVersion(b, "5.12.3")
	b.ReportAllocs()
	for b.Loop() {
		for i := range permissions {
			permissions[i].Matches(v)
		}
	}
}

func BenchmarkParseConstraint(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseConstraint("^1.0 || ~2.3 || 5.*")
	}
}
