package client

import (
	"context"
	"net/http"
)

// DeploymentJob deploys a release to an environment.
type DeploymentJob struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	// Deployment is the name of the root deployment in the environment's state; empty means Name.
	Deployment string `json:"deployment,omitempty"`
	// Release is namespace/application; Version is latest, an exact version, a query such as 0.1.@, or a tag.
	Release   string            `json:"release"`
	Version   string            `json:"version,omitempty"`
	Inputs    map[string]any    `json:"inputs,omitempty"`
	Providers map[string]string `json:"providers,omitempty"`
}

// Action is what a deployment job is asked to do.
type Action string

// The actions of a deployment job.
const (
	Deploy  Action = "trigger"
	Smoke   Action = "trigger/smoke"
	Destroy Action = "trigger/destroy"
)

// AddDeploymentJob adds a deployment job to a project.
func (c *Client) AddDeploymentJob(ctx context.Context, project string, job DeploymentJob) error {
	return c.call(ctx, http.MethodPost, path("/api/v1/deployment-jobs/by-project/%s/add", project), job, nil)
}

// TriggerDeploymentJob starts an action of a deployment job and returns its execution.
func (c *Client) TriggerDeploymentJob(ctx context.Context, project, environment, job string, action Action) (Ref, error) {
	ref := DeploymentJobRef(project, environment, job, "")
	return c.trigger(ctx, path("/api/v1/deployment-jobs/by-project/%s/by-environment/%s/by-name/%s/", project, environment, job)+string(action), ref)
}
