package workflows

import (
	"errors"
	"strconv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// QueuePackages is the task queue of what packages need done.
const QueuePackages = "packages"

// Names under which the workflows and activities of packages are registered. They are part of every history: never rename
// one.
const (
	PackageMirrorWorkflow         = "package-mirror"
	PackageMirrorScheduleWorkflow = "package-mirror-schedule"

	ActivityMirrorPackage      = "mirror-package"
	ActivityStartPackageMirror = "start-package-mirror"
)

// SignalMirror asks for (another) mirroring. A run that is at it may have passed what has just come, so it begins again at
// its end. No payload.
const SignalMirror = "mirror"

// PackageMirrorInput names the package to mirror.
type PackageMirrorInput struct {
	PackageID int64 `json:"package_id"`
}

// PackageMirrorID is the id of the workflow that mirrors a package: there is one at a time.
func PackageMirrorID(packageID int64) string {
	return "package-mirror-" + strconv.FormatInt(packageID, 10)
}

// PackageMirrorResult is the result of the last round.
type PackageMirrorResult struct {
	Mirrored int64 `json:"mirrored"`
	Refused  int64 `json:"refused"`
}

// Timeouts and retries of mirroring.
const (
	mirrorTimeLimit = 2 * time.Hour
	mirrorHeartbeat = 30 * time.Second
	mirrorAttempts  = 5
	// mirrorRounds bounds the history of a repository whose webhook never rests.
	mirrorRounds = 100
)

// PackageMirror makes versions of the tags of a package's repository.
//
//	id:      PackageMirrorID
//	input:   PackageMirrorInput
//	result:  PackageMirrorResult of the last round; it fails with the reason that the source's row shows, too
//	signals: SignalMirror
//	queue:   packages
func PackageMirror(ctx workflow.Context, in PackageMirrorInput) (PackageMirrorResult, error) {
	again := workflow.GetSignalChannel(ctx, SignalMirror)
	run := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: mirrorTimeLimit,
		HeartbeatTimeout:    mirrorHeartbeat,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 4, MaximumInterval: time.Minute, MaximumAttempts: mirrorAttempts},
	})
	var result PackageMirrorResult
	var err error
	for round := 1; ; round++ {
		// All that came until now is answered by this round.
		for again.ReceiveAsync(nil) {
		}
		result = PackageMirrorResult{}
		err = workflow.ExecuteActivity(run, ActivityMirrorPackage, in).Get(ctx, &result)
		var cancelled *temporal.CanceledError
		if errors.As(err, &cancelled) || again.Len() == 0 {
			return result, err
		}
		if round == mirrorRounds {
			return result, workflow.NewContinueAsNewError(ctx, PackageMirrorWorkflow, in)
		}
	}
}

// PackageMirrorSchedule is what a schedule starts. It asks for a mirroring and ends, so that the mirroring itself has the
// same id whoever asked for it.
//
//	id:     made by the schedule
//	input:  PackageMirrorInput
//	queue:  packages
func PackageMirrorSchedule(ctx workflow.Context, in PackageMirrorInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second, MaximumAttempts: 10},
	})
	return workflow.ExecuteActivity(ctx, ActivityStartPackageMirror, in).Get(ctx, nil)
}
