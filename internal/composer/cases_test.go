package composer

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readCases returns the rows of a table under testdata, split at tabs, without the head line.
func readCases(t testing.TB, name string) [][]string {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	defer file.Close()
	var rows [][]string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rows = append(rows, strings.Split(lines.Text(), "\t"))
	}
	require.NoError(t, lines.Err())
	require.Greater(t, len(rows), 1, "%s has no rows", name)
	return rows[1:]
}

func unquote(t testing.TB, text string) string {
	t.Helper()
	var s string
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	return s
}

func TestNormalizeCases(t *testing.T) {
	rows := readCases(t, "composer-normalize.tsv")
	for _, row := range rows {
		input, want, stability := unquote(t, row[0]), row[1], row[2]
		normalize := Normalize
		if strings.HasSuffix(row[3], "Branches") {
			normalize = NormalizeBranch
		}
		got, err := normalize(input)
		if want == "error" {
			require.Error(t, err, "%q became %q", input, got)
			continue
		}
		require.NoError(t, err, "%q", input)
		require.Equal(t, want, got, "%q", input)
		require.Equal(t, stability, StabilityOf(input).String(), "%q", input)
	}
	require.Len(t, rows, 56)
}

func TestParseConstraintCases(t *testing.T) {
	rows := readCases(t, "composer-parse.tsv")
	for _, row := range rows {
		input, want := unquote(t, row[0]), row[1]
		c, err := ParseConstraint(input)
		if want == "error" {
			require.Error(t, err, "%q became %s", input, c)
			continue
		}
		require.NoError(t, err, "%q", input)
		require.Equal(t, want, c.String(), "%q", input)
	}
	require.Len(t, rows, 88)
}

func TestMatchCases(t *testing.T) {
	rows := readCases(t, "composer-constraints.tsv")
	for _, row := range rows {
		// One constraint has a tab in it, so the columns count from the right.
		n := len(row) - 3
		constraint, version, want := strings.Join(row[:n], "\t"), row[n], row[n+1]
		c, constraintErr := ParseConstraint(constraint)
		v, versionErr := ParseVersion(version)
		if strings.HasPrefix(want, "error") {
			require.True(t, constraintErr != nil || versionErr != nil, "%q with %q", constraint, version)
			continue
		}
		require.NoError(t, constraintErr, "%q", constraint)
		require.NoError(t, versionErr, "%q", version)
		require.Equal(t, want == "yes", c.Matches(v), "%q with %q", constraint, version)
	}
	require.Len(t, rows, 423)
}
