package own

import (
	"context"
	"net/http"
	"time"

	"slipway/api"
	"slipway/internal/problem"
)

// HistoryEntry is one finished stage of a deployment: what was there, since when, and how it got there.
type HistoryEntry struct {
	ID string `json:"id"`
	// Deployment is the root deployment; Path goes on to the one meant, its names joined by ":".
	Deployment string `json:"deployment"`
	Path       string `json:"path"`
	// Stage is build or deploy.
	Stage string `json:"stage"`
	// Status is ok, failure, test_failure, destroy_failure, or empty after a destruction.
	Status    string    `json:"status"`
	Release   string    `json:"release"`
	Version   string    `json:"version"`
	ChangedBy string    `json:"changed_by"`
	At        time.Time `json:"at"`
}

func (s *surface) historyRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "projects/{project}/environments/{environment}/history/", Operation: "listDeploymentHistory",
			Summary:    "List what was deployed in an environment, newest first.",
			Permission: api.Permission{Action: "deployment:read", On: s.onProject}, Handler: api.Handle(s.history)},
	}
}

type historyRequest struct {
	Project     string `path:"project" validate:"max=200"`
	Environment string `path:"environment" validate:"max=300"`
	// Deployment narrows the list to one root deployment.
	Deployment string `query:"deployment" validate:"max=500"`
	PageSize   int    `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of an entry: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (s *surface) history(ctx context.Context, r *historyRequest) ([]HistoryEntry, error) {
	e, err := s.Store.EnvironmentByName(ctx, projectID(ctx), r.Environment)
	if isNotFound(err) {
		return nil, problem.New(problem.NotFound, "the project has no environment '%s'", r.Environment)
	}
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListDeploymentHistory(ctx, e.ID, r.Deployment, r.PageFrom, r.PageSize)
	if err != nil {
		return nil, err
	}
	out := make([]HistoryEntry, len(list))
	for i, h := range list {
		out[i] = HistoryEntry{ID: h.ID, Deployment: h.Root, Path: h.Path, Stage: h.Stage, Status: string(h.Status), Release: h.Release, Version: h.Version,
			ChangedBy: h.ChangedBy, At: h.CreatedAt}
	}
	return out, nil
}
