package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Names of the workflows and activities of scans. They are part of every history: never rename one.
const (
	AssetScanWorkflow         = "asset-scan"
	AssetScanScheduleWorkflow = "asset-scan-schedule"

	ActivityAssetScan        = "run-asset-scan"
	ActivityTriggerAssetScan = "trigger-asset-scan"
	assetScanTimeLimit       = 24 * time.Hour
)

// AssetScan scans a registry and ends its row. One activity reads the whole registry; when its worker is lost, the next
// goes on at the repository that was being read.
//
//	id:       the execution's id
//	input:    Input
//	result:   Outcome
//	queries:  QueryState
//	queue:    assets
func AssetScan(ctx workflow.Context, in Input) (Outcome, error) {
	at := "claiming"
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (string, error) { return at, nil }); err != nil {
		return Outcome{}, err
	}
	claim, err := claimed(ctx, in)
	if err != nil || !claim.Claimed {
		return claim.Outcome, err
	}
	at = "scanning"
	var out Outcome
	if err := workflow.ExecuteActivity(assetOptions(ctx, assetScanTimeLimit, maxAttempts), ActivityAssetScan, in).Get(ctx, &out); err != nil {
		out = lost(ctx, err)
	}
	at = "finishing"
	return finish(ctx, in, out)
}

// AssetScanScheduleInput names the registry that a schedule scans.
type AssetScanScheduleInput struct {
	RegistryID string `json:"registry_id"`
}

// AssetScanSchedule is what a schedule starts: it triggers a scan, under a key made of the registry and the time for which
// it was planned, and ends. The scan itself is an execution like any other.
//
//	id:     chosen by the schedule, ends in the planned time
//	input:  AssetScanScheduleInput
//	queue:  assets
func AssetScanSchedule(ctx workflow.Context, in AssetScanScheduleInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 20},
	})
	return workflow.ExecuteActivity(ctx, ActivityTriggerAssetScan, in, workflow.GetInfo(ctx).WorkflowExecution.ID).Get(ctx, nil)
}
