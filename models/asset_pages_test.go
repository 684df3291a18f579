package models

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// TestAssetPagesAreStableUnderInserts: what was there when reading began is read once, whatever comes in between, from the
// start of a list to its end and from its end to its start.
func TestAssetPagesAreStableUnderInserts(t *testing.T) {
	for name, backward := range map[string]bool{"forward": false, "backward": true} {
		t.Run(name, func(t *testing.T) {
			onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
				r := rand.New(rand.NewPCG(12, 2026))
				org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
				before := putTestImages(t, s, org.ID, testImages(r, 60))
				for _, field := range []string{"name", "-class", "created_at", "class,-name"} {
					order, err := rsql.ParseSort(field, "name", "class", "created_at")
					require.NoError(t, err)
					q := AssetQuery{Organizations: []string{org.ID}, Sort: order, Limit: 10, Backward: backward}
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
						last := len(p.Assets) - 1
						if backward {
							last = 0
						}
						c := p.Cursor(order, last)
						q.After = &c
						putTestImages(t, s, org.ID, testImages(r, 5))
					}
					for id := range before {
						require.Equal(t, 1, seen[id], "sort %s", field)
					}
				}
			})
		})
	}
}
