// Package activities holds the side effects of the workflows: one struct per noun, with what it needs as fields.
package activities

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/temporal"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// Executions are the small database activities of every kind of execution: the projection of what the workflow does.
// They run as local activities. Each is idempotent, since Temporal may repeat any of them.
type Executions struct {
	Store   *models.Store
	Service *executions.Service
	Sealer  executions.Sealer
	Policy  Policy
	Metrics *executions.Metrics
	Log     *slog.Logger
}

// Policy is what activities ask of policies.Engine.
type Policy interface {
	Allow(ctx context.Context, s policies.Subject, action string, r policies.Resource) (bool, error)
}

// Claim gives the row to the workflow. A row that was abandoned or cancelled meanwhile is not claimed. kind is the
// workflow's: those of deployment jobs take the deployment that they change with their claim.
func (a *Executions) Claim(ctx context.Context, in workflows.Input, firstRun, kind string) (workflows.ClaimResult, error) {
	var deployments func(*models.Execution) ([]string, error)
	if kind == workflows.DeploymentWorkflow {
		deployments = func(e *models.Execution) ([]string, error) {
			var d models.DeploymentDefinition
			if err := e.DefinitionInto(&d); err != nil {
				return nil, invalid(err)
			}
			return []string{d.Deployment}, nil
		}
	}
	c, err := a.Store.ClaimExecution(ctx, in.ExecutionID, firstRun, deployments)
	if errors.Is(err, models.ErrConflict) {
		return a.unclaimed(ctx, in)
	}
	if err != nil {
		return workflows.ClaimResult{}, err
	}
	e := c.Execution
	a.Metrics.QueueWait.WithLabelValues(e.Kind).Observe(a.Store.Now().Sub(e.CreatedAt).Seconds())
	_, queue := executions.WorkflowOf(e.Kind)
	if e.TaskQueue != "" {
		queue = e.TaskQueue
	}
	res := workflows.ClaimResult{Claimed: true, Waiting: c.Waiting, TaskQueue: queue}
	switch e.Kind {
	case models.KindBuild:
		var d models.BuildDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return res, invalid(err)
		}
		res.Plan = deploys(d)
	case models.KindPipeline:
		var d models.PipelineDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return res, invalid(err)
		}
		res.Phases = len(d.Phases)
	}
	return res, nil
}

// unclaimed says how an execution ended that cannot be claimed.
func (a *Executions) unclaimed(ctx context.Context, in workflows.Input) (workflows.ClaimResult, error) {
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.ClaimResult{Outcome: workflows.Outcome{Status: models.StatusAbandoned, Reason: "there is no such execution"}}, nil
	}
	if err != nil {
		return workflows.ClaimResult{}, err
	}
	return workflows.ClaimResult{Outcome: workflows.Outcome{Status: e.Status, Reason: e.Reason}}, nil
}

// deploys says whether a build changes deployments of its environment, so that it must hold them.
func deploys(d models.BuildDefinition) bool {
	for _, st := range d.Steps {
		if st.RunDeploy || st.RunSmoke || st.RunDestroy || st.RunDestroyDeploy {
			return true
		}
	}
	return false
}

// invalid marks a definition that no repetition will make readable.
func invalid(err error) error {
	return temporal.NewNonRetryableApplicationError("the definition cannot be read: "+err.Error(), "InvalidDefinition", err)
}

// RequestLocks queues a build for the deployments that its plans name. True means that it must wait.
func (a *Executions) RequestLocks(ctx context.Context, in workflows.Input, deployments []string) (bool, error) {
	return a.Store.WaitForLocks(ctx, in.ExecutionID, deployments)
}

// LockSeen records that the workflow goes on: it holds its deployments.
func (a *Executions) LockSeen(ctx context.Context, in workflows.Input) error {
	if err := a.Store.LockSeen(ctx, in.ExecutionID); err != nil {
		return err
	}
	return a.Store.SetExecutionStatus(ctx, in.ExecutionID, models.StatusRunning, 1)
}

// Finish ends the row. Where somebody else ended it before (a reconciler that saw the workflow closed), that stands, and
// is what the workflow gets as its outcome.
func (a *Executions) Finish(ctx context.Context, in workflows.Input, kind string, out workflows.Outcome) (workflows.Outcome, error) {
	ended, err := a.Service.End(ctx, in.ExecutionID, kind, out.Status, out.Reason)
	if err != nil || ended {
		return out, err
	}
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if err != nil {
		return out, err
	}
	return workflows.Outcome{Status: e.Status, Reason: e.Reason}, nil
}

// BeginPhase records the executions of a phase's steps and says what to run. Repeated, it finds what it recorded.
func (a *Executions) BeginPhase(ctx context.Context, in workflows.Input, phase int, sequence int64) ([]workflows.StepRun, error) {
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if err != nil {
		return nil, err
	}
	var d models.PipelineDefinition
	if err := e.DefinitionInto(&d); err != nil {
		return nil, invalid(err)
	}
	if phase >= len(d.Phases) {
		return nil, invalid(fmt.Errorf("there is no phase %d", phase))
	}
	rows, err := a.Store.StepsOf(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	known := map[int]models.ExecutionStep{}
	for _, r := range rows {
		if r.Phase == phase {
			known[r.Step] = r
		}
	}
	runs := make([]workflows.StepRun, len(d.Phases[phase].Steps))
	waits := false
	for i, st := range d.Phases[phase].Steps {
		row := known[i]
		run := workflows.StepRun{Step: i, Name: executions.StepName(st), Type: st.Type, IgnoreFailure: st.IgnoreFailure}
		switch {
		case row.Status.Final() && (row.Kept || row.ChildID == ""):
			run.Outcome = &workflows.Outcome{Status: row.Status, Reason: row.Reason}
		case st.Type == models.StepConfirmation:
			c, err := a.openConfirmation(ctx, e, phase, i, st)
			if err != nil {
				return nil, err
			}
			run.ConfirmationID = c.ID
			waits = true
		default:
			if err := a.beginStep(ctx, e, d, phase, st, &run); err != nil {
				return nil, err
			}
		}
		runs[i] = run
	}
	status := models.StatusRunning
	if waits {
		status = models.StatusWaiting
	}
	return runs, a.Store.SetExecutionStatus(ctx, e.ID, status, sequence)
}

// beginStep records the execution of a step, or why there can be none.
func (a *Executions) beginStep(ctx context.Context, e *models.Execution, d models.PipelineDefinition, phase int, st models.PipelineStep, run *workflows.StepRun) error {
	now := a.Store.Now()
	target, err := a.resolveStep(ctx, e, d, st)
	var p *problem.Error
	if errors.As(err, &p) {
		run.Outcome = &workflows.Outcome{Status: models.StatusFailed, Reason: p.Error()}
		return a.Store.PutSteps(ctx, models.ExecutionStep{ExecutionID: e.ID, Phase: phase, Step: run.Step, Status: models.StatusFailed, Reason: p.Error(), StartedAt: &now, FinishedAt: &now})
	}
	if err != nil {
		return err
	}
	target.ParentID, target.ParentPhase, target.ParentStep, target.RootID = e.ID, phase, run.Step, e.RootID
	target.IdempotencyKey = fmt.Sprintf("%s/%d/%d", e.ID, phase, run.Step)
	target.Trigger = models.Trigger{Type: "pipeline", SubjectKind: e.Trigger.SubjectKind, SubjectID: e.Trigger.SubjectID, SubjectName: e.Trigger.SubjectName, Execution: e.ID}
	return a.Store.Tx(ctx, func(tx *models.Store) error {
		child, isNew, err := tx.CreateExecution(ctx, *target)
		if err != nil {
			return err
		}
		if d, ok := target.Definition.(models.DeploymentDefinition); ok && isNew {
			// Steps of one phase begin side by side, but those on one deployment follow each other in the order of the
			// phase: a smoke test beside a deployment tests what was deployed.
			if err := tx.QueueForLocks(ctx, child, []string{d.Deployment}); err != nil {
				return err
			}
		}
		run.ChildID = child.ID
		run.Workflow, run.TaskQueue = executions.WorkflowOf(child.Kind)
		return tx.PutSteps(ctx, models.ExecutionStep{ExecutionID: e.ID, Phase: phase, Step: run.Step, Status: models.StatusRunning, ChildID: child.ID, StartedAt: &now})
	})
}

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

// updateVersion applies a deploy step's update_version to the version that is deployed.
func (a *Executions) updateVersion(ctx context.Context, e *models.Execution, st models.PipelineStep, def *models.DeploymentDefinition) error {
	switch st.UpdateVersion {
	case "latest-version":
		def.Version = "latest"
	case "last-version-in-pipeline":
		v, err := a.lastVersion(ctx, e, def.Release)
		if err != nil {
			return err
		}
		if v != "" {
			def.Version = v
		}
	case "tagged-version":
		def.Version = st.Tag
	case "version-from-deployment-job":
		env, err := a.Store.EnvironmentByName(ctx, e.ProjectID, st.UpdateVersionEnvironment)
		if err == nil {
			var j *models.DeploymentJob
			if j, err = a.Store.DeploymentJobByName(ctx, env.ID, st.UpdateVersionDeployment); err == nil {
				def.Version = j.Version
				return nil
			}
		}
		if errors.Is(err, models.ErrNotFound) {
			return problem.New(problem.NotFound, "there is no deployment job %q in environment %q to take the version from", st.UpdateVersionDeployment, st.UpdateVersionEnvironment)
		}
		return err
	}
	return nil
}

// lastVersion gives the version of an application that this pipeline's builds made last, those that a retry kept
// included; "" where they made none.
func (a *Executions) lastVersion(ctx context.Context, e *models.Execution, application string) (string, error) {
	steps, err := a.Store.StepsOf(ctx, e.ID)
	if err != nil {
		return "", err
	}
	version := ""
	for _, st := range steps {
		if st.Type != models.StepBuild || st.ChildID == "" {
			continue
		}
		child, err := a.Store.ExecutionByID(ctx, st.ChildID)
		if err != nil {
			return "", err
		}
		for _, r := range child.ResultOf().Releases {
			if v, ok := versionOf(r.Release, application); ok {
				version = v
			}
		}
	}
	return version, nil
}

// versionOf takes the version out of a release id of the application given: ns/app-v1.2 of ns/app is 1.2.
func versionOf(release, application string) (string, bool) {
	prefix := application + "-v"
	if len(release) <= len(prefix) || release[:len(prefix)] != prefix {
		return "", false
	}
	return release[len(prefix):], true
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

// openConfirmation records that a step waits for a decision, under a code that only its link has.
func (a *Executions) openConfirmation(ctx context.Context, e *models.Execution, phase, step int, st models.PipelineStep) (*models.Confirmation, error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	code := base64.RawURLEncoding.EncodeToString(raw)
	sealed, err := a.Sealer.Encrypt([]byte(code), "confirmation:"+e.ID)
	if err != nil {
		return nil, fmt.Errorf("seal the code of a confirmation: %w", err)
	}
	var c *models.Confirmation
	now := a.Store.Now()
	err = a.Store.Tx(ctx, func(tx *models.Store) error {
		if c, err = tx.OpenConfirmation(ctx, models.Confirmation{ExecutionID: e.ID, Phase: phase, Step: step, CodeHash: models.HashCode(code), CodeSealed: sealed, User: st.User, Team: st.Team}); err != nil {
			return err
		}
		return tx.PutSteps(ctx, models.ExecutionStep{ExecutionID: e.ID, Phase: phase, Step: step, Status: models.StatusWaiting, StartedAt: &now})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// PutSteps records the end of steps that have no execution of their own, and that the pipeline goes on.
func (a *Executions) PutSteps(ctx context.Context, in workflows.Input, phase int, sequence int64, ends []workflows.StepUpdate) error {
	now := a.Store.Now().Truncate(time.Microsecond)
	rows := make([]models.ExecutionStep, len(ends))
	for i, u := range ends {
		rows[i] = models.ExecutionStep{ExecutionID: in.ExecutionID, Phase: phase, Step: u.Step, Status: u.Outcome.Status, Reason: u.Outcome.Reason, FinishedAt: &now}
	}
	return a.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.PutSteps(ctx, rows...); err != nil {
			return err
		}
		return tx.SetExecutionStatus(ctx, in.ExecutionID, models.StatusRunning, sequence)
	})
}
