package plan

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page about plans names every field, and its example is a plan.
func TestThePageAboutPlansIsComplete(t *testing.T) {
	content, err := os.ReadFile("../../docs/plan-file.md")
	require.NoError(t, err)
	page := string(content)
	for name := range fields {
		require.Contains(t, page, "`"+name+"`")
	}
	_, block, _ := strings.Cut(page, "\n    name: ")
	block, _, _ = strings.Cut(block, "\n\n")
	example := "name: " + strings.ReplaceAll(block, "\n    ", "\n")
	p, faults := parseAll("escape.yml", []byte(example))
	require.Empty(t, faults)
	require.Empty(t, p.warnings)
	require.Len(t, p.Errands, 1)
}
