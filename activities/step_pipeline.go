package activities

import (
	"context"
	"errors"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

// pipeline begins a step that triggers another pipeline. Where it waits for it, the other runs as its child, and how that
// ends is how the step ends. Where it does not, the other is started for good, and the step has done what it is for.
func (s *stepper) pipeline(ctx context.Context, project *models.Project, st models.PipelineStep, run *workflows.StepRun) error {
	p, err := s.Store.PipelineByName(ctx, project.ID, st.Pipeline)
	if errors.Is(err, models.ErrNotFound) {
		return problem.New(problem.NotFound, "project %s has no pipeline %q", project.Name, st.Pipeline)
	}
	if err != nil {
		return err
	}
	switch {
	case p.Disabled:
		return problem.New(problem.Conflict, "pipeline %s is disabled", p.Name)
	case len(p.Phases) == 0:
		return problem.New(problem.Conflict, "pipeline %s has no phases yet", p.Name)
	}
	if err := s.Service.CheckRing(ctx, s.e, p.ID, p.Name); err != nil {
		return err
	}
	by, err := s.auditor(ctx)
	if err != nil {
		return err
	}
	req := executions.TriggerRequest{Kind: models.KindPipeline, ProjectID: p.ProjectID, SubjectID: p.ID, SubjectName: p.Name, Trigger: s.trigger(),
		IdempotencyKey: s.key(run), Definition: p.Definition(), Durable: true}
	req.AuditTrigger(by)
	if st.WaitForPipeline {
		return s.child(ctx, run, models.NewExecution{Kind: req.Kind, ProjectID: req.ProjectID, SubjectID: req.SubjectID, SubjectName: req.SubjectName,
			Definition: req.Definition, Steps: executions.NewSteps(p.Definition()), Audit: req.Audit})
	}
	// The step is ended in the transaction that records the other: whatever crashes, it is started once.
	req.Within = func(tx *models.Store, other *models.Execution) error {
		r := s.row(run, models.StatusOK)
		r.ChildID, r.Detached = other.ID, true
		return tx.PutSteps(ctx, r)
	}
	if _, err := s.Service.Trigger(ctx, req); err != nil {
		return err
	}
	run.Outcome = &workflows.Outcome{Status: models.StatusOK}
	return nil
}
