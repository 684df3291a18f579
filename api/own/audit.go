package own

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"slipway/api"
	"slipway/models"
	"slipway/policies"
)

// AuditEntry is one line of the audit log: who did what to which thing, with what result.
type AuditEntry struct {
	ID           string         `json:"id"`
	At           time.Time      `json:"at"`
	ActorKind    string         `json:"actor_kind"`
	ActorID      string         `json:"actor_id"`
	ActorName    string         `json:"actor_name"`
	Action       string         `json:"action"`
	ResourceKind string         `json:"resource_kind"`
	ResourceID   string         `json:"resource_id,omitempty"`
	ResourceName string         `json:"resource_name"`
	ProjectID    string         `json:"project_id,omitempty"`
	Result       string         `json:"result"`
	Detail       map[string]any `json:"detail,omitempty"`
}

func (s *surface) auditRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "audit/", Operation: "listAuditLog", Summary: "List the audit log of everything that the caller owns, newest first.",
			Permission: api.Permission{Action: "audit:read", Filtered: true}, Handler: api.Handle(s.audit)},
		{Method: http.MethodGet, Path: base + "projects/{project}/audit/", Operation: "listProjectAuditLog", Summary: "List the audit log of a project, newest first.",
			Permission: api.Permission{Action: "audit:read", On: s.onProject}, Handler: api.Handle(s.projectAudit)},
		{Method: http.MethodGet, Path: base + "projects/{project}/audit/export", Operation: "exportProjectAuditLog", Summary: "Export the whole audit log of a project, one JSON object a line, newest first.",
			Permission: api.Permission{Action: "audit:read", On: s.onProject}, Handler: api.Stream(s.exportAudit)},
	}
}

type auditQuery struct {
	// Action narrows the list to one action, as in build:trigger; Actor to one subject's id.
	Action   string `query:"action" validate:"max=100"`
	Actor    string `query:"actor" validate:"max=100"`
	PageSize int    `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of a line: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (q auditQuery) filter(project string) models.AuditFilter {
	return models.AuditFilter{ProjectID: project, ActorID: q.Actor, Action: q.Action, Before: q.PageFrom, Limit: q.PageSize}
}

type auditRequest struct{ auditQuery }

func (s *surface) audit(ctx context.Context, r *auditRequest) ([]AuditEntry, error) {
	v, err := s.Policy.Visible(ctx, api.SubjectOf(ctx), "audit:read")
	if err != nil {
		return nil, err
	}
	return s.listAudit(ctx, v, r.filter(""))
}

type projectAuditRequest struct {
	Project string `path:"project" validate:"max=200"`
	auditQuery
}

func (s *surface) projectAudit(ctx context.Context, r *projectAuditRequest) ([]AuditEntry, error) {
	return s.listAudit(ctx, policies.Visible{All: true}, r.filter(projectID(ctx)))
}

func (s *surface) listAudit(ctx context.Context, v policies.Visible, f models.AuditFilter) ([]AuditEntry, error) {
	list, err := s.Store.ListAudit(ctx, v, f)
	if err != nil {
		return nil, err
	}
	out := make([]AuditEntry, len(list))
	for i, e := range list {
		out[i] = AuditEntry(e)
	}
	return out, nil
}

type auditExport struct {
	Project string `path:"project" validate:"max=200"`
}

// exportAudit writes page by page, so that a long log costs no memory.
func (s *surface) exportAudit(w http.ResponseWriter, r *api.Request, _ *auditExport) error {
	ctx := r.HTTP.Context()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	const size = 1000
	f := models.AuditFilter{ProjectID: r.Resource.Scopes[0], Limit: size}
	for {
		list, err := s.listAudit(ctx, policies.Visible{All: true}, f)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := encoder.Encode(e); err != nil {
				return err
			}
		}
		if len(list) < size {
			return out.Flush()
		}
		f.Before = list[len(list)-1].ID
	}
}
