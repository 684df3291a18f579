package executions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"

	"slipway/models"
	"slipway/workflows"
)

// The kinds of reasons.
const (
	WaitsForLock         = "lock"         // another execution changes the deployment
	WaitsForLimit        = "limit"        // as many run side by side as the limit allows
	WaitsForConfirmation = "confirmation" // nobody has decided
	WaitsForSteps        = "steps"        // a pipeline waits for the executions of its steps
	WaitsForWorker       = "no-worker"    // no worker polls the task queue
	WaitsForFreeWorker   = "busy-workers" // workers poll the task queue, and none has taken it yet
	WaitsForStart        = "not-started"  // it is recorded, and its workflow was not started yet
	WaitsForTemporal     = "unavailable"  // the workflow service does not answer
	WaitsForRetry        = "retry"        // its worker was lost, and it begins again after a pause
	WaitsForSignal       = "signal"       // it may go on, and is about to learn so
	IsCancelling         = "cancelling"   // it was asked to cancel and has not ended yet
	IsRunning            = "running"      // it waits for nothing: a script runs
	HasEnded             = "ended"        // it waits for nothing
)

// Reason is one thing that an execution waits for, or what it does.
type Reason struct {
	// Kind is one of the constants above.
	Kind string
	// Message says it in a sentence. It names executions by what names gave for them.
	Message string
	// Since is when it began, as far as that is known.
	Since *time.Time
	// Position is the place in the queue, from 1; 0 where there is none.
	Position int
	// Executions are those that it waits for, the ones that hold what it needs first.
	Executions []models.ExecutionRef
	// TaskQueue is where a worker is missing; User and Team are who may decide a confirmation, "" for all who may write.
	TaskQueue, User, Team string
	// Script and Release are what runs.
	Script, Release string
}

// Waits says that it is a reason for waiting, and not what the execution does.
func (r Reason) Waits() bool { return r.Kind != IsRunning && r.Kind != HasEnded }

// explainTimeout bounds what is asked of Temporal: whoever asks why something waits must not wait for that.
const explainTimeout = 2 * time.Second

// pollerAge is how old the last poll of a live worker may be: a poll lasts a minute.
const pollerAge = 75 * time.Second

// maxOthers bounds the executions that a reason lists.
const maxOthers = 20

// Why says what an execution waits for: the database is asked first, Temporal only where that does not know. names says
// how the caller may be told of another execution.
func (s *Service) Why(ctx context.Context, e *models.Execution, names func(models.ExecutionRef) string) ([]Reason, error) {
	if e.Status.Final() {
		text := "it has ended: " + string(e.Status)
		if e.Reason != "" {
			text += ", " + e.Reason
		}
		return []Reason{{Kind: HasEnded, Message: text, Since: e.FinishedAt}}, nil
	}
	why := &why{Service: s, e: e, names: names}
	var err error
	switch {
	case e.Status == models.StatusQueued:
		err = why.queued(ctx)
	case e.Kind == models.KindPipeline && e.Status != models.StatusNew:
		err = why.pipeline(ctx)
	default:
		err = why.script(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(why.reasons) == 0 {
		why.temporal(ctx)
	}
	if e.CancelRequestedAt != nil {
		why.add(Reason{Kind: IsCancelling, Message: fmt.Sprintf("it was cancelled by %s and ends as soon as what it runs has ended", e.CancelRequestedBy), Since: e.CancelRequestedAt})
	}
	return why.reasons, nil
}

type why struct {
	*Service
	e       *models.Execution
	names   func(models.ExecutionRef) string
	reasons []Reason
}

func (w *why) add(r Reason) { w.reasons = append(w.reasons, r) }

// queued explains the places that the execution waits for. It gets its turn first and its deployments then.
func (w *why) queued(ctx context.Context) error {
	entries, err := w.store.QueuesOf(ctx, w.e.ID)
	if err != nil {
		return err
	}
	queues := map[[2]string][]models.QueueEntry{}
	var order [][2]string
	for _, q := range entries {
		key := [2]string{q.EnvironmentID, q.Deployment}
		if queues[key] == nil {
			order = append(order, key)
		}
		queues[key] = append(queues[key], q)
	}
	for _, key := range order {
		w.queue(queues[key])
	}
	if len(w.reasons) == 0 && len(entries) > 0 {
		w.add(Reason{Kind: WaitsForSignal, Message: "it has what it waited for, and is told so"})
	}
	return nil
}

// queue explains the place in one queue, where it has to wait there.
func (w *why) queue(queue []models.QueueEntry) {
	r := Reason{}
	var held []models.ExecutionRef
	for _, q := range queue {
		if q.Execution.ID == w.e.ID {
			if q.GrantedAt != nil {
				return
			}
			r.Position++
			since := q.Since
			r.Since = &since
			break
		}
		if q.GrantedAt != nil {
			held = append(held, q.Execution)
		} else {
			r.Position++
		}
		if len(r.Executions) < maxOthers {
			r.Executions = append(r.Executions, q.Execution)
		}
	}
	holder := "another execution"
	if len(held) > 0 {
		holder = w.names(held[0])
	} else if len(r.Executions) > 0 {
		holder = w.names(r.Executions[0])
	}
	if q := queue[0]; q.OfLimit() {
		r.Kind = WaitsForLimit
		if q.Capacity == 1 {
			r.Message = fmt.Sprintf("%s runs, and at most 1 may side by side; it is number %d in the queue", holder, r.Position)
		} else {
			r.Message = fmt.Sprintf("%s and %d more run, and at most %d may side by side; it is number %d in the queue", holder, max(len(held)-1, 0), q.Capacity, r.Position)
		}
	} else {
		r.Kind = WaitsForLock
		r.Message = fmt.Sprintf("the deployment '%s' is held by %s; it is number %d in the queue", q.Deployment, holder, r.Position)
	}
	w.add(r)
}

// pipeline explains what a pipeline's phase waits for: people and steps.
func (w *why) pipeline(ctx context.Context) error {
	confirmations, err := w.store.ConfirmationsOf(ctx, w.e.ID)
	if err != nil {
		return err
	}
	for _, c := range confirmations {
		if c.Status != models.ConfirmationPending || w.e.CancelRequestedAt != nil && !w.e.CancelRequestedAt.Before(c.CreatedAt) {
			continue
		}
		who := "somebody who may write in the project"
		switch {
		case c.User != "" && c.Team != "":
			who = fmt.Sprintf("user %s or a member of team %s", c.User, c.Team)
		case c.User != "":
			who = "user " + c.User
		case c.Team != "":
			who = "a member of team " + c.Team
		}
		since := c.CreatedAt
		text := who + " must decide"
		shortage, err := Shortage(ctx, w.store, w.mayAct, w.e, &c)
		if err != nil {
			return err
		}
		if shortage != "" {
			text += ", and as things are it cannot be approved: " + shortage
		}
		w.add(Reason{Kind: WaitsForConfirmation, Message: text, Since: &since, User: c.User, Team: c.Team})
	}
	children, err := w.store.OpenChildren(ctx, w.e.ID, maxOthers)
	if err != nil || len(children) == 0 {
		return err
	}
	since := children[0].CreatedAt
	text := w.names(children[0])
	if n := len(children) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	w.add(Reason{Kind: WaitsForSteps, Message: "its steps run: " + text, Since: &since, Executions: children})
	return nil
}

// script says which script runs. Short ones that may be repeated are not recorded before their end.
func (w *why) script(ctx context.Context) error {
	if w.e.Status == models.StatusNew {
		return nil
	}
	r, err := w.store.RunningScript(ctx, w.e.ID)
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// A script whose worker was lost stands there until another worker has seen it.
	if w.temporal(ctx); len(w.reasons) > 0 && w.reasons[0].Waits() && w.reasons[0].Kind != WaitsForTemporal {
		return nil
	}
	started := r.StartedAt
	w.reasons = append([]Reason{{Kind: IsRunning, Message: fmt.Sprintf("the script %s of %s runs", r.Step, r.Release), Since: &started, Script: r.Step, Release: r.Release}},
		without(w.reasons, IsRunning)...)
	return nil
}

func without(list []Reason, kind string) []Reason {
	var out []Reason
	for _, r := range list {
		if r.Kind != kind {
			out = append(out, r)
		}
	}
	return out
}

// temporal asks the workflow service how far the execution is.
func (w *why) temporal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	d, err := w.client.DescribeWorkflowExecution(ctx, w.e.ID, "")
	switch {
	case isGone(err):
		w.missing()
		return
	case err != nil:
		w.add(Reason{Kind: WaitsForTemporal, Message: "the workflow service does not answer: nothing begins or goes on until it is back"})
		return
	}
	if info := d.GetWorkflowExecutionInfo(); info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		w.add(Reason{Kind: WaitsForSignal, Message: "its workflow has ended, and the end is about to be recorded"})
		return
	}
	for _, a := range d.GetPendingActivities() {
		w.activity(ctx, a)
		return
	}
	name, queue := WorkflowOf(w.e.Kind)
	if t := d.GetPendingWorkflowTask(); t != nil && t.GetState() == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED {
		since := t.GetScheduledTime().AsTime()
		w.worker(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW, &since)
		return
	}
	w.add(Reason{Kind: IsRunning, Message: "its workflow (" + name + ") goes on", Since: w.e.StartedAt})
}

// missing explains an open execution without a workflow.
func (w *why) missing() {
	created := w.e.CreatedAt
	r := Reason{Kind: WaitsForStart, Message: "it is recorded and was not started yet; that is made up for within seconds", Since: &created}
	switch {
	case w.e.ParentID != "":
		r.Message = "its pipeline has recorded it and is about to start it"
	case w.e.Status != models.StatusNew:
		r = Reason{Kind: WaitsForSignal, Message: "its workflow is gone, and its end is about to be recorded"}
	}
	w.add(r)
}

// activity explains the activity that runs the scripts.
func (w *why) activity(ctx context.Context, a *workflow.PendingActivityInfo) {
	queue := w.e.TaskQueue
	if queue == "" {
		_, queue = WorkflowOf(w.e.Kind)
	}
	switch next := a.GetScheduledTime(); {
	case a.GetState() == enums.PENDING_ACTIVITY_STATE_STARTED, a.GetState() == enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
		since := a.GetLastStartedTime().AsTime()
		text := "a worker has taken it"
		if last := a.GetLastHeartbeatTime(); last != nil && time.Since(last.AsTime()) > workflows.HeartbeatTimeout/2 {
			text = "a worker has taken it and has not been heard since " + last.AsTime().UTC().Format(time.RFC3339)
		}
		w.add(Reason{Kind: IsRunning, Message: text, Since: &since})
	case a.GetAttempt() > 1 && next != nil && next.AsTime().After(time.Now()):
		since := a.GetLastStartedTime().AsTime()
		w.add(Reason{Kind: WaitsForRetry, Message: fmt.Sprintf("its worker was lost or could not go on; try %d begins at %s", a.GetAttempt(), next.AsTime().UTC().Format(time.RFC3339)), Since: &since})
	default:
		var since *time.Time
		if next != nil {
			at := next.AsTime()
			since = &at
		}
		w.worker(ctx, queue, enums.TASK_QUEUE_TYPE_ACTIVITY, since)
	}
}

// worker says whether any worker polls a task queue.
func (w *why) worker(ctx context.Context, queue string, kind enums.TaskQueueType, since *time.Time) {
	q, err := w.client.DescribeTaskQueue(ctx, queue, kind)
	if err != nil {
		w.add(Reason{Kind: WaitsForTemporal, Message: "the workflow service does not say whether a worker polls the task queue '" + queue + "'", TaskQueue: queue})
		return
	}
	for _, p := range q.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) < pollerAge {
			w.add(Reason{Kind: WaitsForFreeWorker, Message: "workers poll the task queue '" + queue + "', and none has taken it yet: all may be busy", Since: since, TaskQueue: queue})
			return
		}
	}
	w.add(Reason{Kind: WaitsForWorker, Message: "no worker polls the task queue '" + queue + "'", Since: since, TaskQueue: queue})
}
