package models

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIndexesAreLeftOutOfAFirstImportOnly: where there are assets, a small import does not take the indexes away from those who
// read, and a large one does only where they are few.
func TestIndexesAreLeftOutOfAFirstImportOnly(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		missing := func() int {
			have, err := s.indexNames(ctx)
			require.NoError(t, err)
			n := 0
			for _, x := range s.assetIndexes() {
				if !have[x.name] {
					n++
				}
			}
			return n
		}
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		for step, want := range []bool{true, false, true} { // of an empty installation, then a small one and a large one into one with few
			t.Run(fmt.Sprint(step), func(t *testing.T) {
				first, err := s.BeginAssetImport(ctx, []int64{100, largeImport - 1, largeImport}[step])
				require.NoError(t, err)
				require.Equal(t, want, first)
				require.Equal(t, want, missing() > 0)
				putTestImages(t, s, org.ID, testImages(rand.New(rand.NewPCG(uint64(step), 1)), 20))
				require.NoError(t, s.EndAssetImport(ctx))
				require.Zero(t, missing())
			})
		}
		n, err := s.CountAssets(ctx, AssetQuery{Organizations: []string{org.ID}})
		require.NoError(t, err)
		require.EqualValues(t, 60, n)
	})
}
