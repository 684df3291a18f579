package workflows

import (
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// Build runs one execution of a build.
//
//	id:       the execution's id
//	input:    Input
//	result:   Outcome; it fails only for faults of Slipway
//	signals:  SignalLock, when it deploys
//	queries:  QueryState
//	queue:    builds; its activity runs on the queue that the claim names
func Build(ctx workflow.Context, in Input) (Outcome, error) {
	return run(ctx, in, ActivityBuild)
}

// Deployment runs one execution of a deployment job: deploy, smoke, destroy or errand. Its contract is Build's, on queue
// deployments.
func Deployment(ctx workflow.Context, in Input) (Outcome, error) {
	return run(ctx, in, ActivityDeployment)
}

// run is what builds and deployments share: claim the row, wait for the deployments it changes, run the scripts in one
// activity, which ends the row. Where nothing has to be decided before them, that activity claims the row too, and is all
// that the workflow does: a local activity costs a marker in the history and its share of the server.
//
// All scripts run in one activity because one costs some 24 ms of processor time and 17 database transactions, and nothing
// between two scripts of one worker needs Temporal to decide.
func run(ctx workflow.Context, in Input, activity string) (Outcome, error) {
	at := "claiming"
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (string, error) { return at, nil }); err != nil {
		return Outcome{}, err
	}
	if in.ScriptQueue != "" {
		at = "running"
		direct := in
		direct.FirstRun = workflow.GetInfo(ctx).FirstRunID
		out, ran := Outcome{}, false
		if workflow.GetInfo(ctx).WorkflowType.Name == LocalBuildWorkflow {
			out, ran = here(ctx, direct)
		}
		if !ran {
			out = scripts(ctx, direct, activity, ClaimResult{TaskQueue: in.ScriptQueue}, newTimeLimit(0))
		}
		if !out.Unclaimed {
			at = "finishing"
			return finish(ctx, in, out)
		}
		at = "claiming"
	}
	claim, err := claimed(ctx, in)
	if err != nil || !claim.Claimed {
		return claim.Outcome, err
	}
	in.ScriptQueue = ""
	if claim.Queued {
		at = "waiting for its turn: as many executions run side by side as may"
		if out, err := awaitTurn(ctx, in, &claim); err != nil {
			return Outcome{}, err
		} else if out != nil {
			return finish(ctx, in, *out)
		}
	}
	limit := newTimeLimit(claim.TimeLimit)
	if claim.Plan {
		at = "reading the plans"
		var plan PlanResult
		over, err := limit.run(ctx, func(ctx workflow.Context) workflow.Future {
			return workflow.ExecuteActivity(runOptions(ctx, claim), ActivityPlan, in)
		}, &plan)
		switch {
		case over && (err != nil || plan.Failed != nil):
			return finish(ctx, in, limit.outcome())
		case err != nil:
			return finish(ctx, in, lost(ctx, err))
		}
		if plan.Failed != nil {
			return finish(ctx, in, *plan.Failed)
		}
		if err := local(ctx, ActivityLocks, &claim.Waiting, in, plan.Deployments); err != nil {
			return finish(ctx, in, lost(ctx, err))
		}
	}
	if claim.Waiting {
		at = "waiting for a deployment that another execution changes"
		for claim.Waiting {
			if !awaitLock(ctx) {
				return finish(ctx, in, Outcome{Status: models.StatusCancelled, Reason: "cancelled while it waited for a deployment"})
			}
			claim.Waiting = false
			if !claim.Limited {
				break
			}
			// The signal may have been an old one, of its place.
			if err := local(ctx, ActivityLocks, &claim.Waiting, in, []string{}); err != nil {
				return finish(ctx, in, lost(ctx, err))
			}
		}
		if err := local(ctx, ActivityLockSeen, nil, in); err != nil {
			return Outcome{}, err
		}
	}
	at = "running"
	out := scripts(ctx, in, activity, claim, limit)
	at = "finishing"
	return finish(ctx, in, out)
}

// scripts runs the activity that runs the scripts.
func scripts(ctx workflow.Context, in Input, activity string, claim ClaimResult, limit *timeLimit) Outcome {
	var out Outcome
	over, err := limit.run(ctx, func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(runOptions(ctx, claim), activity, in)
	}, &out)
	if err != nil {
		out = lost(ctx, err)
	}
	if over && !out.Ok() && !out.Ended {
		return limit.outcome()
	}
	return out
}

// here runs the scripts in the worker that has the workflow's task: they begin in a local activity, which costs the server
// a third of what an activity does, and where they take longer an activity follows them there. False says that this worker
// could not begin them, or was lost: then they are any worker's.
func here(ctx workflow.Context, in Input) (Outcome, bool) {
	if ctx.Err() != nil {
		return lost(ctx, ctx.Err()), true
	}
	// A cancellation reaches the scripts by itself. The workflow looks at it once it knows how they ended, or where they go on.
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var out Outcome
	err := workflow.ExecuteLocalActivity(beginOptions(clean), ActivityBeginBuild, in).Get(clean, &out)
	if err == nil && out.Host != "" {
		host := out.Host
		out = Outcome{}
		// After a cancellation too: the scripts have to end before the execution shows as ended.
		open, q := ctx, FollowInput{ExecutionID: in.ExecutionID, Cancelled: ctx.Err() != nil}
		if q.Cancelled {
			open = clean
		}
		err = workflow.ExecuteActivity(followOptions(open, host), ActivityFollowBuild, q).Get(open, &out)
		if err != nil && ctx.Err() != nil && !q.Cancelled {
			// An activity that is cancelled before it begins ends without its worker, where the scripts still run.
			q.Cancelled = true
			err = workflow.ExecuteActivity(followOptions(clean, host), ActivityFollowBuild, q).Get(clean, &out)
		}
		if tooLong(err) && workflow.GetVersion(ctx, "limit-of-followed-builds", workflow.DefaultVersion, 1) == 1 {
			return lost(ctx, err), true
		}
	}
	switch {
	case err == nil:
		return out, true
	case ctx.Err() != nil:
		return lost(ctx, err), true
	}
	return Outcome{}, false
}

// tooLong says that an activity was ended because it ran for longer than it may.
func tooLong(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() == enums.TIMEOUT_TYPE_START_TO_CLOSE
}

// claimed claims the execution's row for this run. It is the first thing that every workflow does; without the claim it
// must end at once, since the caller may have been told that nothing was started.
func claimed(ctx workflow.Context, in Input) (ClaimResult, error) {
	var c ClaimResult
	// The first run of the chain names the claim, so that a pipeline that continued as new still owns its row.
	// A cancellation that comes before the claim must not keep the row from being ended.
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	err := local(clean, ActivityClaim, &c, in, workflow.GetInfo(ctx).FirstRunID, kindOf(ctx))
	return c, err
}

// kindOf is the kind of the execution that a workflow runs. Their names are the same but for those of builds.
func kindOf(ctx workflow.Context) string {
	switch name := workflow.GetInfo(ctx).WorkflowType.Name; name {
	case DirectBuildWorkflow, LocalBuildWorkflow:
		return BuildWorkflow
	default:
		return name
	}
}

// awaitLock waits for the deployments to be free. False means that the execution was cancelled first.
func awaitLock(ctx workflow.Context) bool {
	ch := workflow.GetSignalChannel(ctx, SignalLock)
	ok := false
	workflow.NewSelector(ctx).
		AddReceive(ch, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil); ok = true }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	return ok
}

// finish ends the row on a context that a cancellation does not reach, unless the activity has ended it already.
func finish(ctx workflow.Context, in Input, out Outcome) (Outcome, error) {
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var final Outcome
	var err error
	if out.Ended {
		final = Outcome{Status: out.Status, Reason: out.Reason}
	} else {
		err = local(clean, ActivityFinish, &final, in, kindOf(ctx), out)
	}
	if err == nil && final.Status != models.StatusOK {
		showStatus(clean, in, final.Status)
	}
	return final, err
}

// lost turns the error of an activity into an outcome. Scripts that fail are results, not errors: an error means that
// the activity was cancelled, that its workers were lost, or a fault of ours.
func lost(ctx workflow.Context, err error) Outcome {
	var timeout *temporal.TimeoutError
	switch {
	case temporal.IsCanceledError(err) || ctx.Err() != nil:
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	case errors.As(err, &timeout):
		if timeout.TimeoutType() == heartbeatTimeout {
			return Outcome{Status: models.StatusFailed, Reason: "the worker that ran it was lost, several times in a row"}
		}
		return Outcome{Status: models.StatusFailed, Reason: "it ran longer than its time limit"}
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return Outcome{Status: models.StatusFailed, Reason: app.Message()}
	}
	return Outcome{Status: models.StatusFailed, Reason: err.Error()}
}

// local runs a local activity and reads its result into into, where it has one.
func local(ctx workflow.Context, activity string, into any, args ...any) error {
	return workflow.ExecuteLocalActivity(localOptions(ctx), activity, args...).Get(ctx, into)
}
