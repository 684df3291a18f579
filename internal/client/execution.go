package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"slipway/internal/periodic"
)

// Ref names one execution by the path under which its surface has it.
type Ref struct {
	// ID of the execution.
	ID string
	// executions is the path of its subject's executions, with a slash at the end.
	executions string
	kind       string
}

// hasLog says whether the execution has a log of its own: a pipeline's are those of its steps.
func (r Ref) hasLog() bool { return r.kind != KindPipeline }

// BuildRef names an execution of a build.
func BuildRef(project, environment, build, id string) Ref {
	return Ref{ID: id, executions: path("/api/v1/state/%s/environments/%s/builds/by-name/%s/executions/", project, environment, build), kind: KindBuild}
}

// DeploymentJobRef names an execution of a deployment job.
func DeploymentJobRef(project, environment, job, id string) Ref {
	return Ref{ID: id, executions: path("/api/v1/deployment-jobs/by-project/%s/by-environment/%s/by-name/%s/executions/", project, environment, job), kind: KindDeployment}
}

// PipelineRef names an execution of a pipeline.
func PipelineRef(project, pipeline, id string) Ref {
	return Ref{ID: id, executions: path("/api/v1/pipelines/by-project/%s/by-name/%s/executions/", project, pipeline), kind: KindPipeline}
}

func (r Ref) path() string { return r.executions + path("%s/", r.ID) }

// The statuses of an execution.
const (
	StatusNew     = "new"
	StatusPending = "pending"
	StatusRunning = "running"
	StatusOK      = "ok"
	StatusFailed  = "failed"
)

// Execution is one run of a build, a deployment job or a pipeline.
type Execution struct {
	ID     string `json:"id"`
	Number int    `json:"number"`
	// Status is the documented one. Outcome is the exact one (waiting, cancelled, skipped ...) and Reason says why.
	Status     string    `json:"status"`
	Outcome    string    `json:"outcome"`
	Reason     string    `json:"reason"`
	Trigger    Trigger   `json:"trigger"`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Commit     *Commit   `json:"commit,omitempty"`
	// Pipeline has the phases and steps with their statuses, in executions of pipelines.
	Pipeline *Pipeline `json:"pipeline,omitempty"`
}

// Ended says whether the execution has its last status.
func (e *Execution) Ended() bool { return ended(e.Status) }

func ended(status string) bool { return status == StatusOK || status == StatusFailed }

// Execution returns how an execution stands.
func (c *Client) Execution(ctx context.Context, ref Ref) (*Execution, error) {
	a, err := c.ExecutionAnswer(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &a.Value, nil
}

// ExecutionAnswer is Execution with the whole answer.
func (c *Client) ExecutionAnswer(ctx context.Context, ref Ref) (Answer[Execution], error) {
	return get[Execution](ctx, c, ref.path())
}

// Cancel asks for an execution to end. A second call changes nothing.
func (c *Client) Cancel(ctx context.Context, ref Ref) error {
	return c.call(ctx, http.MethodPost, ref.executions+path("%s/cancel", ref.ID), nil, nil)
}

// Retry runs an ended execution again, as a new one.
func (c *Client) Retry(ctx context.Context, ref Ref) (Ref, error) {
	return c.RetryFrom(ctx, ref, "")
}

// RetryFrom is Retry for pipelines: from is "" to go on from the phase that failed, start to run all of it, or the name of
// a step to go on from there.
func (c *Client) RetryFrom(ctx context.Context, ref Ref, from string) (Ref, error) {
	query := ""
	if from != "" {
		query = "?from=" + url.QueryEscape(from)
	}
	return c.trigger(ctx, ref.executions+path("%s/retry", ref.ID)+query, nil, ref)
}

func (c *Client) trigger(ctx context.Context, path string, body any, ref Ref) (Ref, error) {
	var answer struct {
		ID string `json:"id"`
	}
	if err := c.call(ctx, http.MethodPost, path, body, &answer); err != nil {
		return Ref{}, err
	}
	if answer.ID == "" {
		return Ref{}, errors.New("POST " + path + ": the answer has no execution id")
	}
	ref.ID = answer.ID
	return ref, nil
}

// Watch asks for an execution again and again and calls seen with every answer, until it has ended or ctx has. It returns
// the last answer.
func (c *Client) Watch(ctx context.Context, ref Ref, every time.Duration, seen func(*Execution) error) (*Execution, error) {
	for {
		execution, err := c.Execution(ctx, ref)
		if err != nil {
			return nil, err
		}
		if seen != nil {
			if err := seen(execution); err != nil {
				return execution, err
			}
		}
		if execution.Ended() {
			return execution, nil
		}
		if err := periodic.Pause(ctx, every); err != nil {
			return execution, err
		}
	}
}

// Trigger says what started an execution, and who is behind it.
type Trigger struct {
	// Type is api, webhook, schedule, pipeline, retry or release.
	Type        string `json:"type"`
	SubjectKind string `json:"subject_kind,omitempty"`
	SubjectName string `json:"subject_name,omitempty"`
	// Execution is the parent, or the execution that is retried.
	Execution string `json:"execution,omitempty"`
}
