package models

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// TestSearchesHoldNoWriter: SQLite has one, and a search may take minutes. Whatever a search reads, somebody else can write
// meanwhile.
func TestSearchesHoldNoWriter(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
		putTestImages(t, s, org.ID, testImages(rand.New(rand.NewPCG(1, 2026)), 30))
		q := AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, "image_tag!=nosuch"), Sort: rsql.Sort{{Field: "name", Descending: true}}}
		for kept, want := range map[int64][2]int64{100: {30, 30}, 30: {30, 30}, 7: {30, 7}} {
			a := &AssetSearch{ScopeID: org.ID, ExpiresAt: c.now().Add(time.Hour)}
			require.NoError(t, s.CreateAssetSearch(t.Context(), a))
			written := 0
			ctx := WatchAssetQueries(t.Context(), func(query string, _ []any) {
				if s.dialect == SQLite && strings.Contains(query, "FROM assets WHERE") {
					written++
					free, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					require.NoError(t, s.Audit(free, AuditEntry{Action: "x:y"}), "while it reads: %s", query)
				}
			})
			require.NoError(t, s.RunAssetSearch(ctx, a.ID, q, kept))
			require.Equal(t, s.dialect == SQLite, written > 0)
			done, err := s.AssetSearchByID(t.Context(), org.ID, a.ID)
			require.NoError(t, err)
			require.Equal(t, StatusOK, done.Status)
			require.Equal(t, want, [2]int64{done.Found, done.Kept})
			list, err := s.ListAssets(t.Context(), AssetQuery{Organizations: q.Organizations, Search: a.ID, Sort: rsql.Sort{{Field: SortOrdinal}}, Limit: 100})
			require.NoError(t, err)
			all, err := s.ListAssets(t.Context(), AssetQuery{Organizations: q.Organizations, Sort: rsql.Sort{{Field: "name", Descending: true}}, Limit: int(kept)})
			require.NoError(t, err)
			require.Equal(t, all.Assets, list.Assets)
		}
		nowhere := &AssetSearch{ScopeID: org.ID, ExpiresAt: c.now().Add(time.Hour)}
		require.NoError(t, s.CreateAssetSearch(t.Context(), nowhere))
		require.NoError(t, s.RunAssetSearch(t.Context(), nowhere.ID, AssetQuery{Sort: q.Sort}, 10))
	})
}
