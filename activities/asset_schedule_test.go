package activities_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"slipway/assets"
	"slipway/models"
	"slipway/workflows"
)

// tellingRegistry tells of each scan that a schedule asked for.
type tellingRegistry struct {
	sdk.Registry
	asked chan error
}

func (r tellingRegistry) RegisterActivityWithOptions(f any, o activity.RegisterOptions) {
	if trigger, ok := f.(func(context.Context, workflows.AssetScanScheduleInput, string) error); ok {
		f = func(ctx context.Context, in workflows.AssetScanScheduleInput, key string) error {
			err := trigger(ctx, in, key)
			r.asked <- err
			return err
		}
	}
	r.Registry.RegisterActivityWithOptions(f, o)
}

// The schedule of a registry on a real server: each of its times is one scan, none begins beside another, and one that
// Temporal has lost comes back.
func TestAssetScanScheduleOnTemporal(t *testing.T) {
	s := newAssetStack(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), assets.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asked := make(chan error, 10)
	s.work(t, func(r sdk.Registry) sdk.Registry { return tellingRegistry{r, asked} })
	r := &models.AssetRegistry{OrganizationID: s.org.ID, Name: "hub", URL: "https://127.0.0.1:1", Schedule: "0 3 * * *"}
	require.NoError(t, s.store.PutAssetRegistry(ctx, r, nil))
	plans := assets.Schedules{Store: s.store, Client: s.client}
	for range 2 {
		require.NoError(t, plans.Put(ctx, r))
	}
	handle := s.client.ScheduleClient().GetHandle(ctx, "asset-scan-"+r.ID)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	fire := func(days int) {
		t.Helper()
		from := day.AddDate(0, 0, days)
		require.NoError(t, handle.Backfill(ctx, client.ScheduleBackfillOptions{Backfill: []client.ScheduleBackfill{{Start: from, End: from.Add(23 * time.Hour), Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}}}))
		require.NoError(t, <-asked)
	}
	scans := func() []models.Execution {
		t.Helper()
		list, err := s.store.ListExecutions(ctx, models.ExecutionFilter{SubjectID: r.ID})
		require.NoError(t, err)
		return list
	}
	fire(0)
	require.Len(t, scans(), 1)
	require.Equal(t, "schedule", scans()[0].Trigger.Type)
	var out workflows.Outcome
	require.NoError(t, s.client.GetWorkflow(ctx, scans()[0].ID, "").Get(ctx, &out))
	require.Equal(t, models.StatusFailed, out.Status, "there is no registry")
	fire(0)
	require.Len(t, scans(), 1, "the same time is the same scan")
	// One that is still at work.
	open, _, err := s.store.CreateExecution(ctx, models.NewExecution{Kind: models.KindAssetScan, SubjectID: r.ID, SubjectName: r.Name, Definition: models.AssetScanDefinition{RegistryID: r.ID}})
	require.NoError(t, err)
	fire(1)
	require.Len(t, scans(), 2, "it is skipped")
	_, err = s.store.FinishExecution(ctx, open.ID, models.StatusOK, "")
	require.NoError(t, err)
	fire(2)
	require.Len(t, scans(), 3)
	// One that a quota has no room for is skipped, too: Temporal would try it again and again.
	require.NoError(t, s.client.GetWorkflow(ctx, scans()[0].ID, "").Get(ctx, &out))
	none := int64(0)
	require.NoError(t, s.store.SetQuota(ctx, s.org.ID, models.QuotaExecutions, &none))
	fire(3)
	require.Len(t, scans(), 3)

	require.NoError(t, handle.Delete(ctx))
	require.NoError(t, plans.Synchronize(ctx))
	_, err = handle.Describe(ctx)
	require.NoError(t, err)
	r.Schedule = ""
	require.NoError(t, plans.Put(ctx, r))
	var missing *serviceerror.NotFound
	_, err = handle.Describe(ctx)
	require.ErrorAs(t, err, &missing)
	r.Schedule = "nonsense"
	require.ErrorContains(t, plans.Put(ctx, r), "expected a cron expression")
}
