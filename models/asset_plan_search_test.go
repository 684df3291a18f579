package models

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShortTermsAreNotLookedForInTrigrams asks PostgreSQL itself: for a term of less than three characters the trigram index
// gives all assets, and many such terms took seconds.
func TestShortTermsAreNotLookedForInTrigrams(t *testing.T) {
	s := onPostgres(t)
	for term, served := range map[string]bool{"nginx": true, "abc": true, "zq": false, "z": false} {
		require.NoError(t, s.Tx(t.Context(), func(tx *Store) error {
			_, err := tx.assetExec(t.Context(), "SET LOCAL enable_seqscan = off")
			require.NoError(t, err)
			var plan []string
			require.NoError(t, tx.writer(t.Context()).Raw("EXPLAIN SELECT id FROM assets WHERE "+repositoryHolds(term), "%"+term+"%").Scan(&plan).Error)
			require.Equal(t, served, strings.Contains(strings.Join(plan, "\n"), "assets_repository_text"), "%s: %q", term, plan)
			return nil
		}))
	}
}
