package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// resolveStep finds what a step runs. A *problem.Error says, for people, why the step cannot run.
func (a *Executions) resolveStep(ctx context.Context, e *models.Execution, d models.PipelineDefinition, st models.PipelineStep) (*models.NewExecution, error) {
	project, err := a.stepProject(ctx, e, d, st)
	if err != nil {
		return nil, err
	}
	env, err := a.Store.EnvironmentByName(ctx, project.ID, st.Environment)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "project %s has no environment %q", project.Name, st.Environment)
	}
	if err != nil {
		return nil, err
	}
	n := &models.NewExecution{ProjectID: project.ID, EnvironmentID: env.ID}
	if st.Type == models.StepBuild {
		b, err := a.Store.BuildByName(ctx, env.ID, st.Build)
		if errors.Is(err, models.ErrNotFound) {
			return nil, problem.New(problem.NotFound, "environment %s has no build %q", env.Name, st.Build)
		}
		if err != nil {
			return nil, err
		}
		if b.Disabled {
			return nil, problem.New(problem.Conflict, "build %s is disabled", b.Name)
		}
		n.Kind, n.SubjectID, n.SubjectName, n.TaskQueue, n.Definition = models.KindBuild, b.ID, b.Name, b.TaskQueue, b.Definition()
		return n, nil
	}
	action, ok := map[string]string{models.StepDeploy: models.ActionDeploy, models.StepSmoke: models.ActionSmoke, models.StepDestroy: models.ActionDestroy}[st.Type]
	if !ok {
		return nil, problem.New(problem.Unprocessable, "steps of type %s are not supported yet", st.Type)
	}
	j, err := a.Store.DeploymentJobByName(ctx, env.ID, st.Deployment)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "environment %s has no deployment job %q", env.Name, st.Deployment)
	}
	if err != nil {
		return nil, err
	}
	if j.Disabled {
		return nil, problem.New(problem.Conflict, "deployment job %s is disabled", j.Name)
	}
	def := j.Definition(action)
	if st.Type == models.StepDeploy {
		if err := a.updateVersion(ctx, e, st, &def); err != nil {
			return nil, err
		}
	}
	n.Kind, n.SubjectID, n.SubjectName, n.TaskQueue, n.Definition = models.KindDeployment, j.ID, j.Name, j.TaskQueue, def
	return n, nil
}

// stepProject finds the project that a step works in. One that is not the pipeline's own must admit the pipeline's
// service account as a writer; it is asked again for every run.
func (a *Executions) stepProject(ctx context.Context, e *models.Execution, d models.PipelineDefinition, st models.PipelineStep) (*models.Project, error) {
	own, err := a.Store.ProjectByID(ctx, e.ProjectID)
	if err != nil {
		return nil, err
	}
	if st.Project == "" || st.Project == own.Name {
		return own, nil
	}
	refused := problem.New(problem.Forbidden, "the pipeline may not work in project %q: its service account needs write there", st.Project)
	if d.ServiceAccountName == "" {
		return nil, refused
	}
	other, err := a.Store.ProjectInOrganization(ctx, own.OrganizationID, st.Project)
	if errors.Is(err, models.ErrNotFound) {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	account, err := a.Store.ServiceAccountByName(ctx, own.OrganizationID, d.ServiceAccountName)
	if errors.Is(err, models.ErrNotFound) {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	subject, err := a.Store.Subject(ctx, policies.KindServiceAccount, account.ID)
	if err != nil {
		return nil, err
	}
	scopes, err := a.Store.ScopePath(ctx, other.ID)
	if err != nil {
		return nil, err
	}
	ok, err := a.Policy.Allow(ctx, subject, "build:trigger", policies.Resource{Kind: "project", ID: other.ID, Scopes: scopes})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, refused
	}
	return other, nil
}
