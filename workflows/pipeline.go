package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

const heartbeatTimeout = enums.TIMEOUT_TYPE_HEARTBEAT

// StepRun is a step of the phase that is about to run, as the activity begin-phase prepared it.
type StepRun struct {
	Step int    `json:"step"`
	Name string `json:"name"`
	Type string `json:"type"`
	// Outcome is set for steps that have ended already: kept from the execution that is retried, or impossible to begin.
	Outcome *Outcome `json:"outcome,omitempty"`
	// ChildID, Workflow and TaskQueue are the execution that the step runs as.
	ChildID   string `json:"child_id,omitempty"`
	Workflow  string `json:"workflow,omitempty"`
	TaskQueue string `json:"task_queue,omitempty"`
	// ScriptQueue is Input.ScriptQueue of that execution.
	ScriptQueue string `json:"script_queue,omitempty"`
	// DeliveryID is the delivery that the step runs as, in place of an execution.
	DeliveryID string `json:"delivery_id,omitempty"`
	// ConfirmationID is the decision that the step waits for.
	ConfirmationID string `json:"confirmation_id,omitempty"`
	// ExpiresAt is when that times out.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// IgnoreFailure lets the pipeline go on whatever the step's outcome.
	IgnoreFailure bool `json:"ignore_failure,omitempty"`
}

// PhaseEnd is what is still to be written of the phase before: how the steps without an execution of their own ended.
type PhaseEnd struct {
	Phase int          `json:"phase"`
	Steps []StepUpdate `json:"steps"`
}

// StepUpdate is the end of a step that has no execution of its own.
type StepUpdate struct {
	Step    int     `json:"step"`
	Outcome Outcome `json:"outcome"`
}

// pipelineState is what the workflow knows between two tasks.
type pipelineState struct {
	// Phase that runs, from 0.
	Phase int `json:"phase"`
	// Waiting lists the confirmations nobody has decided yet.
	Waiting []string `json:"waiting,omitempty"`
	// Sequence of the last projected write.
	Sequence int64 `json:"sequence"`
	// ended is what is still to be written of the phase before.
	ended *PhaseEnd
	// Failed is what ended the phases before, once only those are left that clean up.
	Failed *Outcome `json:"failed,omitempty"`
}

// Pipeline runs one execution of a pipeline: its phases one after another, the steps of a phase side by side, each as an
// execution of its own (a child workflow that is asked to cancel when this one closes).
//
//	id:       the execution's id
//	input:    Input; Phase > 0 where it continued as new
//	result:   Outcome
//	signals:  SignalDecision; SignalLock, where it waits for its turn; SignalStop, while it cleans up
//	queries:  QueryState
//	queue:    pipelines
func Pipeline(ctx workflow.Context, in Input) (Outcome, error) {
	st := &pipelineState{Phase: in.Phase, Sequence: in.Sequence, Failed: in.Failed}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (*pipelineState, error) { return st, nil }); err != nil {
		return Outcome{}, err
	}
	claim, err := claimed(ctx, in)
	if err != nil || !claim.Claimed {
		return claim.Outcome, err
	}
	if claim.Queued {
		if out, err := awaitTurn(ctx, in, &claim); err != nil {
			return Outcome{}, err
		} else if out != nil {
			return finish(ctx, in, *out)
		}
	}
	limit := newTimeLimit(claim.TimeLimit)
	if in.TimeLeft > 0 {
		limit.left = in.TimeLeft
	}
	if st.Failed != nil {
		limit = newTimeLimit(0) // it has ended already, and cleans up
	}
	began := workflow.Now(ctx)
	phases, over, stop := limit.watch(ctx)
	defer stop()
	if st.Failed != nil {
		phases = cleanUp(ctx, *st.Failed)
	}
	for st.Phase < claim.Phases {
		out, err := st.runPhase(phases, in)
		if err != nil {
			return Outcome{}, err
		}
		if !out.Ok() && st.Failed == nil {
			if over() {
				out = limit.outcome()
			}
			st.Failed = &out
			if st.nextPhase(claim) < claim.Phases {
				stop()
				phases = cleanUp(ctx, out)
			}
		}
		st.Phase = st.nextPhase(claim)
		if st.Failed != nil && phases.Err() != nil {
			break // the clean-up was cancelled too
		}
		if st.Phase < claim.Phases && workflow.GetInfo(ctx).GetContinueAsNewSuggested() && (ctx.Err() == nil || st.Failed != nil) {
			if err := st.flush(ctx, in); err != nil {
				return Outcome{}, err
			}
			next := Input{ExecutionID: in.ExecutionID, Phase: st.Phase, Sequence: st.Sequence, Attributes: in.Attributes, Failed: st.Failed}
			if limit.whole > 0 {
				next.TimeLeft = max(limit.left-workflow.Now(ctx).Sub(began), 1)
			}
			return Outcome{}, workflow.NewContinueAsNewError(ctx, PipelineWorkflow, next)
		}
	}
	if err := st.flush(ctx, in); err != nil {
		return Outcome{}, err
	}
	if st.Failed != nil {
		return finish(ctx, in, *st.Failed)
	}
	return finish(ctx, in, Outcome{Status: models.StatusOK})
}

// nextPhase is the phase that follows: after a failure or a cancellation, the next one that cleans up.
func (st *pipelineState) nextPhase(c ClaimResult) int {
	next := st.Phase + 1
	for st.Failed != nil && next < c.Phases && !slices.Contains(c.CleanUp, next) {
		next++
	}
	return next
}

// cleanUp gives the context of the phases that run after a failure or a cancellation. After a failure it is the
// workflow's own: a cancellation ends the clean-up. After a cancellation it takes a second one, that came while the
// clean-up ran; two in a row are an impatient person, who does not mean that nothing be cleaned up.
func cleanUp(ctx workflow.Context, failed Outcome) workflow.Context {
	if failed.Status != models.StatusCancelled {
		return ctx
	}
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	stop := workflow.GetSignalChannel(clean, SignalStop)
	for stop.ReceiveAsync(nil) {
	}
	workflow.Go(clean, func(ctx workflow.Context) {
		stop.Receive(ctx, nil)
		cancel()
	})
	return clean
}

// runPhase begins all steps of the phase and waits for all of them: a step that fails does not stop the ones beside it.
func (st *pipelineState) runPhase(ctx workflow.Context, in Input) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, nil
	}
	var steps []StepRun
	st.Sequence++
	if err := local(ctx, ActivityBeginPhase, &steps, in, st.Phase, st.Sequence, st.ended); err != nil {
		if ctx.Err() != nil {
			return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, nil
		}
		return Outcome{}, err
	}
	st.ended = nil
	outcomes := make([]*Outcome, len(steps))
	open := map[string]int{} // confirmation id -> index in steps
	wg := workflow.NewWaitGroup(ctx)
	for i := range steps {
		step := &steps[i]
		switch {
		case step.Outcome != nil:
			outcomes[i] = step.Outcome
		case step.ConfirmationID != "":
			open[step.ConfirmationID] = i
			st.Waiting = append(st.Waiting, step.ConfirmationID)
		default:
			wg.Add(1)
			workflow.Go(ctx, func(ctx workflow.Context) {
				defer wg.Done()
				out := runChild(ctx, in, step)
				outcomes[i] = &out
			})
		}
	}
	var updates []StepUpdate
	if len(open) > 0 {
		showStatus(ctx, in, models.StatusWaiting)
		updates = st.awaitDecisions(ctx, in, steps, open)
		showStatus(ctx, in, models.StatusRunning)
		for _, u := range updates {
			outcomes[u.Step] = &u.Outcome
		}
		if err := st.project(ctx, in, steps, updates); err != nil {
			return Outcome{}, err
		}
	}
	// Children are waited for on a context that stays open: after a cancellation they are asked to end and are given the
	// time that it takes.
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	wg.Wait(clean)
	return phaseOutcome(ctx, steps, outcomes), nil
}

// changeEnds is the version of pipelines since which the begin of a phase takes the ends of the one before with it.
const changeEnds = "ends-with-the-next-begin"

// project writes the ends of steps that have no execution of their own, with the begin of the next phase: a person who
// has approved waits for that.
func (st *pipelineState) project(ctx workflow.Context, in Input, steps []StepRun, updates []StepUpdate) error {
	st.ended = &PhaseEnd{Phase: st.Phase, Steps: make([]StepUpdate, len(updates))}
	for i, u := range updates {
		st.ended.Steps[i] = StepUpdate{Step: steps[u.Step].Step, Outcome: u.Outcome}
	}
	if workflow.GetVersion(ctx, changeEnds, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return st.flush(ctx, in)
	}
	return nil
}

// flush writes the ends of steps that no phase will begin after.
func (st *pipelineState) flush(ctx workflow.Context, in Input) error {
	if st.ended == nil {
		return nil
	}
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	st.Sequence++
	if err := local(clean, ActivityPutSteps, nil, in, st.ended.Phase, st.Sequence, st.ended.Steps); err != nil {
		return err
	}
	st.ended = nil
	return nil
}

// runChild runs a step as an execution of its own and gives its outcome.
func runChild(ctx workflow.Context, in Input, step *StepRun) Outcome {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            step.ChildID + step.DeliveryID, // it has one of them
		TaskQueue:             step.TaskQueue,
		WaitForCancellation:   true,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	})
	if step.Workflow == LocalBuildWorkflow {
		o := workflow.GetChildWorkflowOptions(ctx)
		o.WorkflowTaskTimeout = LocalTaskTimeout
		ctx = workflow.WithChildOptions(ctx, o)
	}
	var out Outcome
	var input any = Input{ExecutionID: step.ChildID, Attributes: in.Attributes, ScriptQueue: step.ScriptQueue}
	if step.DeliveryID != "" {
		input = DeliveryInput{DeliveryID: step.DeliveryID}
	}
	err := workflow.ExecuteChildWorkflow(ctx, step.Workflow, input).Get(ctx, &out)
	switch {
	case err == nil:
		return out
	case temporal.IsCanceledError(err) || ctx.Err() != nil:
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	}
	if temporal.IsTerminatedError(err) {
		return Outcome{Status: models.StatusFailed, Reason: "its workflow was terminated"}
	}
	return Outcome{Status: models.StatusFailed, Reason: err.Error()}
}

// phaseOutcome sums up the steps: the first that failed and matters decides.
func phaseOutcome(ctx workflow.Context, steps []StepRun, outcomes []*Outcome) Outcome {
	var failed *Outcome
	for i, out := range outcomes {
		if out.Ok() || steps[i].IgnoreFailure {
			continue
		}
		name := steps[i].Name
		if name == "" {
			name = fmt.Sprintf("%d (%s)", steps[i].Step+1, steps[i].Type)
		}
		o := Outcome{Status: models.StatusFailed, Reason: fmt.Sprintf("step %s: %s", name, out.Reason)}
		if failed == nil {
			failed = &o
		}
	}
	switch {
	case ctx.Err() != nil:
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	case failed != nil:
		return *failed
	}
	return Outcome{Status: models.StatusOK}
}
