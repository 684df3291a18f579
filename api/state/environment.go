package state

import (
	"context"
	"encoding/json"
	"net/http"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/state"
	"slipway/models"
)

// EnvironmentSummary is an environment with what is deployed in it, without anything that may be secret.
type EnvironmentSummary struct {
	Name        string                        `json:"name"`
	Order       int                           `json:"order"`
	Description string                        `json:"description,omitempty"`
	Metadata    map[string]string             `json:"metadata,omitempty"`
	Deployments map[string]*DeploymentSummary `json:"deployments"`
}

// DeploymentSummary is a deployment's release with version and status of its stages.
type DeploymentSummary struct {
	Name    string                   `json:"name"`
	Release string                   `json:"release,omitempty"`
	Stages  map[string]*StageSummary `json:"stages,omitempty"`
}

// StageSummary is a stage's version and status.
type StageSummary struct {
	Version string        `json:"version,omitempty"`
	Status  *state.Status `json:"status,omitempty"`
}

// EnvironmentBody is what creates or updates an environment. Members that only answers have are known and ignored.
type EnvironmentBody struct {
	Name        string            `json:"name" validate:"max=300"`
	Description string            `json:"description" validate:"max=10000"`
	Metadata    map[string]string `json:"metadata" validate:"max=200,dive,keys,max=200,endkeys,max=10000"`
	// Inputs are what every deployment in the environment gets. Absent leaves them as they are: the summary does not show
	// them, so a client that writes back what it read must not lose them.
	Inputs      map[string]any `json:"inputs" validate:"max=1000"`
	Order       *int           `json:"order"`
	Deployments any            `json:"deployments"`
}

func (s *surface) environmentRows() []api.Row {
	const environment = "/api/v1/state/{project}/environments/{environment}/"
	return []api.Row{
		{Method: http.MethodPost, Path: "/api/v1/state/{project}/change-environment-order", Operation: "changeTheOrderOfEnvironments", Summary: "Change the order of environments",
			Permission: s.in("environment:reorder"), Handler: api.Handle(s.orderEnvironments)},
		{Method: http.MethodPost, Path: "/api/v1/state/{project}/environments/", Operation: "addANewEnvironment", Summary: "Add a new environment",
			Permission: s.in("environment:create"), Handler: api.Handle(s.addEnvironment)},
		{Method: http.MethodGet, Path: environment, Operation: "getAnEnvironmentAndItsDeployments", Summary: "Get an environment and its deployments",
			Permission: s.in("environment:read"), Handler: api.Handle(s.getEnvironment)},
		{Method: http.MethodPut, Path: environment, Operation: "updateEnvironmentMetadata", Summary: "Update environment metadata.",
			Permission: s.in("environment:update"), Handler: api.Handle(s.updateEnvironment)},
		{Method: http.MethodDelete, Path: environment, Operation: "hardDeleteAnEnvironment", Summary: "Hard delete an environment.",
			Permission: s.in("environment:delete"), Handler: api.Handle(s.deleteEnvironment)},
		{Method: http.MethodGet, Path: environment + "providers/", Operation: "getProvidersPresentInTheEnvironment", Summary: "Get providers present in the environment.",
			Permission: s.in("environment:read"), Handler: api.Handle(s.providers)},
	}
}

// environmentOrder is the list of names, or an object that holds it: the document leaves the shape open.
type environmentOrder []string

// UnmarshalJSON takes ["dev","prod"] or {"environments":["dev","prod"]}.
func (o *environmentOrder) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err == nil {
		*o = list
		return nil
	}
	var object struct {
		Environments []string `json:"environments"`
	}
	if err := json.Unmarshal(b, &object); err != nil || object.Environments == nil {
		return problem.New(problem.Invalid, `expected a list of names, or {"environments": [names]}`)
	}
	*o = object.Environments
	return nil
}

type orderRequest struct {
	projectPath
	Body environmentOrder `body:"json" validate:"max=1000,unique,dive,max=300"`
}

func (s *surface) orderEnvironments(ctx context.Context, r *orderRequest) (api.Empty, error) {
	err := s.change(ctx, audit("environment:reorder", "project", projectID(ctx), r.Project), func(tx *models.Store) error {
		return tx.OrderEnvironments(ctx, projectID(ctx), r.Body)
	})
	return api.Empty{}, missing(err, "the project does not have all of these environments")
}

type environmentCreate struct {
	projectPath
	Body EnvironmentBody `body:"json"`
}

func (s *surface) addEnvironment(ctx context.Context, r *environmentCreate) (api.Empty, error) {
	if err := state.ValidateEnvironmentName(r.Body.Name); err != nil {
		return api.Empty{}, bad(err)
	}
	e := &models.Environment{ProjectID: projectID(ctx), Name: r.Body.Name, Description: r.Body.Description, Metadata: r.Body.Metadata, Inputs: r.Body.Inputs}
	return api.Empty{}, taken(s.create(ctx, audit("environment:create", "environment", "", r.Body.Name), &e.ID, func(tx *models.Store) error {
		return tx.CreateEnvironment(ctx, e)
	}))
}

type environmentRequest struct{ environmentPath }

type environmentGet struct {
	environmentPath
	// Full asks for inputs and outputs too; anything that is not empty or false.
	Full string `query:"full" validate:"max=20"`
}

// getEnvironment answers what the client reads at the start of each command. With full it carries inputs and outputs,
// which may be secret, so that takes the right to write.
func (s *surface) getEnvironment(ctx context.Context, r *environmentGet) (any, error) {
	full := isFull(r.Full)
	if full {
		if err := s.mustReadFull(ctx, "environment:read-full"); err != nil {
			return nil, err
		}
	}
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	if full {
		return s.Store.StateOf(ctx, e)
	}
	return s.summary(ctx, e)
}

func isFull(text string) bool { return text != "" && text != "false" && text != "0" }

func (s *surface) mustReadFull(ctx context.Context, action string) error {
	ok, err := s.may(ctx, action)
	if err != nil {
		return err
	}
	if !ok {
		return problem.New(problem.Forbidden, "the full state carries inputs and outputs: you need the right to write to see it")
	}
	return nil
}

func (s *surface) summary(ctx context.Context, e *models.Environment) (*EnvironmentSummary, error) {
	env, err := s.Store.StateOf(ctx, e)
	if err != nil {
		return nil, err
	}
	out := &EnvironmentSummary{Name: e.Name, Order: e.Position, Description: e.Description, Metadata: e.Metadata, Deployments: map[string]*DeploymentSummary{}}
	for name, d := range env.Deployments {
		out.Deployments[name] = summarize(d)
	}
	return out, nil
}

func summarize(d *state.Deployment) *DeploymentSummary {
	short := d.Summarize()
	out := &DeploymentSummary{Name: short.Name, Release: short.Release, Stages: map[string]*StageSummary{}}
	for name, stage := range short.Stages {
		out.Stages[name] = &StageSummary{Version: stage.Version, Status: stage.Status}
	}
	return out
}

type environmentUpdate struct {
	environmentPath
	Body EnvironmentBody `body:"json"`
}

func (s *surface) updateEnvironment(ctx context.Context, r *environmentUpdate) (api.Empty, error) {
	if err := asInURL("Environment", "name", r.Body.Name, r.Environment); err != nil {
		return api.Empty{}, err
	}
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return api.Empty{}, err
	}
	e.Description, e.Metadata = r.Body.Description, r.Body.Metadata
	if r.Body.Inputs != nil {
		e.Inputs = r.Body.Inputs
	}
	return api.Empty{}, s.change(ctx, audit("environment:update", "environment", e.ID, e.Name), func(tx *models.Store) error {
		return tx.UpdateEnvironment(ctx, e)
	})
}

func (s *surface) deleteEnvironment(ctx context.Context, r *environmentRequest) (api.Empty, error) {
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, busy(s.change(ctx, audit("environment:delete", "environment", e.ID, e.Name), func(tx *models.Store) error {
		return tx.DeleteEnvironment(ctx, e.ID)
	}))
}

// providers answers which deployments provide which interface, in the shape that the client prints.
func (s *surface) providers(ctx context.Context, r *environmentRequest) (map[string][]string, error) {
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	env, err := s.Store.StateOf(ctx, e)
	if err != nil {
		return nil, err
	}
	return env.Providers(), nil
}
