package executions

import (
	"context"
	"errors"
	"slices"
	"strings"

	"slipway/internal/problem"
	"slipway/models"
)

// maxDepth is how many pipelines may start one another in a row.
const maxDepth = 20

// CheckRing says whether a pipeline may be started because of an execution: not where it stands among what led to that
// execution, or pipelines that trigger each other would run for ever. The way up leads through parents and through what
// each was triggered by; it ends at a person, a webhook, a schedule or a retry.
func (s *Service) CheckRing(ctx context.Context, because *models.Execution, pipelineID, pipelineName string) error {
	names := []string{pipelineName}
	for e, depth := because, 0; ; {
		if e.Kind == models.KindPipeline {
			names = append(names, e.SubjectName)
			depth++
			if e.SubjectID == pipelineID {
				slices.Reverse(names)
				return problem.New(problem.Conflict, "the pipelines trigger each other in a ring: %s", strings.Join(names, " -> "))
			}
			if depth >= maxDepth {
				return problem.New(problem.Conflict, "%d pipelines have started one another in a row, which is the most that is allowed", maxDepth)
			}
		}
		id := causeOf(e)
		if id == "" {
			return nil
		}
		next, err := s.store.ExecutionByID(ctx, id)
		if errors.Is(err, models.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		e = next
	}
}

// causeOf is the execution that led to this one, "" where there is none.
func causeOf(e *models.Execution) string {
	if e.ParentID != "" {
		return e.ParentID
	}
	switch e.Trigger.Type {
	case models.TriggerPipeline, models.TriggerBuild, models.TriggerDeployment:
		return e.Trigger.Execution
	}
	return ""
}

// runsIn says whether an execution is a step of a pipeline's execution, at any depth.
func (s *Service) runsIn(ctx context.Context, e *models.Execution, pipelineID string) (bool, error) {
	for e.ParentID != "" {
		next, err := s.store.ExecutionByID(ctx, e.ParentID)
		if errors.Is(err, models.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if next.SubjectID == pipelineID {
			return true, nil
		}
		e = next
	}
	return false, nil
}
