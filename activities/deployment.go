package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipway/internal/engine"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/models"
	"slipway/workflows"
)

// Deployment deploys a release to an environment, or runs the smoke test, an errand or the destruction of what is
// deployed.
func (a *Scripts) Deployment(ctx context.Context, in workflows.Input) (workflows.Outcome, error) {
	return a.run(ctx, in, pulseOf(ctx), func(ctx context.Context, t *attempt) (models.Result, error) {
		var d models.DeploymentDefinition
		if err := t.e.DefinitionInto(&d); err != nil {
			return models.Result{}, problem.Wrap(problem.Unprocessable, err, "the deployment job's definition cannot be read")
		}
		t.state.stages = []string{state.StageDeploy}
		target := engine.Target{Project: d.Project, Environment: d.Environment, Deployment: d.Deployment, Providers: d.Providers}
		inputs, err := t.inputs(ctx, d)
		if err != nil {
			return models.Result{}, err
		}
		target.Variables = inputs
		e, err := t.engine(ctx)
		if err != nil {
			return models.Result{}, err
		}
		var res *engine.DeployResult
		deployed := engine.DeployedRequest{Target: target, Dir: t.workspace.Source}
		switch d.Action {
		case models.ActionDeploy:
			var id release.ID
			if id, err = releaseOf(d); err != nil {
				return models.Result{}, err
			}
			res, err = e.Deploy(ctx, engine.DeployRequest{Target: target, Dir: t.workspace.Source, Release: id})
		case models.ActionSmoke:
			res, err = e.Smoke(ctx, deployed)
		case models.ActionDestroy:
			res, err = e.Destroy(ctx, deployed)
		case models.ActionErrand:
			deployed.Errand = d.ErrandName
			if deployed.Variables, err = t.Store.OpenErrandInputs(d.JobID, d.ErrandInputs); err == nil {
				res, err = e.Errand(ctx, deployed)
			}
		default:
			err = problem.New(problem.Unprocessable, "a deployment job cannot %q", d.Action)
		}
		var result models.Result
		if res != nil {
			result.Release = res.ID.String()
		}
		return result, err
	})
}

// inputs are what the job's row says now: they are sealed there and in no snapshot.
func (t *attempt) inputs(ctx context.Context, d models.DeploymentDefinition) (map[string]any, error) {
	if d.Action != models.ActionDeploy {
		return nil, nil
	}
	j, err := t.Store.DeploymentJobByID(ctx, d.JobID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "the deployment job %s is gone", d.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := t.Store.OpenInputs(j); err != nil {
		return nil, fmt.Errorf("open the inputs of the deployment job: %w", err)
	}
	return j.Inputs, nil
}

// releaseOf puts application and version together: the version may be exact, a query or a tag.
func releaseOf(d models.DeploymentDefinition) (release.ID, error) {
	version := d.Version
	if version == "" {
		version = "latest"
	}
	text := d.Release + ":" + strings.TrimPrefix(version, ":")
	id, err := release.ParseID(text)
	if err != nil {
		return id, problem.Wrap(problem.Unprocessable, err, "%s", err.Error())
	}
	return id, nil
}
