package executions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"slipway/internal/periodic"
	"slipway/models"
	"slipway/workflows"
)

// ReconcileConfig tunes the reconciler. The zero value is right; tests make it quicker.
type ReconcileConfig struct {
	// Every is how often it looks, 0 means 2 s.
	Every time.Duration
	// CheckAfter is how long an open row may go without a look at its workflow, 0 means 5 s.
	CheckAfter time.Duration
	// ArchiveAfter is how long an ended execution's log stays in the database, 0 means a minute.
	ArchiveAfter time.Duration
	// Batch is how many rows are looked at in one go, 0 means 200.
	Batch int
}

func (c ReconcileConfig) withDefaults() ReconcileConfig {
	if c.Every == 0 {
		c.Every = 2 * time.Second
	}
	if c.CheckAfter == 0 {
		c.CheckAfter = 5 * time.Second
	}
	if c.ArchiveAfter == 0 {
		c.ArchiveAfter = time.Minute
	}
	if c.Batch == 0 {
		c.Batch = 200
	}
	return c
}

// Reconcile keeps the table and Temporal in agreement until ctx ends: it starts what was recorded and never started, and
// the pipelines that listen to what has ended; ends what closed without saying so; repeats signals and cancellations that
// did not arrive; frees the locks of the dead; ends one of those that wait for each other; and moves old logs to blob
// storage. Any number of processes may run it; rows are shared out with SKIP LOCKED.
func (s *Service) Reconcile(ctx context.Context) {
	cfg := s.cfg.Reconcile.withDefaults()
	periodic.Run(ctx, cfg.Every, s.log, "the reconciler could not finish its round", func(ctx context.Context) error {
		return s.reconcileOnce(ctx, cfg)
	})
}

func (s *Service) reconcileOnce(ctx context.Context, cfg ReconcileConfig) error {
	now := s.store.Now()
	var errs []error
	rows, err := s.store.TakeUnchecked(ctx, now.Add(-cfg.CheckAfter), cfg.Batch)
	errs = append(errs, err)
	for i := range rows {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.reconcileRow(ctx, &rows[i]); err != nil {
			errs = append(errs, fmt.Errorf("execution %s: %w", rows[i].ID, err))
			if unreachable(err) {
				break // the others would only wait for the same time-out
			}
		}
	}
	errs = append(errs, s.startPipelines(ctx, now.Add(-cfg.CheckAfter)))
	decided, err := s.store.ConfirmationsUnsignalled(ctx, now.Add(-cfg.Every))
	errs = append(errs, err)
	for i := range decided {
		s.metrics.reconciled.WithLabelValues("signal-decision").Inc()
		errs = append(errs, s.tellDecision(ctx, &decided[i]))
	}
	errs = append(errs, s.reconcileConfirmations(ctx, cfg))
	unseen, err := s.store.LocksUnseen(ctx, now.Add(-cfg.Every))
	errs = append(errs, err)
	s.SignalLocks(ctx, unseen)
	orphans, err := s.store.OrphanLocks(ctx)
	errs = append(errs, err)
	for _, id := range orphans {
		s.metrics.reconciled.WithLabelValues("free-lock").Inc()
		next, err := s.store.FreeLocks(ctx, id)
		errs = append(errs, err)
		s.SignalLocks(ctx, next)
	}
	errs = append(errs, s.endDeadlock(ctx))
	if s.blobs != nil {
		ended, err := s.store.UnarchivedLogs(ctx, now.Add(-cfg.ArchiveAfter), 50)
		errs = append(errs, err)
		for _, id := range ended {
			errs = append(errs, s.archiveLogs(ctx, id))
		}
	}
	return errors.Join(errs...)
}

// endDeadlock ends the youngest of executions that wait for each other's places, so that the others go on. It is seen
// twice before: what looked like one may have been granted its place meanwhile, and a real one does not go away.
func (s *Service) endDeadlock(ctx context.Context) error {
	d, err := s.store.FindDeadlock(ctx)
	if err != nil {
		return err
	}
	before := s.deadlocked
	s.deadlocked = ""
	if d == nil || d.ExecutionID != before {
		if d != nil {
			s.deadlocked = d.ExecutionID
		}
		return nil
	}
	e, err := s.store.ExecutionByID(ctx, d.ExecutionID)
	if err != nil {
		return err
	}
	s.log.WarnContext(ctx, "executions wait for each other: the youngest is ended", "execution", e.ID, "reason", d.Reason)
	s.metrics.reconciled.WithLabelValues("end-deadlock").Inc()
	if err := s.end(ctx, e, models.StatusFailed, d.Reason); err != nil {
		return err
	}
	s.SignalLocks(ctx, []string{e.ID}) // it asks for its place, and learns that it has ended
	return nil
}

// reconcileRow compares one open row with its workflow.
func (s *Service) reconcileRow(ctx context.Context, e *models.Execution) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	d, err := s.client.DescribeWorkflowExecution(ctx, e.ID, "")
	switch {
	case isGone(err):
		return s.reconcileMissing(ctx, e)
	case err != nil:
		return err
	}
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		if e.CancelRequestedAt != nil {
			return s.tellCancel(ctx, e.ID)
		}
		return nil
	}
	status, reason := s.closed(ctx, e.ID, info.GetExecution().GetRunId(), info.GetStatus())
	s.log.InfoContext(ctx, "a workflow closed without ending its execution", "execution", e.ID, "status", status, "reason", reason)
	s.metrics.reconciled.WithLabelValues("end-closed").Inc()
	return s.end(ctx, e, status, reason)
}

// reconcileMissing deals with an open row that has no workflow.
func (s *Service) reconcileMissing(ctx context.Context, e *models.Execution) error {
	switch {
	case e.CancelRequestedAt != nil:
		return s.end(ctx, e, models.StatusCancelled, "cancelled before it began")
	case e.Status != models.StatusNew:
		s.metrics.reconciled.WithLabelValues("end-missing").Inc()
		return s.end(ctx, e, models.StatusFailed, "its workflow is missing from the workflow service")
	case e.ParentID != "":
		// The parent's workflow starts its children. Where it has ended, nobody will.
		p, err := s.store.ExecutionByID(ctx, e.ParentID)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		if err == nil && !p.Status.Final() {
			return nil
		}
		return s.end(ctx, e, models.StatusAbandoned, "the pipeline that should have run it has ended")
	}
	s.metrics.reconciled.WithLabelValues("start").Inc()
	s.log.InfoContext(ctx, "an execution that was recorded and never started is started now", "execution", e.ID)
	return s.start(ctx, e)
}

// closed says how an execution ended whose workflow closed.
func (s *Service) closed(ctx context.Context, id, runID string, st enums.WorkflowExecutionStatus) (models.Status, string) {
	switch st {
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		var out workflows.Outcome
		if err := s.client.GetWorkflow(ctx, id, runID).Get(ctx, &out); err == nil && out.Status.Final() {
			return out.Status, out.Reason
		}
		return models.StatusFailed, "its workflow ended without recording how"
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return models.StatusCancelled, "cancelled"
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return models.StatusFailed, "its workflow was terminated" + s.terminationReason(ctx, id, runID)
	case enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return models.StatusFailed, "its workflow timed out"
	}
	err := s.client.GetWorkflow(ctx, id, runID).Get(ctx, nil)
	var app *temporal.ApplicationError
	switch {
	case errors.As(err, &app):
		return models.StatusFailed, "its workflow failed: " + app.Message() // and not in which of its activities
	case err != nil:
		return models.StatusFailed, "its workflow failed: " + err.Error()
	}
	return models.StatusFailed, "its workflow failed"
}

// terminationReason reads what the person who terminated a workflow gave as the reason.
func (s *Service) terminationReason(ctx context.Context, id, runID string) string {
	it := s.client.GetWorkflowHistory(ctx, id, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	for it.HasNext() {
		ev, err := it.Next()
		if err != nil {
			return ""
		}
		if a := ev.GetWorkflowExecutionTerminatedEventAttributes(); a != nil {
			text := ""
			if a.GetReason() != "" {
				text = ": " + a.GetReason()
			}
			if a.GetIdentity() != "" {
				text += " (by " + a.GetIdentity() + ")"
			}
			return text
		}
	}
	return ""
}

// End ends an execution and does what follows; see Ended. An execution that had ended is left alone: false.
func (s *Service) End(ctx context.Context, id, kind string, status models.Status, reason string) (bool, error) {
	next, err := s.store.FinishExecution(ctx, id, status, reason)
	if errors.Is(err, models.ErrFinal) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.Ended(ctx, id, kind, status, reason, next)
	return true, nil
}

// Ended does what follows once an execution's end has been committed: followers of its log learn of it, and next, the
// executions that hold its locks now, are signalled. What is lost here, because the process dies, the reconciler repeats.
func (s *Service) Ended(ctx context.Context, id, kind string, status models.Status, reason string, next []string) {
	s.metrics.Finished(kind, status)
	s.log.InfoContext(ctx, "execution ended", "execution", id, "kind", kind, "status", status, "reason", reason)
	s.LogWritten(ctx, id)
	s.SignalLocks(ctx, next)
}

// end is End for the reconciler. A worker may still run scripts of an execution whose workflow was terminated: it is told
// to end them.
func (s *Service) end(ctx context.Context, e *models.Execution, status models.Status, reason string) error {
	ended, err := s.End(ctx, e.ID, e.Kind, status, reason)
	if ended {
		s.bus.Publish(ctx, cancelTopic(e.ID))
	}
	return err
}

// SignalLocks tells workflows that they hold their deployments. What fails is repeated by the reconciler.
func (s *Service) SignalLocks(ctx context.Context, ids []string) {
	for _, id := range ids {
		err := s.client.SignalWorkflow(ctx, id, "", workflows.SignalLock, nil)
		if err != nil && !isGone(err) {
			s.log.WarnContext(ctx, "an execution could not be told yet that it holds its deployment", "execution", id, "error", err)
		}
	}
}

// unreachable says that Temporal itself does not answer.
func unreachable(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || isUnavailable(err)
}

// OnCancel calls f when somebody asks that the execution be cancelled, until stop is called. Workers use it to end
// scripts without waiting for a heartbeat.
func (s *Service) OnCancel(executionID string, f func()) (stop func()) {
	return s.bus.Subscribe(cancelTopic(executionID), f)
}
