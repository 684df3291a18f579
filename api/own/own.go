// Package own is the surface that is Slipway's own, under /api/v1/slipway/: what the other surfaces' documents lack and
// users need. Errors are JSON: {"error": {"kind", "message", "fields", "request_id"}}.
package own

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"go.temporal.io/sdk/converter"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/api/follow"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
)

// Executions decides confirmations and follows logs. *executions.Service is one.
type Executions interface {
	confirm.Executions
	follow.Logs
	// Why says what an execution waits for; names says how the caller may be told of another one.
	Why(ctx context.Context, e *models.Execution, names func(models.ExecutionRef) string) ([]executions.Reason, error)
	// SignalLocks tells executions that a change of limits lets them go on.
	SignalLocks(ctx context.Context, ids []string)
	// Code is the code in a confirmation's link.
	Code(c *models.Confirmation) (string, error)
}

// Options are what the surface needs.
type Options struct {
	Store         *models.Store
	Policy        api.Policy
	Scopes        *api.Scopes
	Authenticator api.Authenticator
	Executions    Executions
	Deliveries    Deliveries
	// PublicURL is what links to confirmations begin with; "" makes them paths of this server.
	PublicURL string
	// Codec decrypts the payloads of workflow histories.
	Codec     converter.PayloadCodec
	Schedules Schedules
	// Version is the program's.
	Version string
}

type surface struct {
	Options
	follow  follow.Follower
	confirm confirm.Links
}

const base = "/api/v1/slipway/"

// New gives the surface with its rows.
func New(o Options) api.Group {
	s := &surface{Options: o,
		follow:  follow.Follower{Logs: o.Executions, Store: o.Store, Authenticator: o.Authenticator, Policy: o.Policy},
		confirm: confirm.Links{Executions: o.Executions, Store: o.Store, Scopes: o.Scopes, Policy: o.Policy}}
	return api.Group{Surface: Surface(), Rows: slices.Concat(
		s.identityRows(),
		s.executionRows(),
		s.confirmationRows(),
		s.historyRows(),
		s.auditRows(),
		s.limitRows(),
		s.quotaRows(),
		s.waitingRows(),
		s.notificationRows(),
		s.deliveryRows(),
		s.codecRows(),
		s.scheduleRows(),
	)}
}

// Surface is the shape of the surface's answers and errors.
func Surface() *api.Surface {
	return &api.Surface{
		Name:       "own",
		Title:      "Slipway: what the other surfaces lack",
		Version:    "1",
		Prefixes:   []string{base},
		Strict:     true,
		WriteError: writeError,
	}
}

// Error is the shape of errors.
type Error struct {
	Error struct {
		// Kind is stable: invalid, unauthenticated, forbidden, not_found, exists, conflict, too_large, too_many, limit_reached, unavailable,
		// internal.
		Kind string `json:"kind"`
		// Message is for people.
		Message string `json:"message"`
		// Fields are the members or parameters at fault.
		Fields []problem.Field `json:"fields,omitempty"`
		// RequestID leads to the log.
		RequestID string `json:"request_id"`
	} `json:"error"`
}

func writeError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	var e Error
	e.Error.Kind, e.Error.Message, e.Error.Fields, e.Error.RequestID = string(p.Kind), p.Message, p.Fields, api.RequestID(r.Context())
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte(`{"error":{"kind":"internal"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(api.Status(p.Kind))
	_, _ = w.Write(append(b, '\n'))
}

// onProject resolves {project}.
func (s *surface) onProject(r *api.Request) (api.Resource, error) {
	p, err := s.Scopes.Project(r.HTTP.Context(), r.Param("project"))
	return resource(p, err, "project", "")
}

// onExecution resolves {execution_id}: an execution belongs to its project, or, where it has none, to an organization.
func (s *surface) onExecution(r *api.Request) (api.Resource, error) {
	e, err := s.Store.ExecutionByID(r.HTTP.Context(), r.Param("execution_id"))
	if err != nil {
		return resource(api.ProjectScope{}, err, "execution", "")
	}
	if e.ProjectID == "" && e.OrganizationID != "" {
		o, err := s.Scopes.Organization(r.HTTP.Context(), e.OrganizationID)
		if err != nil {
			return resource(api.ProjectScope{}, err, "execution", "")
		}
		return o.Resource("execution", e.ID), nil
	}
	p, err := s.Scopes.ProjectByID(r.HTTP.Context(), e.ProjectID)
	return resource(p, err, "execution", e.ID)
}

func resource(p api.ProjectScope, err error, kind, id string) (api.Resource, error) {
	if err != nil {
		if problem.Is(err, problem.NotFound) || isNotFound(err) {
			return api.MissingResource(kind), nil
		}
		return api.Resource{}, err
	}
	return p.Resource(kind, id), nil
}

func projectID(ctx context.Context) string { return api.From(ctx).Resource.Scopes[0] }
