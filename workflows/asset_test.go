package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// assetEnv runs the workflows of assets with activities by hand.
type assetEnv struct {
	*testsuite.TestWorkflowEnvironment
	f       *fake
	search  func() (time.Duration, error)
	scan    func() (Outcome, error)
	expired time.Time
	keys    []string
}

func newAssetEnv(t *testing.T, f *fake) *assetEnv {
	e := &assetEnv{TestWorkflowEnvironment: newEnv(t, f), f: f}
	act := func(fn any, name string) { e.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name}) }
	act(func(context.Context, Input) (time.Duration, error) { return e.search() }, ActivityAssetSearch)
	act(func(context.Context) error { e.expired = e.Now(); return nil }, ActivityAssetExpire)
	act(func(context.Context, Input) (Outcome, error) { return e.scan() }, ActivityAssetScan)
	act(func(_ context.Context, _ AssetScanScheduleInput, key string) error {
		e.keys = append(e.keys, key)
		return nil
	}, ActivityTriggerAssetScan)
	e.RegisterWorkflowWithOptions(AssetSearch, workflow.RegisterOptions{Name: AssetSearchWorkflow})
	e.RegisterWorkflowWithOptions(AssetScan, workflow.RegisterOptions{Name: AssetScanWorkflow})
	e.RegisterWorkflowWithOptions(AssetScanSchedule, workflow.RegisterOptions{Name: AssetScanScheduleWorkflow})
	return e
}

func (e *assetEnv) outcome(t *testing.T) Outcome {
	t.Helper()
	require.True(t, e.IsWorkflowCompleted())
	require.NoError(t, e.GetWorkflowError())
	var out Outcome
	require.NoError(t, e.GetWorkflowResult(&out))
	return out
}

func TestAssetSearchRemovesItsResultsWhenTheyExpire(t *testing.T) {
	e := newAssetEnv(t, &fake{claim: ClaimResult{Claimed: true}})
	e.search = func() (time.Duration, error) { return time.Hour, nil }
	start := e.Now()
	e.ExecuteWorkflow(AssetSearchWorkflow, Input{ExecutionID: "x"})
	require.Equal(t, Outcome{Status: models.StatusOK}, e.outcome(t))
	require.Equal(t, []Outcome{{Status: models.StatusOK}}, e.f.finished, "the row ends long before")
	require.WithinRange(t, e.expired, start.Add(time.Hour), start.Add(time.Hour+time.Minute))
}

func TestAssetSearchTriesAgain(t *testing.T) {
	e := newAssetEnv(t, &fake{claim: ClaimResult{Claimed: true}})
	tries := 0
	e.search = func() (time.Duration, error) {
		if tries++; tries < 3 {
			return 0, errors.New("the database is away")
		}
		return time.Minute, nil
	}
	e.ExecuteWorkflow(AssetSearchWorkflow, Input{ExecutionID: "x"})
	require.Equal(t, models.StatusOK, e.outcome(t).Status)
	require.Equal(t, 3, tries)
}

func TestAssetSearchFails(t *testing.T) {
	e := newAssetEnv(t, &fake{claim: ClaimResult{Claimed: true}})
	e.search = func() (time.Duration, error) {
		return 0, temporal.NewApplicationError("the database could not run it", "AssetSearch")
	}
	e.ExecuteWorkflow(AssetSearchWorkflow, Input{ExecutionID: "x"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "the database could not run it"}, e.outcome(t))
	require.True(t, e.expired.IsZero())
}

func TestAssetWorkflowsEndWithoutTheClaim(t *testing.T) {
	for _, name := range []string{AssetSearchWorkflow, AssetScanWorkflow} {
		e := newAssetEnv(t, &fake{claim: ClaimResult{Outcome: Outcome{Status: models.StatusAbandoned, Reason: "never started"}}})
		e.ExecuteWorkflow(name, Input{ExecutionID: "x"})
		require.Equal(t, models.StatusAbandoned, e.outcome(t).Status)
		require.Empty(t, e.f.finished)
	}
}

func TestAssetScanEndsWithItsReason(t *testing.T) {
	e := newAssetEnv(t, &fake{claim: ClaimResult{Claimed: true}})
	e.scan = func() (Outcome, error) {
		return Outcome{Status: models.StatusFailed, Reason: "the registry did not answer in time"}, nil
	}
	e.ExecuteWorkflow(AssetScanWorkflow, Input{ExecutionID: "x"})
	require.Equal(t, "the registry did not answer in time", e.outcome(t).Reason)
	require.Len(t, e.f.finished, 1)
}

func TestAssetScanScheduleTriggersUnderItsPlannedTime(t *testing.T) {
	e := newAssetEnv(t, &fake{})
	e.ExecuteWorkflow(AssetScanScheduleWorkflow, AssetScanScheduleInput{RegistryID: "r"})
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, []string{"default-test-workflow-id"}, e.keys)
}
