package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Pipeline joins steps into phases: phases run one after another, the steps of a phase side by side.
type Pipeline struct {
	Name     string          `json:"name"`
	Disabled bool            `json:"disabled,omitempty"`
	Phases   []PipelinePhase `json:"phases"`
	// ServiceAccountName is what the pipeline acts as.
	ServiceAccountName string `json:"service_account_name,omitempty"`
	// SigningSecret is what the requests of webhook-trigger steps are signed with.
	SigningSecret string `json:"signing_secret,omitempty"`
	// Project and Status, that of the newest execution, are read only.
	Project string `json:"project,omitempty"`
	Status  string `json:"status,omitempty"`
}

// Pipelines lists the pipelines that the caller may see, by project and name.
func (c *Client) Pipelines(ctx context.Context) (Answer[map[string]map[string]Pipeline], error) {
	return get[map[string]map[string]Pipeline](ctx, c, "/api/v1/pipelines/")
}

// PipelinesOf lists the pipelines of a project by name.
func (c *Client) PipelinesOf(ctx context.Context, project string) (Answer[map[string]Pipeline], error) {
	return get[map[string]Pipeline](ctx, c, path("/api/v1/pipelines/by-project/%s/", project))
}

// Pipeline returns a pipeline.
func (c *Client) Pipeline(ctx context.Context, project, pipeline string) (Answer[Pipeline], error) {
	return get[Pipeline](ctx, c, path("/api/v1/pipelines/by-project/%s/by-name/%s/", project, pipeline))
}

// PipelinePhase is a group of steps that run side by side. Status is read only.
type PipelinePhase struct {
	Name   string         `json:"name"`
	Steps  []PipelineStep `json:"steps"`
	Status string         `json:"status,omitempty"`
	// RunAlways makes the phase run also after a failure or a cancellation.
	RunAlways bool `json:"run_always,omitempty"`
}

// The types of pipeline steps.
const (
	StepBuild        = "build"
	StepDeploy       = "deploy"
	StepSmoke        = "run-smoke"
	StepDestroy      = "run-destroy"
	StepConfirmation = "confirmation"
	StepErrand       = "run-errand"
	StepPipeline     = "pipeline-trigger"
	StepWebhook      = "webhook-trigger"
	StepTagRelease   = "tag-release"
)

// PipelineStep is one step; which members matter depends on Type.
type PipelineStep struct {
	Name          string `json:"name,omitempty"`
	Type          string `json:"type"`
	Project       string `json:"project,omitempty"`
	Environment   string `json:"environment,omitempty"`
	Build         string `json:"build,omitempty"`
	Deployment    string `json:"deployment,omitempty"`
	UpdateVersion string `json:"update_version,omitempty"`
	// UpdateVersionDeployment and UpdateVersionEnvironment name the job whose version is deployed.
	UpdateVersionDeployment  string `json:"update_version_deployment,omitempty"`
	UpdateVersionEnvironment string `json:"update_version_environment,omitempty"`

	User string `json:"user,omitempty"`
	Team string `json:"team,omitempty"`
	// Approvals is how many people must approve a confirmation; 0 is one.
	Approvals int `json:"approvals,omitempty"`
	// FourEyes keeps whoever set the execution off from deciding.
	FourEyes bool `json:"four_eyes,omitempty"`
	// RemindAfter is how long those who may decide have before they are reminded, and again, as in 4h.
	RemindAfter   string `json:"remind_after,omitempty"`
	IgnoreFailure bool   `json:"ignore_failure,omitempty"`
	// TimeLimit is how long the step may take, as in 10m.
	TimeLimit string `json:"time_limit,omitempty"`
	Pipeline  string `json:"pipeline,omitempty"`
	// WaitForPipeline makes the outcome of the pipeline that the step triggers the step's own.
	WaitForPipeline bool           `json:"wait_for_pipeline,omitempty"`
	ErrandName      string         `json:"errand_name,omitempty"`
	ErrandInputs    map[string]any `json:"errand_inputs,omitempty"`
	WebhookURL      string         `json:"webhook_url,omitempty"`
	Namespace       string         `json:"namespace,omitempty"`
	Application     string         `json:"application,omitempty"`
	Tag             string         `json:"tag,omitempty"`
	TagVersion      string         `json:"tag_version,omitempty"`
	// TagTaggedVersion is the tag that finds the version, where TagVersion is tagged-version.
	TagTaggedVersion string `json:"tag_tagged_version,omitempty"`
	// TriggerPipelineOnBuild and TriggerPipelineOnDeploy start the pipeline when the step's build or deployment has ended
	// well.
	TriggerPipelineOnBuild  bool `json:"trigger_pipeline_on_build,omitempty"`
	TriggerPipelineOnDeploy bool `json:"trigger_pipeline_on_deploy,omitempty"`

	// Read only, in executions.
	Status  string `json:"status,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// ExecutionID is the execution that the step runs as; empty for a confirmation and for a step that has not begun.
	ExecutionID string `json:"execution_id,omitempty"`
	// Kept says that the step was taken over from the execution that this one retries.
	Kept       bool       `json:"kept,omitempty"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	DecidedBy  string     `json:"decided_by,omitempty"`
	// ConfirmationURL is where the decision is made, for those who may make it while it is awaited. Opened in a browser it
	// is a page; ending in /approve or /disapprove it acts for a caller that accepts JSON.
	ConfirmationURL string `json:"confirmation_url,omitempty"`
	// Shortage says why a confirmation that waits cannot be approved as things are.
	Shortage string `json:"shortage,omitempty"`
}

// Ref is the execution that the step runs as.
func (s PipelineStep) Ref(project string) (Ref, bool) {
	if s.Project != "" {
		project = s.Project
	}
	switch {
	case s.ExecutionID == "":
		return Ref{}, false
	case s.Type == StepBuild:
		return BuildRef(project, s.Environment, s.Build, s.ExecutionID), true
	case s.Type == StepDeploy, s.Type == StepSmoke, s.Type == StepDestroy, s.Type == StepErrand:
		return DeploymentJobRef(project, s.Environment, s.Deployment, s.ExecutionID), true
	case s.Type == StepPipeline:
		return PipelineRef(project, s.Pipeline, s.ExecutionID), true
	}
	return Ref{}, false
}

// AddPipeline adds a pipeline to a project.
func (c *Client) AddPipeline(ctx context.Context, project string, pipeline Pipeline) error {
	return c.call(ctx, http.MethodPost, path("/api/v1/pipelines/by-project/%s/add", project), pipeline, nil)
}

// TriggerPipeline starts a pipeline and returns its execution.
func (c *Client) TriggerPipeline(ctx context.Context, project, pipeline string) (Ref, error) {
	ref := PipelineRef(project, pipeline, "")
	return c.trigger(ctx, path("/api/v1/pipelines/by-project/%s/by-name/%s/trigger", project, pipeline), nil, ref)
}

// Decision is how a confirmation stands after somebody's word.
type Decision struct {
	// Status is approved, disapproved, or pending while more people must approve.
	Status    string `json:"status"`
	DecidedBy string `json:"decided_by"`
	// Approvals is how many people have approved, ApprovalsNeeded how many it takes; 0 where one is enough.
	Approvals       int `json:"approvals"`
	ApprovalsNeeded int `json:"approvals_needed"`
}

// Decide opens a step's confirmation link as a caller that accepts JSON, which approves or disapproves it. The link is
// absolute or a path of this server; the token is sent only to this server.
func (c *Client) Decide(ctx context.Context, link string, approve bool) (Decision, error) {
	answer := "approve"
	if !approve {
		answer = "disapprove"
	}
	var d Decision
	target, err := c.confirmation(link, answer)
	if err != nil {
		return d, err
	}
	return d, c.call(ctx, http.MethodGet, target, nil, &d)
}

// Approve is [Client.Decide] for who needs no answer: nil says that it was counted.
func (c *Client) Approve(ctx context.Context, link string) error {
	_, err := c.Decide(ctx, link, true)
	return err
}

// Disapprove is [Client.Approve] with the other answer.
func (c *Client) Disapprove(ctx context.Context, link string) error {
	_, err := c.Decide(ctx, link, false)
	return err
}

// ConfirmationPage opens a step's confirmation link as a browser does, which decides nothing, and returns the page.
func (c *Client) ConfirmationPage(ctx context.Context, link string) (string, error) {
	target, err := c.confirmation(link, "approve")
	if err != nil {
		return "", err
	}
	response, err := c.send(ctx, http.MethodGet, target, nil, "text/html")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return string(page), err
}

// confirmation turns a link into the path of one answer on this server.
func (c *Client) confirmation(link, answer string) (string, error) {
	target := strings.TrimSuffix(strings.TrimSuffix(link, "/approve"), "/disapprove") + "/" + answer
	if rest, ok := strings.CutPrefix(target, c.base+"/"); ok {
		target = "/" + rest
	}
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return "", fmt.Errorf("the confirmation link %s is not one of %s", link, c.base)
	}
	return target, nil
}
