package releases_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/internal/testenv"
)

// The rows are exactly the operations of the contract: surface, operation, method and path in columns.
func TestRowsAreTheContracts(t *testing.T) {
	f, err := os.Open("testdata/operations.tsv")
	require.NoError(t, err)
	defer f.Close()
	var want []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		want = append(want, lines.Text())
	}
	require.Len(t, want, 33)
	var have []string
	for _, row := range newServer(t, options{}).group.Rows {
		have = append(have, strings.Join([]string{"releases", row.Operation, row.Method, row.Path}, "\t"))
	}
	slices.Sort(want)
	slices.Sort(have)
	require.Equal(t, want, have)
}

func TestDocumentGolden(t *testing.T) {
	g := newServer(t, options{}).group
	document, err := api.OpenAPI(g)
	require.NoError(t, err)
	testenv.Golden(t, "../../docs/api/openapi-releases.json", document)
	testenv.Golden(t, "testdata/routes.tsv", api.Routes([]api.Group{g}))
}
