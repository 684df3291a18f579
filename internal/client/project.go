package client

import (
	"context"
	"net/http"
	"net/url"

	"slipway/internal/state"
)

// Project is what is said about a project. Empty members are left out.
type Project struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	OrgURL      string `json:"org_url,omitempty"`
}

// Projects lists the projects that the caller may see, by name.
func (c *Client) Projects(ctx context.Context) (Answer[map[string]Project], error) {
	return get[map[string]Project](ctx, c, "/api/v1/state/")
}

// AddProject adds a project; the caller becomes its owner.
func (c *Client) AddProject(ctx context.Context, project Project) error {
	return c.call(ctx, http.MethodPost, path("/api/v1/state/%s/add-project", project.Name), project, nil)
}

// Environment is what is said about an environment. Inputs are the defaults of everything deployed there.
type Environment struct {
	Name   string         `json:"name"`
	Inputs map[string]any `json:"inputs,omitempty"`
}

// AddEnvironment adds an environment to a project.
func (c *Client) AddEnvironment(ctx context.Context, project, name string) error {
	return c.call(ctx, http.MethodPost, path("/api/v1/state/%s/environments/", project), Environment{Name: name}, nil)
}

// UpdateEnvironment changes an environment's inputs.
func (c *Client) UpdateEnvironment(ctx context.Context, project string, environment Environment) error {
	return c.call(ctx, http.MethodPut, path("/api/v1/state/%s/environments/%s/", project, environment.Name), environment, nil)
}

// Environment returns an environment's whole state, with the inputs and outputs of what is deployed.
func (c *Client) Environment(ctx context.Context, project, environment string) (*state.Environment, error) {
	var result state.Environment
	err := c.call(ctx, http.MethodGet, path("/api/v1/state/%s/environments/%s/", project, environment)+"?full=true", nil, &result)
	if err != nil {
		return nil, err
	}
	return &result, nil
}

// DeleteDeployment removes a deployment from an environment's state. What it deployed stays: destroy that first.
func (c *Client) DeleteDeployment(ctx context.Context, project, environment, deployment string) error {
	return c.call(ctx, http.MethodDelete, path("/api/v1/state/%s/environments/%s/deployments/", project, environment)+
		"?deployment="+url.QueryEscape(deployment), nil, nil)
}

// AddNamespace adds a namespace for releases that belongs to a project.
func (c *Client) AddNamespace(ctx context.Context, project, name string) error {
	body := struct {
		Name    string `json:"name"`
		Project string `json:"project"`
	}{name, project}
	return c.call(ctx, http.MethodPost, path("/api/v1/state/%s/add-namespace", project), body, nil)
}
