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
		err = s.spreadCancel(ctx, e)
	} else {
		err = s.stopCleanUp(ctx, e, line)
	}
	if err != nil {
		return err
	}
	return s.tellCancel(ctx, executionID)
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
			err = s.spreadCancel(ctx, e)
		}
		if err != nil {
			s.log.WarnContext(ctx, "an older execution could not be told yet that it is cancelled", "execution", id, "error", err)
			continue
		}
		if err := s.tellCancel(ctx, id); err != nil {
			s.log.WarnContext(ctx, "an older execution could not be ended yet", "execution", id, "error", err)
		}
	}
}

// spreadCancel tells the workers that run scripts of an execution or of what is below it.
func (s *Service) spreadCancel(ctx context.Context, e *models.Execution) error {
	s.bus.Publish(ctx, cancelTopic(e.ID))
	if e.Kind != models.KindPipeline {
		return nil
	}
	ids, err := s.store.OpenDescendants(ctx, e.ID, "")
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.bus.Publish(ctx, cancelTopic(id))
	}
	return nil
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
