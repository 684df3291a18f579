package models

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// TestAssetPagesReadBackwardAreStableUnderInserts: from the end of a list to its start each asset that was there comes once.
func TestAssetPagesReadBackwardAreStableUnderInserts(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		r := rand.New(rand.NewPCG(12, 2026))
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		before := putTestImages(t, s, org.ID, testImages(r, 60))
		for _, field := range []string{"name", "-class", "created_at", "class,-name"} {
			order, err := rsql.ParseSort(field, "name", "class", "created_at")
			require.NoError(t, err)
			q := AssetQuery{Organizations: []string{org.ID}, Sort: order, Limit: 10, Backward: true}
			seen := map[string]int{}
			for {
				p, err := s.ListAssets(t.Context(), q)
				require.NoError(t, err)
				for _, a := range p.Assets {
					seen[a.ID]++
				}
				if !p.More {
					break
				}
				first := p.Cursor(order, 0)
				q.After = &first
				putTestImages(t, s, org.ID, testImages(r, 5))
			}
			for id := range before {
				require.Equal(t, 1, seen[id], "sort %s", field)
			}
		}
	})
}
