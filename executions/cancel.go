package executions

import (
	"context"
	"errors"
	"time"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// Cancel asks an execution to end. The request is recorded, sent to the workflow, and sent straight to the workers that
// run scripts for it or its children, which is what makes it quick. A second cancel, and one that comes after the end,
// changes nothing and is no error; only where a cancelled pipeline cleans up, it ends that. The first one has its line in
// the audit log.
func (s *Service) Cancel(ctx context.Context, executionID string, by policies.Subject) error {
	e, err := s.store.ExecutionByID(ctx, executionID)
	if err != nil {
		return err
	}
	line := auditOf(by, "cancel", e.Kind, e.ProjectID, e.SubjectID, e.SubjectName)
	line.Detail = map[string]any{"execution": e.ID, "number": e.Number}
	first, err := s.store.RequestCancel(ctx, executionID, by.Name, line)
	if errors.Is(err, models.ErrFinal) {
		return nil
	}
	if err != nil {
		return err
	}
	if first {
		return s.cancelAll(ctx, e)
	}
	if err := s.stopCleanUp(ctx, e, line); err != nil {
		return err
	}
	return s.tellCancel(ctx, executionID)
}

// tellFirst is how long the workers of a pipeline's scripts wait for its workflows to be told: they wait no longer where
// Temporal is away.
const tellFirst = 250 * time.Millisecond

// cancelAll tells the workflow of an execution, those of the pipelines below it, and the workers that run scripts for any
// of them. Workers end scripts within milliseconds. A pipeline that heard of the end of its step before it heard of its
// own cancellation would take the step for failed, so of pipelines the workflows are told first; what is no pipeline is
// ended at once.
func (s *Service) cancelAll(ctx context.Context, e *models.Execution) error {
	if e.Kind != models.KindPipeline {
		s.bus.Publish(ctx, cancelTopic(e.ID))
		return s.tellCancel(ctx, e.ID)
	}
	below, err := s.store.OpenDescendants(ctx, e.ID, models.KindPipeline)
	if err != nil {
		return err
	}
	var untold error
	told := make(chan struct{})
	go func() {
		defer close(told)
		untold = s.tellCancel(ctx, e.ID)
		tell, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
		defer cancel()
		for _, id := range below {
			// Their parents tell them, too: this is only the quicker way.
			if err := s.client.CancelWorkflow(tell, id, ""); err != nil && !isGone(err) {
				break
			}
		}
	}()
	wait := time.NewTimer(tellFirst)
	defer wait.Stop()
	select {
	case <-told:
	case <-wait.C:
	}
	ids, err := s.store.OpenDescendants(ctx, e.ID, "")
	for _, id := range ids {
		s.bus.Publish(ctx, cancelTopic(id))
	}
	<-told
	return errors.Join(err, untold)
}

// stopCleanUp tells a pipeline that was cancelled before that it is cancelled again, and the pipelines below it: where one
// cleans up, that ends too. line is the one of the audit log.
func (s *Service) stopCleanUp(ctx context.Context, e *models.Execution, line *models.AuditEntry) error {
	if e.Kind != models.KindPipeline {
		return nil
	}
	var d models.PipelineDefinition
	if err := e.DefinitionInto(&d); err != nil {
		return err
	}
	ids, err := s.store.OpenDescendants(ctx, e.ID, models.KindPipeline)
	if err != nil {
		return err
	}
	if len(d.CleanUp()) > 0 {
		ids = append(ids, e.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	signal, end := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer end()
	for _, id := range ids {
		if err := s.client.SignalWorkflow(signal, id, "", workflows.SignalStop, nil); err != nil && !isGone(err) {
			// Nobody repeats this one, so whoever asked must know.
			p := problem.Wrap(problem.Unavailable, err, "the workflow service is not available: the clean-up goes on, try again")
			p.RetryAfter = 5 * time.Second
			return p
		}
	}
	line.Detail["clean_up"] = "asked to stop"
	return s.store.Audit(ctx, *line)
}

// CancelOlder tells executions that they were cancelled in favour of a newer one; that they were is recorded already,
// with the newer one, and the reconciler repeats what fails here.
func (s *Service) CancelOlder(ctx context.Context, ids []string) {
	for _, id := range ids {
		e, err := s.store.ExecutionByID(ctx, id)
		if err == nil {
			err = s.cancelAll(ctx, e)
		}
		if err != nil {
			s.log.WarnContext(ctx, "an older execution could not be told yet that it is cancelled", "execution", id, "error", err)
		}
	}
}

// tellCancel cancels the workflow. One that is gone has ended by itself or was never started: the row is ended here if
// nobody had claimed it. While Temporal is away the request stands in the row and the reconciler repeats it.
func (s *Service) tellCancel(ctx context.Context, executionID string) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	err := s.client.CancelWorkflow(ctx, executionID, "")
	switch {
	case err == nil:
	case isGone(err):
		e, err := s.store.ExecutionByID(ctx, executionID)
		if err != nil {
			return err
		}
		return s.end(ctx, e, models.StatusCancelled, "cancelled before it began")
	default:
		s.log.WarnContext(ctx, "the workflow could not be told of a cancellation yet", "execution", executionID, "error", err)
	}
	return nil
}

func cancelTopic(executionID string) string { return "cancel:" + executionID }
