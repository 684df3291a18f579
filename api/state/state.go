// Package state is the state surface: projects, environments, deployments, builds, deployment jobs, pipelines and their
// executions. Paths and members are those of an existing API whose clients work here unchanged; the rows follow its
// document in order. Errors are plain text, every success is 200.
package state

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/api/follow"
	"slipway/executions"
	"slipway/internal/logs"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Executions starts, ends, repeats and decides executions, and reads their logs. *executions.Service is one.
type Executions interface {
	Trigger(ctx context.Context, r executions.TriggerRequest) (*models.Execution, error)
	Cancel(ctx context.Context, executionID string, by policies.Subject) error
	Retry(ctx context.Context, executionID string, by policies.Subject, from string) (*models.Execution, error)
	// Confirmation finds a confirmation by the code of its link and says whether by may decide it.
	Confirmation(ctx context.Context, executionID, code string, by policies.Subject) (*models.Confirmation, *models.Execution, bool, error)
	Decide(ctx context.Context, executionID, code string, approve bool, by policies.Subject) (*models.Confirmation, error)
	// Code gives the plain code of a confirmation, for those who may decide it.
	Code(c *models.Confirmation) (string, error)
	ReadLogs(ctx context.Context, executionID string, fromLine int64, limit int) ([]logs.Item, int64, error)
	FollowLogs(ctx context.Context, executionID string, fromLine int64, send func(line int64, jsonLine []byte) error) error
	AppendLogs(ctx context.Context, executionID string, items []logs.Item) error
}

// Options are what the surface needs.
type Options struct {
	Store         *models.Store
	Policy        api.Policy
	Scopes        *api.Scopes
	Authenticator api.Authenticator
	Executions    Executions
	// Queues are the task queues that a build or job may name in remote_escape_worker_url.
	Queues []string
	// PublicURL begins the links that people open, as in https://slipway.example.com; without one, links begin with "/".
	PublicURL string
	// NoAuthentication says that every caller is an administrator. Builds' tokens are not looked at then.
	NoAuthentication bool
	Logger           *slog.Logger
}

type surface struct {
	Options
	follow       follow.Follower
	confirm      confirm.Links
	environments environmentIDs
}

// New gives the surface with its rows.
func New(o Options) api.Group {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &surface{Options: o,
		follow:  follow.Follower{Logs: o.Executions, Store: o.Store, Authenticator: o.Authenticator, Policy: o.Policy},
		confirm: confirm.Links{Executions: o.Executions, Store: o.Store, Scopes: o.Scopes, Policy: o.Policy}}
	return api.Group{Surface: Surface(), Shared: shared, Rows: slices.Concat(
		s.projectRows(), s.environmentRows(), s.deploymentRows(), s.buildRows(), s.buildExecutionRows(), s.jobRows(), s.jobExecutionRows(),
		s.pipelineRows(), s.pipelineExecutionRows(), s.namespaceRows(), s.repositoryRows(), s.serviceAccountRows(),
	)}
}

// shared are the two rows that stand in this surface's document and in the releases surface's, which serves them.
var shared = []api.Row{
	{Method: http.MethodGet, Path: "/", Operation: "home", Summary: "Home", Permission: api.Permission{Public: true}},
	{Method: http.MethodGet, Path: "/health", Operation: "healthcheckEndpoint", Summary: "Healthcheck endpoint", Permission: api.Permission{Public: true}},
}

// Surface is the shape of the surface's answers and errors.
func Surface() *api.Surface {
	return &api.Surface{
		Name:     "state",
		Title:    "Slipway: projects, environments, deployments, builds, deployment jobs and pipelines",
		Version:  "1",
		Prefixes: []string{"/api/v1/state/", "/api/v1/builds/", "/api/v1/deployment-jobs/", "/api/v1/pipelines/"},
		Strict:   true,
		MaxBody:  1 << 20,
		WriteError: func(w http.ResponseWriter, r *http.Request, e *problem.Error) {
			status, text := api.Status(e.Kind), e.Error()
			if e.Kind == problem.Internal {
				// The person who asks has nothing but this line: let it lead to the log.
				text += " (request " + api.RequestID(r.Context()) + ")"
			}
			api.WriteText(w, status, text)
		},
	}
}

// asInURL refuses a member of a body that says otherwise than the address; a body may leave it out. The text is the
// document's.
func asInURL(kind, member, said, inURL string) error {
	if said != "" && said != inURL {
		return problem.New(problem.Invalid, "%s '%s' field doesn't correspond with URL", kind, member)
	}
	return nil
}
