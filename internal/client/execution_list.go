package client

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Kinds of executions.
const (
	KindBuild      = "build"
	KindDeployment = "deployment"
	KindPipeline   = "pipeline"
)

// AnyExecution is an execution of any kind, as Slipway's own surface shows it.
type AnyExecution struct {
	ID          string         `json:"id"`
	Kind        string         `json:"kind"`
	Project     string         `json:"project"`
	Environment string         `json:"environment"`
	Subject     string         `json:"subject"` // the build, deployment job or pipeline
	Number      int64          `json:"number"`
	Status      string         `json:"status"`
	Outcome     string         `json:"outcome"`
	Reason      string         `json:"reason"`
	Trigger     Trigger        `json:"trigger"`
	Parent      string         `json:"parent"`
	RetryOf     string         `json:"retry_of"`
	CancelledBy string         `json:"cancelled_by"`
	CreatedAt   time.Time      `json:"created_at"`
	StartedAt   *time.Time     `json:"started_at"`
	FinishedAt  *time.Time     `json:"finished_at"`
	Commit      *Commit        `json:"commit"`
	Result      Result         `json:"result"`
	Children    []AnyExecution `json:"children"`
}

// Commit is what is known about the source of an execution.
type Commit struct {
	Revision string `json:"revision"`
	Branch   string `json:"branch"`
	Message  string `json:"message"`
	Author   string `json:"author"`
}

// Result is what an execution made: the releases of a build, or what a deployment job deployed.
type Result struct {
	Releases []struct {
		Release string `json:"release"`
		Skipped bool   `json:"skipped"`
		Pushed  bool   `json:"pushed"`
	} `json:"releases"`
	Release string `json:"release"`
}

// Ended says whether the execution has its last status.
func (e *AnyExecution) Ended() bool { return ended(e.Status) }

// Ref names the execution on the state surface; false for kinds that are not there.
func (e *AnyExecution) Ref() (Ref, bool) {
	switch e.Kind {
	case KindBuild:
		return BuildRef(e.Project, e.Environment, e.Subject, e.ID), true
	case KindDeployment:
		return DeploymentJobRef(e.Project, e.Environment, e.Subject, e.ID), true
	case KindPipeline:
		return PipelineRef(e.Project, e.Subject, e.ID), true
	}
	return Ref{}, false
}

// ExecutionFilter narrows a list of executions. Empty members do not filter.
type ExecutionFilter struct {
	Project, Environment, Kind, Subject string
	Status                              string // outcomes, separated by commas; "open" for all that have not ended
	PageSize                            int
	PageFrom                            string // an id: every item has a lower one
}

// Executions lists the executions that the caller may see, newest first.
func (c *Client) Executions(ctx context.Context, f ExecutionFilter) (Answer[[]AnyExecution], error) {
	q := url.Values{}
	for name, value := range map[string]string{"project": f.Project, "environment": f.Environment, "kind": f.Kind, "subject": f.Subject, "status": f.Status, "page_from": f.PageFrom} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.PageSize > 0 {
		q.Set("page_size", strconv.Itoa(f.PageSize))
	}
	return get[[]AnyExecution](ctx, c, "/api/v1/slipway/executions/?"+q.Encode())
}

// Find returns an execution of any kind by its id alone, with those that it started.
func (c *Client) Find(ctx context.Context, id string) (Answer[AnyExecution], error) {
	return get[AnyExecution](ctx, c, path("/api/v1/slipway/executions/%s/", id))
}

// PendingConfirmation is a decision that waits for the caller.
type PendingConfirmation struct {
	ID              string     `json:"id"`
	Execution       string     `json:"execution"`
	Number          int64      `json:"number"`
	Project         string     `json:"project"`
	Pipeline        string     `json:"pipeline"`
	Step            string     `json:"step"`
	User            string     `json:"user"`
	Team            string     `json:"team"`
	Trigger         Trigger    `json:"trigger"`
	CreatedAt       time.Time  `json:"created_at"`
	ExpiresAt       *time.Time `json:"expires_at"`
	ConfirmationURL string     `json:"confirmation_url"`
}

// PendingFilter narrows a list of decisions. Empty members do not filter.
type PendingFilter struct {
	Execution string // an execution's id
	PageSize  int
	PageFrom  string // the id of a confirmation: every item has a higher one
}

// PendingConfirmations lists the confirmations that wait for the caller, oldest first.
func (c *Client) PendingConfirmations(ctx context.Context, f PendingFilter) (Answer[[]PendingConfirmation], error) {
	q := url.Values{}
	if f.Execution != "" {
		q.Set("execution", f.Execution)
	}
	if f.PageSize > 0 {
		q.Set("page_size", strconv.Itoa(f.PageSize))
	}
	if f.PageFrom != "" {
		q.Set("page_from", f.PageFrom)
	}
	return get[[]PendingConfirmation](ctx, c, "/api/v1/slipway/confirmations/?"+q.Encode())
}

// Link is where the decision is made, as a path of the server that was asked: its public address may be another one than
// the one that it is reached at here.
func (p *PendingConfirmation) Link() string {
	if at := strings.Index(p.ConfirmationURL, "/api/v1/pipelines/"); at > 0 {
		return p.ConfirmationURL[at:]
	}
	return p.ConfirmationURL
}
