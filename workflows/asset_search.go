package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// QueueAssets is the task queue of searches and scans.
const QueueAssets = "assets"

// Names of the workflows and activities of assets. They are part of every history: never rename one.
const (
	AssetSearchWorkflow = "asset-search"

	ActivityAssetSearch  = "run-asset-search"
	ActivityAssetExpire  = "expire-asset-searches"
	assetSearchTimeLimit = 10 * time.Minute
)

// assetOptions are for the activities of searches: short, repeated when their worker is lost.
func assetOptions(ctx workflow.Context, limit time.Duration, attempts int32) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueAssets,
		StartToCloseTimeout: limit,
		HeartbeatTimeout:    HeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second, MaximumAttempts: attempts},
	})
}

// AssetSearch runs a recorded search, ends its row, and removes what it found once that has expired.
//
//	id:       the execution's id
//	input:    Input
//	result:   Outcome
//	queries:  QueryState
//	queue:    assets
func AssetSearch(ctx workflow.Context, in Input) (Outcome, error) {
	at := "claiming"
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (string, error) { return at, nil }); err != nil {
		return Outcome{}, err
	}
	claim, err := claimed(ctx, in)
	if err != nil || !claim.Claimed {
		return claim.Outcome, err
	}
	at = "searching"
	out := Outcome{Status: models.StatusOK}
	var keep time.Duration
	if err := workflow.ExecuteActivity(assetOptions(ctx, assetSearchTimeLimit, maxAttempts), ActivityAssetSearch, in).Get(ctx, &keep); err != nil {
		out = lost(ctx, err)
	}
	if out, err = finish(ctx, in, out); err != nil || !out.Ok() {
		return out, err
	}
	at = "keeping the results until they expire"
	// A second more, so that what expires at this very moment is seen as expired.
	if workflow.Sleep(ctx, keep+time.Second) != nil {
		return out, nil //nolint:nilerr // cancelled: the next search that expires takes the results with it
	}
	at = "removing what has expired"
	// No bound on the attempts: nothing else waits for it, and it is the only one who removes the results.
	err = workflow.ExecuteActivity(assetOptions(ctx, assetSearchTimeLimit, 0), ActivityAssetExpire).Get(ctx, nil)
	return out, err
}
