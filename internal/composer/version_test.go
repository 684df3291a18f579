package composer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompareOrder(t *testing.T) {
	ordered := []string{"1.0.0.0-dev", "1.0.0.0-alpha1", "1.0.0.0-alpha2", "1.0.0.0-beta1", "1.0.0.0-RC1", "1.0.0.0",
		"1.0.0.0-patch1", "1.0.0.1", "1.0.9999999.9999999-dev", "2.0.0.0-dev", "9999999-dev", "20240101"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, FromNormalized(a).Compare(FromNormalized(b)), "%s and %s", a, b)
		}
	}
}

func TestCompareHugeNumbersAsOne(t *testing.T) {
	a := FromNormalized("1.99999999999999999999.0.0")
	b := FromNormalized("1.9223372036854775807.0.0")
	c := FromNormalized("1.9223372036854775806.0.0")
	require.Zero(t, a.Compare(b))
	require.Positive(t, a.Compare(c))
	require.Zero(t, FromNormalized("1.0000000000000000000000001").Compare(FromNormalized("1.1")))
}

func TestVersionErrorsSayWhatAndWhere(t *testing.T) {
	for input, want := range map[string]string{
		"":             `version "": expected a version such as 1.2.3 or dev-main at character 1, found the end`,
		"foo":          `version "foo": expected a digit, or the prefix dev- of a branch at character 1, found "foo"`,
		" 1.0.0.0.0":   `version " 1.0.0.0.0": expected at most four numbers at character 10, found "0"`,
		"1.0-gamma":    `version "1.0-gamma": expected a suffix such as -beta2, -RC1, -p1 or -dev, or the end at character 5, found "gamma"`,
		"1.0+foo bar":  `version "1.0+foo bar": expected build metadata of the form +word at the end at character 4, found "+foo bar"`,
		"100000.0.0.0": `version "100000.0.0.0": expected a number of at most five digits or a date such as 20240131 at character 1, found "100000.0.0.0"`,
		"1.\x000":      `version "1.\x000": expected no control characters at character 3, found "\x000"`,
		"1.0\n2.0":     `version "1.0\n2.0": expected no control characters at character 4, found "\n2.0"`,
		"ä1":           `version "ä1": expected a digit, or the prefix dev- of a branch at character 1, found "ä1"`,
		"1.0-\u00e4.x": `version "1.0-ä.x": expected a suffix such as -beta2, -RC1, -p1 or -dev, or the end at character 5, found "ä.x"`,
	} {
		_, err := Normalize(input)
		require.EqualError(t, err, want)
		var parseError *ParseError
		require.ErrorAs(t, err, &parseError)
		require.Equal(t, input, parseError.Input)
	}
}

func TestS19VersionLengthIsLimited(t *testing.T) {
	_, err := Normalize("dev-" + strings.Repeat("a", MaxVersionLength-4))
	require.NoError(t, err)
	_, err = Normalize("dev-" + strings.Repeat("a", MaxVersionLength-3))
	require.ErrorContains(t, err, "at most 255 bytes")
	require.Less(t, len(err.Error()), 250, "the error repeats the input")
	// Normalization adds up to 33 bytes.
	_, err = Normalize(strings.Repeat("1", 5) + "." + strings.Repeat("2", MaxVersionLength-6))
	require.ErrorContains(t, err, "after normalization")

	_, err = NormalizeBranch(strings.Repeat("b", MaxVersionLength-4))
	require.NoError(t, err)
	for _, bad := range []string{strings.Repeat("b", MaxVersionLength-3), "", " ", "a\x01b"} {
		_, err = NormalizeBranch(bad)
		require.Error(t, err, "%q", bad)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"1.0", "v1.2.3-beta.2", "2010-01-02-10-20-30.0.3", "dev-main", "1.x-dev",
		"1.0+b as 2.0@dev", "1.0.0.RC.15-dev", "\x00", "1.*", "99999.99999999999999999999.0-p1.2-dev"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		normal, err := Normalize(input)
		_ = StabilityOf(input)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Fatalf("the error has %d bytes", len(err.Error()))
			}
			return
		}
		if len(normal) > MaxVersionLength {
			t.Fatalf("%q became %d bytes", input, len(normal))
		}
		v := FromNormalized(normal)
		if v.Compare(v) != 0 {
			t.Fatalf("%q is not equal to itself", normal)
		}
		zero := FromNormalized("0.0.0.0")
		if v.Compare(zero) != -zero.Compare(v) {
			t.Fatalf("%q compares differently from the other side", normal)
		}
		if !v.IsBranch() {
			// A normal form is not always its own normal form (2010-01 becomes 2010.01, which becomes 2010.01.0.0),
			// but the next one is.
			again, err := ParseVersion(normal)
			if err != nil {
				return
			}
			if third, err := ParseVersion(again.String()); err != nil || third.Compare(again) != 0 {
				t.Fatalf("%q became %q, %q and then %q", input, normal, again, third)
			}
		}
	})
}

func BenchmarkParseVersion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseVersion("v5.12.3-beta2")
	}
}
