package app_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// An upload on which thousands of applications depend, each with a hook that is to be called, ends as soon as any other: the
// deliveries are recorded with it, and sent later.
func TestUploadWithThousandsOfDependents(t *testing.T) {
	const dependents = 3000
	a := open(t)
	ctx := t.Context()
	nobody := policies.Subject{}
	m := &release.Metadata{APIVersion: release.APIVersion, Name: "base", Version: "1", Project: "ns"}
	m.Normalise()
	_, err := a.Inventory.Register(ctx, "ns", m, nobody)
	require.NoError(t, err)
	n, err := a.Store.NamespaceByName(ctx, "ns")
	require.NoError(t, err)
	require.NoError(t, a.Store.Tx(ctx, func(tx *models.Store) error {
		for i := range dependents {
			r, err := tx.RegisterRelease(ctx, n.ID, models.NewRelease{Application: fmt.Sprintf("above-%d", i), Version: "1", Metadata: "{}",
				Dependencies: []models.Dependency{{Namespace: "ns", Application: "base", Version: "1", Build: true, Deploy: true}}})
			if err != nil {
				return err
			}
			if err := tx.SetApplicationHooks(ctx, r.ApplicationID, fmt.Sprintf(`{"build":{"url":"https://ci.example.com/%d","secret":"s"}}`, i)); err != nil {
				return err
			}
		}
		return nil
	}))
	var archive bytes.Buffer
	require.NoError(t, release.WriteArchive(&archive, m, fstest.MapFS{}))
	begin := time.Now()
	require.NoError(t, a.Inventory.Upload(ctx, m.ID(), &archive, nobody))
	took := time.Since(begin)
	t.Logf("the upload took %v", took)
	count, before := 0, ""
	for {
		list, err := a.Store.ListDeliveries(ctx, models.DeliveryFilter{NamespaceID: n.ID, Before: before, Limit: 1000})
		require.NoError(t, err)
		if len(list) == 0 {
			break
		}
		count += len(list)
		before = list[len(list)-1].ID
	}
	require.Equal(t, dependents, count)
}
