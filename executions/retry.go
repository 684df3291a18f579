package executions

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Retry runs an ended execution's definition again, as a new execution; the first one stays as it is. A pipeline goes
// on from the phase that failed, with what succeeded kept, unless from says otherwise: "start" runs all of it.
func (s *Service) Retry(ctx context.Context, executionID string, by policies.Subject, from string) (*models.Execution, error) {
	old, err := s.store.ExecutionByID(ctx, executionID)
	if err != nil {
		return nil, err
	}
	if !old.Status.Final() {
		return nil, problem.New(problem.Conflict, "execution #%d has not ended yet: it is %s", old.Number, old.Status)
	}
	req := TriggerRequest{Kind: old.Kind, ProjectID: old.ProjectID, EnvironmentID: old.EnvironmentID, SubjectID: old.SubjectID, SubjectName: old.SubjectName,
		TaskQueue: old.TaskQueue, RetryOf: old.ID,
		Trigger: models.Trigger{Type: "retry", SubjectKind: by.Kind, SubjectID: by.ID, SubjectName: by.Name, Execution: old.ID}}
	switch old.Kind {
	case models.KindBuild:
		var d models.BuildDefinition
		err = old.DefinitionInto(&d)
		req.Definition = d
	case models.KindDeployment:
		var d models.DeploymentDefinition
		err = old.DefinitionInto(&d)
		req.Definition = d
	case models.KindPipeline:
		var d models.PipelineDefinition
		if err = old.DefinitionInto(&d); err != nil {
			return nil, err
		}
		req.Definition = d
		req.Steps, err = s.keptSteps(ctx, old, d, from)
	default:
		return nil, problem.New(problem.Unprocessable, "an execution of kind %s cannot be retried", old.Kind)
	}
	if err != nil {
		return nil, err
	}
	req.Audit = auditOf(by, "retry", old.Kind, old.ProjectID, old.SubjectID, old.SubjectName)
	req.Audit.Detail = map[string]any{"retry_of": old.ID}
	if from != "" {
		req.Audit.Detail["from"] = from
	}
	if req.Definition, err = s.limitedAsNow(ctx, old, req.Definition); err != nil {
		return nil, err
	}
	return s.Trigger(ctx, req)
}

// keptSteps are the steps of a pipeline's retry: those before the place where it goes on, and in that phase those that
// succeeded, are taken over with their outcome and the execution they ran as. A step whose failure was ignored is taken
// over with its failure: the phases after it ran all the same, and it must not run again behind them.
func (s *Service) keptSteps(ctx context.Context, old *models.Execution, d models.PipelineDefinition, from string) ([]models.ExecutionStep, error) {
	steps := NewSteps(d)
	if from == "start" || (from == "" && old.Status == models.StatusOK) {
		return steps, nil
	}
	before, err := s.store.StepsOf(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	began := func(b models.ExecutionStep) bool { return b.StartedAt != nil || b.ChildID != "" || b.DeliveryID != "" } // those that never did are final too
	goesOn := 0                                                                                                       // the phase: the last one that began, of those that clean nothing up
	for _, b := range before {
		if began(b) && !b.Kept && !d.Phases[b.Phase].RunAlways {
			goesOn = max(goesOn, b.Phase)
		}
	}
	firstPhase, firstStep := -1, -1
	if from != "" {
		for _, st := range steps {
			if st.Name == from {
				firstPhase, firstStep = st.Phase, st.Step
				break
			}
		}
		if firstPhase < 0 {
			return nil, problem.BadField("from", "expected start or the name of a step; there is no step %q", from)
		}
	}
	if firstPhase >= 0 {
		goesOn = firstPhase
	}
	done := map[[2]int]models.ExecutionStep{}
	for _, b := range before {
		succeeded := b.Status == models.StatusOK || b.Status == models.StatusSkipped
		ignored := began(b) && b.Status.Final() && d.Phases[b.Phase].Steps[b.Step].IgnoreFailure
		if succeeded || ignored && (b.Kept || b.Phase < goesOn) {
			done[[2]int{b.Phase, b.Step}] = b
		}
	}
	for i, st := range steps {
		if d.Phases[st.Phase].RunAlways {
			continue // what is done again must be cleaned up again
		}
		b, ok := done[[2]int{st.Phase, st.Step}]
		if !ok || (firstPhase >= 0 && (st.Phase > firstPhase || st.Phase == firstPhase && st.Step == firstStep)) {
			continue
		}
		b.ExecutionID, b.Kept = "", true
		steps[i] = b
	}
	return steps, nil
}

// limitedAsNow gives a snapshot the limits of today, so that a retry of an execution from before a limit does not slip past
// it. A time limit that came from a pipeline's step is gone: the retry is no part of that pipeline.
func (s *Service) limitedAsNow(ctx context.Context, old *models.Execution, definition any) (any, error) {
	l, err := s.store.LimitsOf(ctx, old.Kind, old.SubjectID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.Wrap(problem.NotFound, err, "'%s' was deleted", old.SubjectName)
	}
	if err != nil {
		return nil, err
	}
	return models.WithLimits(definition, l), nil
}
