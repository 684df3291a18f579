package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

// environment finds the environment of a step.
func (s *stepper) environment(ctx context.Context, project *models.Project, name string) (*models.Environment, error) {
	env, err := s.Store.EnvironmentByName(ctx, project.ID, name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "project %s has no environment %q", project.Name, name)
	}
	return env, err
}

func (s *stepper) build(ctx context.Context, project *models.Project, st models.PipelineStep) (*models.NewExecution, error) {
	env, err := s.environment(ctx, project, st.Environment)
	if err != nil {
		return nil, err
	}
	b, err := s.Store.BuildByName(ctx, env.ID, st.Build)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "environment %s has no build %q", env.Name, st.Build)
	}
	if err != nil {
		return nil, err
	}
	if b.Disabled {
		return nil, problem.New(problem.Conflict, "build %s is disabled", b.Name)
	}
	return &models.NewExecution{Kind: models.KindBuild, ProjectID: project.ID, EnvironmentID: env.ID, SubjectID: b.ID, SubjectName: b.Name, TaskQueue: b.TaskQueue,
		Definition: b.Definition()}, nil
}

// jobActions are what the types of steps do with a deployment job.
var jobActions = map[string]string{models.StepDeploy: models.ActionDeploy, models.StepSmoke: models.ActionSmoke, models.StepDestroy: models.ActionDestroy,
	models.StepErrand: models.ActionErrand}

// job finds the deployment job of a step.
func (s *stepper) job(ctx context.Context, project *models.Project, environment, name string) (*models.DeploymentJob, error) {
	env, err := s.environment(ctx, project, environment)
	if err != nil {
		return nil, err
	}
	j, err := s.Store.DeploymentJobByName(ctx, env.ID, name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "environment %s has no deployment job %q", env.Name, name)
	}
	return j, err
}

// deployment begins a step that deploys, tests, destroys, or runs an errand.
func (s *stepper) deployment(ctx context.Context, project *models.Project, st models.PipelineStep, run *workflows.StepRun) error {
	j, err := s.job(ctx, project, st.Environment, st.Deployment)
	if err != nil {
		return err
	}
	if j.Disabled {
		return problem.New(problem.Conflict, "deployment job %s is disabled", j.Name)
	}
	def := j.Definition(jobActions[st.Type])
	switch st.Type {
	case models.StepErrand:
		def.ErrandName = st.ErrandName
		// Sealed like those of an errand that a person runs.
		if def.ErrandInputs, err = s.Store.SealErrandInputs(j.ID, st.ErrandInputs); err != nil {
			return err
		}
	case models.StepDeploy:
		if def.Version, err = s.version(ctx, project, st, j); err != nil {
			return err
		}
	}
	n := models.NewExecution{Kind: models.KindDeployment, ProjectID: j.ProjectID, EnvironmentID: j.EnvironmentID, SubjectID: j.ID, SubjectName: j.Name, TaskQueue: j.TaskQueue,
		Definition: def}
	return s.child(ctx, run, n, func(tx *models.Store, child *models.Execution) error {
		// Steps of one phase begin side by side, but those on one deployment follow each other in the order of the phase:
		// a smoke test beside a deployment tests what was deployed.
		if !child.Status.Final() {
			if err := tx.QueueForLocks(ctx, child, []string{def.Deployment}); err != nil {
				return err
			}
		}
		return s.keepVersion(ctx, tx, j, def.Version)
	})
}

// keepVersion makes the version that a step deploys the job's own, as update_version promises.
func (s *stepper) keepVersion(ctx context.Context, tx *models.Store, j *models.DeploymentJob, version string) error {
	if version == j.Version {
		return nil
	}
	by, err := s.auditor(ctx)
	if err != nil {
		return err
	}
	if err := tx.SetDeploymentJobVersion(ctx, j.ID, version); err != nil {
		return err
	}
	return tx.Audit(ctx, models.AuditEntry{Action: "deployment-job:update", ResourceKind: models.KindDeployment, ResourceID: j.ID, ResourceName: j.EnvironmentName + "/" + j.Name,
		ProjectID: j.ProjectID, Detail: map[string]any{"version": version, "caused_by": s.e.ID}}.ActorOf(by))
}
