package executions

import (
	"context"
	"errors"
	"time"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// startPipelines carries out what the ends of builds and deployments have asked for: the start of the pipelines that
// listen to them. An intent goes when its pipeline has been recorded, under a key made of both, so that it starts once.
func (s *Service) startPipelines(ctx context.Context, before time.Time) error {
	list, err := s.store.TakeStarts(ctx, before, 50)
	errs := []error{err}
	for _, p := range list {
		err := s.startPipeline(ctx, p)
		if problem.Is(err, problem.LimitReached) {
			// It is looked at again: other executions end, and then it may start.
			s.log.InfoContext(ctx, "a pipeline that listens waits", "pipeline", p.PipelineID, "execution", p.ExecutionID, "reason", err)
			continue
		}
		if err == nil {
			err = s.store.DropStart(ctx, p)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// startPipeline starts one pipeline. Nil says that the intent is done with, whether or not there was something to start.
func (s *Service) startPipeline(ctx context.Context, intent models.PipelineStart) error {
	e, err := s.store.ExecutionByID(ctx, intent.ExecutionID)
	if err != nil {
		return gone(err)
	}
	p, err := s.store.PipelineByID(ctx, intent.PipelineID)
	if err != nil {
		return gone(err)
	}
	if e.Kind == models.KindDeployment {
		var d models.DeploymentDefinition
		if err := e.DefinitionInto(&d); err != nil || d.Action != models.ActionDeploy {
			return nil //nolint:nilerr // what cannot be read started no pipeline either
		}
	}
	steps, heard, err := s.takenOver(ctx, p, e)
	if err != nil || !heard || p.Disabled {
		return err
	}
	if inside, err := s.runsIn(ctx, e, p.ID); err != nil || inside {
		return err // the pipeline has run it itself
	}
	kind := models.TriggerBuild
	if e.Kind == models.KindDeployment {
		kind = models.TriggerDeployment
	}
	req := TriggerRequest{Kind: models.KindPipeline, ProjectID: p.ProjectID, SubjectID: p.ID, SubjectName: p.Name, Definition: p.Definition(), Steps: steps, Commit: e.Commit,
		Trigger:        models.Trigger{Type: kind, SubjectKind: e.Trigger.SubjectKind, SubjectID: e.Trigger.SubjectID, SubjectName: e.Trigger.SubjectName, Execution: e.ID},
		IdempotencyKey: "start:" + e.ID + ":" + p.ID, Durable: true}
	req.AuditTrigger(policies.Subject{Kind: e.Kind, ID: e.SubjectID, Name: e.SubjectName})
	err = s.CheckRing(ctx, e, p.ID, p.Name)
	var ring *problem.Error
	if errors.As(err, &ring) {
		s.log.WarnContext(ctx, "a pipeline was not started by what it listens to", "pipeline", p.ID, "execution", e.ID, "reason", ring.Error())
		req.Audit.Result, req.Audit.Detail["reason"] = "refused", ring.Error()
		return s.store.Tx(ctx, func(tx *models.Store) error {
			if err := tx.DropStart(ctx, intent); err != nil {
				return err
			}
			return tx.Audit(ctx, *req.Audit)
		})
	}
	if err != nil {
		return err
	}
	_, err = s.Trigger(ctx, req)
	if errors.Is(err, models.ErrDeleted) {
		return nil
	}
	return err
}

// takenOver gives the steps of a pipeline that starts because of an execution. The steps that listen to it are not run
// again: they have the execution as theirs. False says that none does, any more.
func (s *Service) takenOver(ctx context.Context, p *models.Pipeline, e *models.Execution) ([]models.ExecutionStep, bool, error) {
	env, err := s.store.EnvironmentByID(ctx, e.EnvironmentID)
	if err != nil {
		return nil, false, gone(err)
	}
	project, err := s.store.ProjectByID(ctx, e.ProjectID)
	if err != nil {
		return nil, false, gone(err)
	}
	steps, heard := NewSteps(p.Definition()), false
	for i, row := range steps {
		st := p.Phases[row.Phase].Steps[row.Step]
		kind, name := st.ListensTo()
		if kind != e.Kind || name != e.SubjectName || st.Environment != env.Name || st.Project != project.Name && (st.Project != "" || p.ProjectID != project.ID) {
			continue
		}
		heard = true
		if st.Type != models.StepBuild && st.Type != models.StepDeploy {
			continue // a smoke test, say, listens to the deployment that it tests
		}
		steps[i].Status, steps[i].ChildID, steps[i].Kept = e.Status, e.ID, true
		steps[i].StartedAt, steps[i].FinishedAt = e.StartedAt, e.FinishedAt
	}
	return steps, heard, nil
}

func gone(err error) error {
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	return err
}
