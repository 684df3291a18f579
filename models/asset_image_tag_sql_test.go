package models

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// TestImageTagPatternsHaveAnIndex asks PostgreSQL itself: the index is only taken for the very expression that it is on, and
// where it finds no trigram in a pattern, it gives all assets.
func TestImageTagPatternsHaveAnIndex(t *testing.T) {
	s := onPostgres(t)
	org := newOrganization(t, s, "one-org", OrganizationOrg, nil)
	_, err := s.PutImages(t.Context(), org.ID, []Image{{Registry: "docker.io", Repository: "a/b", ConfigDigest: "sha256:" + strings.Repeat("0", 64), ImageTags: []string{"qqqqq"}}}, false)
	require.NoError(t, err)
	for pattern, served := range map[string]bool{
		"*nosuch*": true, "v1*": true, "*-rc": true, "v*-rc": true, "*rc*": true, "*.9*": true, "*9.*": true, "9*": true, "*9": true, "*a*bcd*": true,
		"*9*": false, "*a*b*": false, "*.-*": false, "*": false,
	} {
		n, err := rsql.Parse("image_tag==" + pattern)
		require.NoError(t, err)
		where, args, found := imageTagsLike(n.(*rsql.Comparison).Values[0])
		require.Equal(t, served, found, pattern)
		if !found {
			continue
		}
		require.NoError(t, s.Tx(t.Context(), func(tx *Store) error {
			_, err := tx.assetExec(t.Context(), "SET LOCAL enable_seqscan = off")
			require.NoError(t, err)
			var plan []string
			require.NoError(t, tx.writer(t.Context()).Raw("EXPLAIN ANALYZE SELECT id FROM assets WHERE "+where, args...).Scan(&plan).Error)
			text := strings.Join(plan, "\n")
			require.Contains(t, text, "assets_image_tag_text", pattern)
			require.NotContains(t, text, "Seq Scan", pattern)
			require.NotContains(t, text, "rows=1 loops", pattern)
			return nil
		}))
	}
}
