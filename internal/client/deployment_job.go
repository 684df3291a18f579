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
	Disabled  bool              `json:"disabled,omitempty"`
	// Status is that of the newest execution; read only.
	Status string `json:"status,omitempty"`
}

// DeploymentJobs lists the deployment jobs that the caller may see, by project, environment and name; of one project where
// one is named.
func (c *Client) DeploymentJobs(ctx context.Context, project ...string) (Answer[map[string]map[string]map[string]DeploymentJob], error) {
	if len(project) == 0 {
		return get[map[string]map[string]map[string]DeploymentJob](ctx, c, "/api/v1/deployment-jobs/")
	}
	one, err := get[map[string]map[string]DeploymentJob](ctx, c, path("/api/v1/deployment-jobs/by-project/%s/", project[0]))
	return Answer[map[string]map[string]map[string]DeploymentJob]{Value: map[string]map[string]map[string]DeploymentJob{project[0]: one.Value}, JSON: one.JSON}, err
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
	return c.trigger(ctx, path("/api/v1/deployment-jobs/by-project/%s/by-environment/%s/by-name/%s/", project, environment, job)+string(action), nil, ref)
}

// TriggerDeployment deploys a version other than the job's, this once: an exact one, a query or a tag. "" is the job's.
func (c *Client) TriggerDeployment(ctx context.Context, project, environment, job, version string) (Ref, error) {
	if version == "" {
		return c.TriggerDeploymentJob(ctx, project, environment, job, Deploy)
	}
	ref := DeploymentJobRef(project, environment, job, "")
	body := struct {
		Version string `json:"version"`
	}{version}
	return c.trigger(ctx, path("/api/v1/deployment-jobs/by-project/%s/by-environment/%s/by-name/%s/trigger", project, environment, job), body, ref)
}

// RunErrand runs an errand of what a job has deployed, with the inputs given.
func (c *Client) RunErrand(ctx context.Context, project, environment, job, errand string, inputs map[string]any) (Ref, error) {
	ref := DeploymentJobRef(project, environment, job, "")
	body := struct {
		Name   string         `json:"errand_name"`
		Inputs map[string]any `json:"inputs,omitempty"`
	}{errand, inputs}
	return c.trigger(ctx, path("/api/v1/deployment-jobs/by-project/%s/by-environment/%s/by-name/%s/trigger/errand", project, environment, job), body, ref)
}
