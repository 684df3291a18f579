package state

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/state"
	"slipway/models"
)

// maxState is how large a state document may be in bytes: a root deployment is written with all that is nested in it,
// calculated inputs and outputs included.
const maxState = 8 << 20

func (s *surface) deploymentRows() []api.Row {
	const path = "/api/v1/state/{project}/environments/{environment}/deployments/"
	return []api.Row{
		{Method: http.MethodGet, Path: path, Operation: "getADeployment", Summary: "Get a deployment.",
			Permission: s.in("deployment:read"), Handler: api.Handle(s.getDeployment)},
		{Method: http.MethodPost, Path: path, Operation: "addADeployment", Summary: "Add a deployment.",
			Permission: s.in("deployment:create"), Handler: api.Handle(s.addDeployment)},
		{Method: http.MethodPut, Path: path, Operation: "updateADeployment", Summary: "Update a deployment.", MaxBody: maxState,
			Permission: s.in("deployment:write"), Handler: api.Handle(s.putDeployment)},
		{Method: http.MethodDelete, Path: path, Operation: "hardDeleteADeployment", Summary: "Hard delete a deployment.",
			Permission: s.in("deployment:delete"), Handler: api.Handle(s.deleteDeployment)},
	}
}

type deploymentGet struct {
	environmentPath
	// Deployment is the name of the root deployment. Without it the summaries of all are given.
	Deployment string `query:"deployment" validate:"max=500"`
	Full       string `query:"full" validate:"max=20"`
}

// getDeployment answers one deployment's state, or all summaries. Like the environment, it is a summary unless full is
// asked for by somebody who may write.
func (s *surface) getDeployment(ctx context.Context, r *deploymentGet) (any, error) {
	full := isFull(r.Full)
	if full {
		if err := s.mustReadFull(ctx, "deployment:read-full"); err != nil {
			return nil, err
		}
	}
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	if r.Deployment == "" {
		if full {
			env, err := s.Store.StateOf(ctx, e)
			if err != nil {
				return nil, err
			}
			return env.Deployments, nil
		}
		summary, err := s.summary(ctx, e)
		if err != nil {
			return nil, err
		}
		return summary.Deployments, nil
	}
	d, err := s.Store.DeploymentState(ctx, e.ID, r.Deployment)
	if err != nil {
		return nil, missing(err, "the environment has no deployment '%s'", r.Deployment)
	}
	if full {
		return d, nil
	}
	return summarize(d), nil
}

// DeploymentBody adds a deployment without a client's state: what is to be there, before anything runs.
type DeploymentBody struct {
	Name      string            `json:"name" validate:"max=500"`
	Release   string            `json:"release" validate:"max=200"`
	Version   string            `json:"version" validate:"max=100"`
	Inputs    map[string]any    `json:"inputs" validate:"max=1000"`
	Providers map[string]string `json:"providers" validate:"max=200,dive,keys,max=200,endkeys,max=500"`
}

type deploymentCreate struct {
	environmentPath
	Deployment string         `query:"deployment" validate:"max=500"`
	Body       DeploymentBody `body:"json"`
}

func (s *surface) addDeployment(ctx context.Context, r *deploymentCreate) (api.Empty, error) {
	b := r.Body
	if b.Name == "" {
		b.Name = r.Deployment
	}
	if r.Deployment != "" && r.Deployment != b.Name {
		return api.Empty{}, problem.New(problem.Invalid, "Deployment 'name' field doesn't correspond with URL")
	}
	if err := state.ValidateDeploymentName(b.Name); err != nil {
		return api.Empty{}, bad(err)
	}
	d := &state.Deployment{Name: b.Name, Release: b.Release}
	if d.Release == "" {
		d.Release = b.Name
	}
	if b.Version != "" || b.Inputs != nil || b.Providers != nil {
		stage := d.EnsureStage(state.StageDeploy)
		stage.Version, stage.Inputs, stage.Providers = b.Version, b.Inputs, b.Providers
		stage.Status = &state.Status{Code: state.Empty, UpdatedAt: s.Store.Now()}
	}
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, taken(s.change(ctx, audit("deployment:create", "deployment", "", e.Name+"/"+b.Name), func(tx *models.Store) error {
		return tx.CreateDeployment(ctx, e.ID, d, api.SubjectOf(ctx).Name)
	}))
}

type deploymentPut struct {
	environmentPath
	Deployment string `query:"deployment" validate:"max=500"`
	// Body is read leniently: clients of other versions may send members that this one does not know.
	Body []byte `body:"raw"`
}

// putDeployment is what the client sends after every change of state: an upsert at a path, in any order of statuses.
func (s *surface) putDeployment(ctx context.Context, r *deploymentPut) (api.Empty, error) {
	if err := api.CheckBody(r.Body); err != nil {
		return api.Empty{}, err
	}
	update, names, err := state.DecodeUpdate(r.Body)
	if err != nil {
		return api.Empty{}, bad(err)
	}
	if r.Deployment != "" && r.Deployment != names[0] {
		return api.Empty{}, problem.New(problem.Invalid, "The path '%s' does not begin with the deployment '%s'", update.Path, r.Deployment)
	}
	if len(update.Path) > maxDeploymentPath {
		return api.Empty{}, problem.New(problem.Invalid, "The deployment path is over %d bytes", maxDeploymentPath)
	}
	by := api.SubjectOf(ctx).Name
	err = s.withEnvironment(ctx, r.environmentPath, func(environment string) error {
		if models.Progress(update.State) {
			return s.Store.PutDeployment(ctx, environment, names[0], names, update.RootStage, update.State, by)
		}
		entry := audit("deployment:write", "deployment", "", r.Environment+"/"+update.Path)
		entry.Detail = map[string]any{"stages": summarize(update.State).Stages}
		byCaller(ctx, entry)
		return s.Store.PutDeploymentAudited(ctx, environment, names[0], names, update.RootStage, update.State, by, *entry)
	})
	return api.Empty{}, missing(err, "the project has no environment '%s'", r.Environment)
}

// maxDeploymentPath is what a path of nested deployments may take.
const maxDeploymentPath = 2000

type deploymentDelete struct {
	environmentPath
	Deployment string `query:"deployment" validate:"required,max=500"`
}

func (s *surface) deleteDeployment(ctx context.Context, r *deploymentDelete) (api.Empty, error) {
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return api.Empty{}, err
	}
	err = s.change(ctx, audit("deployment:delete", "deployment", "", e.Name+"/"+r.Deployment), func(tx *models.Store) error {
		return tx.DeleteDeployment(ctx, e.ID, r.Deployment)
	})
	return api.Empty{}, missing(err, "the environment has no deployment '%s'", r.Deployment)
}
