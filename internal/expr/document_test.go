package expr

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page about plans names every function.
func TestThePageAboutPlansNamesEveryFunction(t *testing.T) {
	page, err := os.ReadFile("../../docs/plan-file.md")
	require.NoError(t, err)
	for name := range functions {
		require.Contains(t, string(page), "`"+name+"`")
	}
}
