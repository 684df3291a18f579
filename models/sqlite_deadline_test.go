package models

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSQLiteQueriesEndAtTheirDeadline: also those that read everything before their first row, where the driver does not
// look at the context.
func TestSQLiteQueriesEndAtTheirDeadline(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
	putTestImages(t, s, org.ID, testImages(rand.New(rand.NewPCG(1, 2026)), 30))
	for deadline, want := range map[time.Time]bool{time.Now().Add(time.Hour): true, time.Now().Add(-time.Millisecond * 10): false} {
		n, err := s.countRows(t.Context(), "SELECT COUNT(*) FROM assets WHERE "+inTimeFunction+"(assets.id, ?)", deadline.UnixMilli())
		if want {
			require.NoError(t, err)
			require.EqualValues(t, 30, n)
		} else {
			require.ErrorContains(t, err, "out of time")
		}
	}

	var queries []string
	ctx, cancel := context.WithTimeout(WatchAssetQueries(t.Context(), func(query string, _ []any) { queries = append(queries, query) }), time.Hour)
	defer cancel()
	many := strings.TrimSuffix(strings.Repeat("image_labels.a!=x;", 20), ";")
	for filter, watched := range map[string]bool{many: true, "name!=nosuch": false} {
		for name, run := range map[string]func() error{
			"list": func() error {
				_, err := s.ListAssets(ctx, AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, filter), Limit: 10})
				return err
			},
			"count": func() error {
				n, err := s.CountAssets(ctx, AssetQuery{Organizations: []string{org.ID}, Filter: parsed(t, filter)})
				require.EqualValues(t, 30, n)
				return err
			},
			"groups": func() error {
				_, _, err := s.ListFacets(ctx, FacetQuery{Organizations: []string{org.ID}, Field: "registry", Sort: "count", Filter: parsed(t, filter), Limit: 10})
				return err
			},
			"details": func() error {
				_, err := s.GroupDetails(ctx, GroupDetailQuery{Organizations: []string{org.ID}, Field: "registry", Values: []string{"docker.io"}, Filter: parsed(t, filter), Labels: true})
				return err
			},
		} {
			queries = nil
			require.NoError(t, run(), name)
			require.Equal(t, watched, slices.ContainsFunc(queries, func(q string) bool { return strings.Contains(q, inTimeFunction) }), "%s: %q", name, queries)
		}
	}
}
