package activities

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/assets"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

// Assets are the activities of searches and scans of assets.
type Assets struct {
	Store      *models.Store
	Service    *assets.Service
	Scanner    *assets.Scanner
	Executions *Executions
	// Triggers starts the scans of schedules.
	Triggers assets.Executions
	Log      *slog.Logger
}

// Register says what runs on the queue of assets. It says whether the queue is that one.
func (a *Assets) Register(queue string, r worker.Registry) bool {
	if queue != workflows.QueueAssets {
		return false
	}
	r.RegisterWorkflowWithOptions(workflows.AssetSearch, workflow.RegisterOptions{Name: workflows.AssetSearchWorkflow})
	r.RegisterWorkflowWithOptions(workflows.AssetScan, workflow.RegisterOptions{Name: workflows.AssetScanWorkflow})
	r.RegisterWorkflowWithOptions(workflows.AssetScanSchedule, workflow.RegisterOptions{Name: workflows.AssetScanScheduleWorkflow})
	for name, f := range map[string]any{
		workflows.ActivityClaim:            a.Executions.Claim,
		workflows.ActivityFinish:           a.Executions.Finish,
		workflows.ActivityAssetSearch:      a.Search,
		workflows.ActivityAssetExpire:      a.Expire,
		workflows.ActivityAssetScan:        a.Scan,
		workflows.ActivityTriggerAssetScan: a.TriggerScan,
	} {
		r.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
	return true
}

// Search runs a recorded search and gives the time for which its results are kept. It can be repeated.
func (a *Assets) Search(ctx context.Context, in workflows.Input) (time.Duration, error) {
	stop := beat(ctx)
	defer stop()
	var d models.AssetSearchDefinition
	if err := a.definition(ctx, in, &d); err != nil {
		return 0, err
	}
	keep, err := a.Service.RunSearch(ctx, d)
	if err != nil {
		// The reason is shown to whoever reads the results: the cause, which may be a query, is for the log.
		a.Log.ErrorContext(ctx, "a search of assets failed", "execution", in.ExecutionID, "search", d.SearchID, "error", err)
		return 0, temporal.NewApplicationErrorWithOptions("the database could not run it", "AssetSearch", temporal.ApplicationErrorOptions{})
	}
	return keep, nil
}

// Expire removes the searches that have expired, with their results.
func (a *Assets) Expire(ctx context.Context) error {
	stop := beat(ctx)
	defer stop()
	return a.Service.ExpireSearches(ctx)
}

// Scan reads a registry. What cannot be read of it is the outcome, not an error.
func (a *Assets) Scan(ctx context.Context, in workflows.Input) (workflows.Outcome, error) {
	stop := beat(ctx)
	defer stop()
	var d models.AssetScanDefinition
	if err := a.definition(ctx, in, &d); err != nil {
		return workflows.Outcome{}, err
	}
	r, err := a.Store.AssetRegistryByID(ctx, d.RegistryID)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.Outcome{Status: models.StatusFailed, Reason: "the registry was removed"}, nil
	}
	if err != nil {
		return workflows.Outcome{}, err
	}
	err = a.Scanner.Scan(ctx, in.ExecutionID, r, nil)
	var failed *assets.ScanError
	switch {
	case errors.As(err, &failed):
		return workflows.Outcome{Status: models.StatusFailed, Reason: failed.Reason}, nil
	case err != nil:
		return workflows.Outcome{}, err
	}
	return workflows.Outcome{Status: models.StatusOK}, nil
}

// TriggerScan starts the scan that a schedule planned. key is the same however often it is tried.
func (a *Assets) TriggerScan(ctx context.Context, in workflows.AssetScanScheduleInput, key string) error {
	r, err := a.Store.AssetRegistryByID(ctx, in.RegistryID)
	if errors.Is(err, models.ErrNotFound) {
		return nil // removed meanwhile, its schedule goes too
	}
	if err != nil {
		return err
	}
	// The schedule knows only of the workflow that called this, and that ends at once: a scan that is still at work is seen
	// here.
	key = "asset-scan/" + key
	if _, err := a.Store.ExecutionByKey(ctx, key); !errors.Is(err, models.ErrNotFound) {
		return err
	}
	open, err := a.Store.OpenExecutions(ctx, r.ID)
	if err != nil {
		return err
	}
	if open > 0 {
		a.Log.InfoContext(ctx, "a scheduled scan is skipped: one is still at work", "registry", r.Name)
		return nil
	}
	_, err = assets.TriggerScan(ctx, a.Triggers, r, models.Trigger{Type: "schedule"}, key, nil)
	if problem.Is(err, problem.LimitReached) {
		a.Log.WarnContext(ctx, "a scheduled scan is skipped", "registry", r.Name, "reason", err)
		return nil
	}
	return err
}

// definition reads what an execution runs.
func (a *Assets) definition(ctx context.Context, in workflows.Input, into any) error {
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if err != nil {
		return err
	}
	if err := e.DefinitionInto(into); err != nil {
		return invalid(err)
	}
	return nil
}

// beat tells the server that the worker lives, until stop is called: the work itself may be one long query.
func beat(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(heartbeatEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-t.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	})
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

var _ assets.Executions = (*executions.Service)(nil)
