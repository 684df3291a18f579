// Package activities holds the side effects of the workflows: one struct per noun, with what it needs as fields.
package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/temporal"

	"slipway/deliveries"
	"slipway/executions"
	"slipway/inventory"
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
	// Inventory is where steps tag releases.
	Inventory *inventory.Service
	Metrics   *executions.Metrics
	// Deliveries sends the links of confirmations; nil sends none.
	Deliveries *deliveries.Service
	Log        *slog.Logger
}

// Policy is what activities ask of policies.Engine.
type Policy interface {
	Allow(ctx context.Context, s policies.Subject, action string, r policies.Resource) (bool, error)
}

// Claim gives the row to the workflow. A row that was abandoned or cancelled meanwhile is not claimed. kind is the
// workflow's: those of deployment jobs take the deployment that they change with their claim.
func (a *Executions) Claim(ctx context.Context, in workflows.Input, firstRun, kind string) (workflows.ClaimResult, error) {
	c, err := a.Store.ClaimExecution(ctx, in.ExecutionID, firstRun, deploymentsOf(kind))
	if errors.Is(err, models.ErrConflict) {
		return a.unclaimed(ctx, in)
	}
	if err != nil {
		return workflows.ClaimResult{}, err
	}
	e := c.Execution
	a.Metrics.QueueWait.WithLabelValues(e.Kind).Observe(max(0, a.Store.Now().Sub(e.CreatedAt).Seconds()))
	res := workflows.ClaimResult{Claimed: true, Waiting: c.Waiting, Queued: c.Queued, TaskQueue: executions.QueueOf(e)}
	switch e.Kind {
	case models.KindBuild:
		var d models.BuildDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return res, invalid(err)
		}
		res.Plan = d.Deploys()
		limit(&res, d.Limits)
	case models.KindPipeline:
		var d models.PipelineDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return res, invalid(err)
		}
		res.Phases, res.CleanUp = len(d.Phases), d.CleanUp()
		limit(&res, d.Limits)
	case models.KindDeployment:
		var d models.DeploymentDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return res, invalid(err)
		}
		limit(&res, d.Limits)
	}
	return res, nil
}

func limit(res *workflows.ClaimResult, l models.Limits) {
	res.Limited, res.TimeLimit = l.MaxParallel > 0, l.TimeLimit
}

// deploymentsOf gives what names the deployments that executions of a workflow change from their beginning; nil for those
// that change none or learn of them later.
func deploymentsOf(workflow string) func(*models.Execution) ([]string, error) {
	if workflow != workflows.DeploymentWorkflow {
		return nil
	}
	return func(e *models.Execution) ([]string, error) {
		var d models.DeploymentDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return nil, invalid(err)
		}
		return []string{d.Deployment}, nil
	}
}

// Admit asks whether an execution that waits has its place among those that may run side by side.
func (a *Executions) Admit(ctx context.Context, in workflows.Input, kind string) (workflows.AdmitResult, error) {
	c, err := a.Store.Admit(ctx, in.ExecutionID, deploymentsOf(kind))
	if errors.Is(err, models.ErrFinal) {
		e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
		if err != nil {
			return workflows.AdmitResult{}, err
		}
		return workflows.AdmitResult{Ended: &workflows.Outcome{Status: e.Status, Reason: e.Reason}}, nil
	}
	if err != nil {
		return workflows.AdmitResult{}, err
	}
	return workflows.AdmitResult{Queued: c.Queued, Waiting: c.Waiting}, nil
}

// unclaimed says how an execution ended that cannot be claimed.
func (a *Executions) unclaimed(ctx context.Context, in workflows.Input) (workflows.ClaimResult, error) {
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.ClaimResult{Outcome: noSuchExecution}, nil
	}
	if err != nil {
		return workflows.ClaimResult{}, err
	}
	return workflows.ClaimResult{Outcome: workflows.Outcome{Status: e.Status, Reason: e.Reason}}, nil
}

// noSuchExecution is the outcome of a workflow whose execution is not in the table.
var noSuchExecution = workflows.Outcome{Status: models.StatusAbandoned, Reason: "there is no such execution"}

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
	if out.Status == models.StatusCancelled && out.Reason == "cancelled" {
		// The workflow knows that it was cancelled, the row knows by whom.
		e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
		if err != nil {
			return out, err
		}
		out.Reason = cancelReason(e)
	}
	ended, err := a.Service.End(ctx, in.ExecutionID, kind, out.Status, out.Reason)
	if err != nil || ended {
		return out, err
	}
	e, err := a.Store.ExecutionByID(ctx, in.ExecutionID)
	if errors.Is(err, models.ErrNotFound) {
		return noSuchExecution, nil
	}
	if err != nil {
		return out, err
	}
	return workflows.Outcome{Status: e.Status, Reason: e.Reason}, nil
}

// BeginPhase records the executions of a phase's steps and says what to run. Repeated, it finds what it recorded.
func (a *Executions) BeginPhase(ctx context.Context, in workflows.Input, phase int, sequence int64, ended *workflows.PhaseEnd) ([]workflows.StepRun, error) {
	if ended != nil {
		if err := a.Store.PutSteps(ctx, endedSteps(a.Store.Now(), in, ended.Phase, ended.Steps)...); err != nil {
			return nil, err
		}
	}
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
	begin := &stepper{Executions: a, e: e, d: d, phase: phase, projects: map[string]*models.Project{}}
	for i, st := range d.Phases[phase].Steps {
		row := known[i]
		run := workflows.StepRun{Step: i, Name: executions.StepName(st), Type: st.Type, IgnoreFailure: st.IgnoreFailure}
		switch {
		case row.Status.Final() && (row.Kept || row.Detached || row.ChildID == ""):
			if err := begin.kept(ctx, st, row, &run); err != nil {
				return nil, err
			}
		case st.Type == models.StepConfirmation:
			c, err := a.openConfirmation(ctx, e, phase, i, st)
			if err != nil {
				return nil, err
			}
			run.ConfirmationID, run.ExpiresAt = c.ID, c.ExpiresAt
			waits = true
		default:
			if err := begin.step(ctx, st, &run); err != nil {
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

// PutSteps records the end of steps that have no execution of their own, and that the pipeline goes on.
func (a *Executions) PutSteps(ctx context.Context, in workflows.Input, phase int, sequence int64, ends []workflows.StepUpdate) error {
	return a.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.PutSteps(ctx, endedSteps(tx.Now(), in, phase, ends)...); err != nil {
			return err
		}
		return tx.SetExecutionStatus(ctx, in.ExecutionID, models.StatusRunning, sequence)
	})
}

// endedSteps are the rows of steps that ended at a time.
func endedSteps(now time.Time, in workflows.Input, phase int, ends []workflows.StepUpdate) []models.ExecutionStep {
	rows := make([]models.ExecutionStep, len(ends))
	for i, u := range ends {
		rows[i] = models.ExecutionStep{ExecutionID: in.ExecutionID, Phase: phase, Step: u.Step, Status: u.Outcome.Status, Reason: u.Outcome.Reason, FinishedAt: &now}
	}
	return rows
}
