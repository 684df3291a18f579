package composer

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tables under testdata/reference are runs of composer/semver (on PHP 8.2) over generated input: versions with
// their normal form and stability, constraints with their parsed form and, as a row of 0 and 1, which versions of
// subjects.tsv they match, and what version_compare says of each pair of subjects. They hold the scanners to the
// reference in the corners that its own tests leave out.

func readLines(t *testing.T, name string) []string {
	t.Helper()
	file, err := os.Open("testdata/reference/" + name)
	require.NoError(t, err)
	defer file.Close()
	var lines []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	require.NoError(t, scanner.Err())
	require.NotEmpty(t, lines)
	return lines
}

func readSubjects(t *testing.T) []Version {
	var subjects []Version
	for _, line := range readLines(t, "subjects.tsv") {
		subjects = append(subjects, FromNormalized(line))
	}
	return subjects
}

func TestReferenceVersions(t *testing.T) {
	for _, line := range readLines(t, "versions.tsv") {
		row := strings.Split(line, "\t")
		input := unquote(t, row[0])
		normal, err := Normalize(input)
		if err != nil {
			normal = "error"
		}
		assert.Equal(t, row[1], normal, "%q", input)
		assert.Equal(t, row[2], StabilityOf(input).String(), "%q", input)
	}
}

func TestReferenceConstraints(t *testing.T) {
	subjects := readSubjects(t)
	for _, line := range readLines(t, "constraints.tsv") {
		row := strings.Split(line, "\t")
		input := unquote(t, row[0])
		c, err := ParseConstraint(input)
		if row[1] == "error" {
			assert.Error(t, err, "%q became %s", input, c)
			continue
		}
		if !assert.NoError(t, err, "%q", input) {
			continue
		}
		matched := make([]byte, len(subjects))
		for i, v := range subjects {
			matched[i] = '0'
			if c.Matches(v) {
				matched[i] = '1'
			}
		}
		assert.Equal(t, row[2], string(matched), "%q", input)
		// The reference merges alternatives that touch; matching is the same, the text is not.
		if !strings.Contains(row[1], "||") && !strings.Contains(input, "|") {
			assert.Equal(t, row[1], c.String(), "%q", input)
		}
	}
}

func TestReferenceOrder(t *testing.T) {
	subjects := readSubjects(t)
	for i, line := range readLines(t, "order.tsv") {
		row := strings.Split(line, "\t")
		require.Equal(t, subjects[i].String(), row[0])
		for j, sign := range row[1] {
			if subjects[i].IsBranch() || subjects[j].IsBranch() {
				continue // only equality is defined for them
			}
			assert.Equal(t, strings.IndexRune("<=>", sign)-1, subjects[i].Compare(subjects[j]),
				"%s and %s", subjects[i], subjects[j])
		}
	}
}
