package state_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/internal/testenv"
)

// TestRowsAreTheContract holds the table against the list of operations of the documented surface.
func TestRowsAreTheContract(t *testing.T) {
	text, err := os.ReadFile("testdata/state-operations.tsv")
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, want, 87)
	k := onSQLite(t)
	var got []string
	for _, row := range append(slices.Clone(k.groups[0].Rows), k.groups[0].Shared...) {
		got = append(got, fmt.Sprintf("%s\t%s\t%s", row.Operation, row.Method, row.Path))
	}
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}

func TestDocumentsGolden(t *testing.T) {
	k := onSQLite(t)
	for _, g := range k.groups {
		t.Run(g.Surface.Name, func(t *testing.T) {
			doc, err := api.OpenAPI(g)
			require.NoError(t, err)
			again, err := api.OpenAPI(g)
			require.NoError(t, err)
			require.Equal(t, string(doc), string(again), "the same table makes the same document")
			if g.Surface.Name == "state" { // the own surface is whole in the assembled program only, see package app
				testenv.Golden(t, "../../docs/api/openapi-state.json", doc)
			}
		})
	}
	testenv.Golden(t, "testdata/routes.tsv", api.Routes(k.groups))
}
