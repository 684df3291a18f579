// Package workflows holds the Temporal workflows: one file per noun. A workflow touches no database, clock or network;
// everything it needs to know comes from activities, and it carries ids and outcomes only: definitions, outputs, logs
// and state stay in the database, so that histories stay small and hold no secrets.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// Task queues. Each scales apart: `slipway worker --queues builds`.
const (
	QueuePipelines   = "pipelines"
	QueueBuilds      = "builds"
	QueueDeployments = "deployments"
)

// Names under which the workflows and activities are registered. They are part of every history: never rename one.
const (
	BuildWorkflow = "build"
	// DirectBuildWorkflow is Build for an execution whose Input has a ScriptQueue. It has a name of its own because workers
	// of the versions before it would begin such an execution in their own way, and nobody could go on with it then: what a
	// worker does not know at all it leaves to the others.
	DirectBuildWorkflow = "direct-build"
	// LocalBuildWorkflow is Build for such an execution whose scripts run on the workflow's own queue: they begin in the
	// worker that has the workflow's task. It has a name of its own for the same reason.
	LocalBuildWorkflow = "local-build"
	DeploymentWorkflow = "deployment"
	PipelineWorkflow   = "pipeline"

	ActivityClaim      = "claim"
	ActivityPlan       = "plan-build"
	ActivityLocks      = "request-locks"
	ActivityLockSeen   = "lock-seen"
	ActivityAdmit      = "admit"
	ActivityBeginPhase = "begin-phase"
	ActivityPutSteps   = "put-steps"
	ActivityFinish     = "finish"
	ActivityBuild      = "run-build"
	// ActivityBeginBuild is a local activity, ActivityFollowBuild runs on the queue of the worker that began.
	ActivityBeginBuild  = "begin-build"
	ActivityFollowBuild = "follow-build"
	ActivityDeployment  = "run-deployment"
)

// Signals.
const (
	// SignalLock says that the execution holds its deployments now, or has its place among those that may run side by side.
	// No payload.
	SignalLock = "lock-granted"
	// SignalDecision tells a pipeline of a confirmation's decision. Payload: Decision. It may come more than once.
	SignalDecision = "decision"
	// SignalStop ends the clean-up of a pipeline that was cancelled: somebody has cancelled it again. No payload.
	SignalStop = "stop-clean-up"
)

// QueryState answers what the workflow is at, for `temporal workflow query` and the Web UI.
const QueryState = "state"

// Input starts every execution's workflow. The workflow's id is the execution's id.
type Input struct {
	ExecutionID string `json:"execution_id"`
	// Phase is where a pipeline that continued as new goes on; Sequence is its last projected write.
	Phase    int   `json:"phase,omitempty"`
	Sequence int64 `json:"sequence,omitempty"`
	// Attributes says that Slipway's search attributes are registered: upserting one that is not would fail the workflow's
	// task for ever.
	Attributes bool `json:"attributes,omitempty"`
	// Failed is what ended a pipeline that continued as new and still has to clean up.
	Failed *Outcome `json:"failed,omitempty"`
	// TimeLeft is what is left of a pipeline's time limit, where it continued as new.
	TimeLeft time.Duration `json:"time_left,omitempty"`
	// ScriptQueue, where it is set, is the task queue of the activity that runs the scripts, and says that nothing has to be
	// decided before it: the workflow begins with it, and it claims the row.
	ScriptQueue string `json:"script_queue,omitempty"`
	// FirstRun is the first run of the workflow's chain, in whose name such an activity claims. The workflow fills it in.
	FirstRun string `json:"first_run,omitempty"`
}

// FollowInput is the input of ActivityFollowBuild.
type FollowInput struct {
	ExecutionID string `json:"execution_id"`
	// Cancelled says that the execution was cancelled meanwhile: its scripts are to end.
	Cancelled bool `json:"cancelled,omitempty"`
}

// AttributeStatus is the search attribute that holds the status of executions in which not everything went well, and of
// pipelines that wait for a person: Temporal's own status shows all of them as completed or running.
var AttributeStatus = temporal.NewSearchAttributeKeyKeyword("SlipwayStatus")

// showStatus makes the status visible in the Web UI's lists.
func showStatus(ctx workflow.Context, in Input, s models.Status) {
	if !in.Attributes {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttributeStatus.ValueSet(string(s))); err != nil {
		workflow.GetLogger(ctx).Warn("the status could not be made a search attribute", "error", err)
	}
}

// Outcome is how an execution ended, for its parent and for the people who look at the workflow's result.
type Outcome struct {
	Status models.Status `json:"status"`
	Reason string        `json:"reason,omitempty"`
	// Ended is set by activities that have ended the row in their last transaction, or found it ended: the workflow has
	// nothing more to record. Unclaimed is set by those that should have claimed the row and could not, although it is open:
	// the workflow claims it after all. Neither is in a workflow's result.
	Ended     bool `json:"ended,omitempty"`
	Unclaimed bool `json:"unclaimed,omitempty"`
	// Host is set by ActivityBeginBuild where the scripts take longer than it waits for them: the task queue of the worker
	// in which they go on. It is not in a workflow's result either.
	Host string `json:"host,omitempty"`
}

// Ok says that the execution reached what it was for.
func (o Outcome) Ok() bool { return o.Status == models.StatusOK || o.Status == models.StatusSkipped }

// ClaimResult is what the claim tells the workflow.
type ClaimResult struct {
	// Claimed is false where the row belongs to nobody any more: the workflow ends at once. Outcome is how it ended.
	Claimed bool    `json:"claimed"`
	Outcome Outcome `json:"outcome"`
	// Waiting says that a deployment lock is asked for and held by others.
	Waiting bool `json:"waiting,omitempty"`
	// Plan says that a build changes deployments, whose names stand in its plans: they are read first, so that the
	// workflow can wait for them.
	Plan bool `json:"plan,omitempty"`
	// TaskQueue is where the activity runs.
	TaskQueue string `json:"task_queue,omitempty"`
	// Queued says that as many executions run side by side as the limit allows: it waits for its place first.
	Queued bool `json:"queued,omitempty"`
	// Limited says that there is such a limit, so that a signal may have been of it.
	Limited bool `json:"limited,omitempty"`
	// TimeLimit is how long the execution may run; waiting for its place and for deployments is not counted.
	TimeLimit time.Duration `json:"time_limit,omitempty"`
	// CleanUp are a pipeline's phases that also run after a failure or a cancellation.
	CleanUp []int `json:"clean_up,omitempty"`
	// Phases is how many a pipeline has.
	Phases int `json:"phases,omitempty"`
}

// PlanResult is what the plans of a build say before any script runs.
type PlanResult struct {
	// Deployments are the root deployments that the build changes.
	Deployments []string `json:"deployments"`
	// Failed is set where the plans cannot be read at all.
	Failed *Outcome `json:"failed,omitempty"`
}

// Decision is the payload of SignalDecision.
type Decision struct {
	ConfirmationID string `json:"confirmation_id"`
	Status         string `json:"status"` // approved, disapproved, timed out
	By             string `json:"by,omitempty"`
}

// Timeouts and retries, all in one place.
const (
	// HeartbeatTimeout is how long a worker may be silent before what it ran is given to another.
	HeartbeatTimeout = 5 * time.Second
	// LocalTaskTimeout is the time that the server gives a worker for a workflow task of LocalBuildWorkflow, in which its
	// scripts begin: when it has passed, another worker begins them. It is longer than a worker goes on that nobody hears.
	LocalTaskTimeout = HeartbeatTimeout
	// FollowStart is how long the worker that began them may take to follow.
	FollowStart = 2500 * time.Millisecond
	// localTime bounds ActivityBeginBuild, and is less than LocalTaskTimeout.
	localTime = 4 * time.Second
	// forEver is longer than any database is away.
	forEver = 10 * 365 * 24 * time.Hour
	// defaultTimeLimit bounds one attempt of a build or a deployment. The worker ends the attempt a little earlier: an
	// attempt that timed out at the server would be repeated while it still runs.
	defaultTimeLimit = 24 * time.Hour
	// MaxTries is how often a worker begins with a build or a deployment, the first time included. A script that takes its
	// worker down with it would otherwise go round for ever.
	MaxTries = 5
	// maxAttempts is how often an activity without scripts begins.
	maxAttempts = 5
	// maxDispatches is how often the activity of scripts is given to a worker. It is not the bound on scripts: a worker
	// that stands still, or is cut off without its connections being closed, has polls open at the server for a minute,
	// and each takes an attempt of work that never begins there.
	maxDispatches = 100
)

// localOptions are for the small database activities. They repeat until the database answers: an execution waits for
// its database, it does not fail because of it.
func localOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		// Left out it would be the time of one try, and with it the end of all.
		ScheduleToCloseTimeout: forEver,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second,
			NonRetryableErrorTypes: []string{"InvalidDefinition"}},
	})
}

// beginOptions are for the local activity that begins the scripts of a build. It is not repeated: what it could not begin,
// or lost, is given to any worker.
func beginOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: localTime, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}})
}

// followOptions are for the activity that goes on with them in the same worker.
func followOptions(ctx workflow.Context, host string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              host,
		ScheduleToStartTimeout: FollowStart,
		StartToCloseTimeout:    defaultTimeLimit,
		HeartbeatTimeout:       HeartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// runOptions are for the activities that run scripts.
func runOptions(ctx workflow.Context, c ClaimResult) workflow.Context {
	limit := max(defaultTimeLimit, c.TimeLimit+time.Hour)
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           c.TaskQueue,
		StartToCloseTimeout: limit,
		HeartbeatTimeout:    HeartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second, MaximumAttempts: maxDispatches},
	})
}
