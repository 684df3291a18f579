package executions

import (
	"context"
	"errors"

	"slipway/models"
	"slipway/policies"
)

// Cancel asks an execution to end. The request is recorded, sent to the workflow, and sent straight to the workers that
// run scripts for it or its children, which is what makes it quick. A second cancel, and one that comes after the end,
// changes nothing and is no error. The first one has its line in the audit log.
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
		s.bus.Publish(ctx, cancelTopic(executionID))
		if e.Kind == models.KindPipeline {
			ids, err := s.store.OpenDescendants(ctx, e.ID)
			if err != nil {
				return err
			}
			for _, id := range ids {
				s.bus.Publish(ctx, cancelTopic(id))
			}
		}
	}
	return s.tellCancel(ctx, executionID)
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
