package client

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Deployed is what is deployed in an environment, or was.
type Deployed struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Deployment  string `json:"deployment"`
	// Release is namespace/application.
	Release string `json:"release"`
	Version string `json:"version"`
	// Status is ok, running, failure, test_failure, destroyed ...
	Status    string     `json:"status"`
	ChangedAt *time.Time `json:"changed_at,omitempty"`
	ChangedBy string     `json:"changed_by,omitempty"`
}

// projectState is a project with its environments and what is in them.
type projectState struct {
	Environments map[string]struct {
		Order       int `json:"order"`
		Deployments map[string]struct {
			Release string `json:"release"`
			Stages  map[string]struct {
				Version string `json:"version"`
				Status  struct {
					Status    string     `json:"status"`
					UpdatedAt *time.Time `json:"updated_at"`
					UpdatedBy string     `json:"updated_by"`
				} `json:"status"`
			} `json:"stages"`
		} `json:"deployments"`
	} `json:"environments"`
}

// Deployed lists what is deployed in a project, in the order of its environments.
func (c *Client) Deployed(ctx context.Context, project string) ([]Deployed, error) {
	answer, err := get[projectState](ctx, c, path("/api/v1/state/%s/", project))
	if err != nil {
		return nil, err
	}
	list := []Deployed{}
	for environment, e := range answer.Value.Environments {
		for name, d := range e.Deployments {
			stage, ok := d.Stages["deploy"]
			if !ok {
				continue // what a build has left of itself
			}
			status := stage.Status.Status
			if status == "empty" || status == "" {
				status = "destroyed"
			}
			list = append(list, Deployed{project, environment, name, d.Release, stage.Version, status, stage.Status.UpdatedAt, stage.Status.UpdatedBy})
		}
	}
	order := answer.Value.Environments
	slices.SortFunc(list, func(a, b Deployed) int {
		return cmp.Or(cmp.Compare(order[a.Environment].Order, order[b.Environment].Order), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Deployment, b.Deployment))
	})
	return list, nil
}

// HistoryEntry is a change of a deployment that has ended: what was there since then.
type HistoryEntry struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"` // the root deployment
	Path       string    `json:"path"`       // of the one meant, below the root
	Stage      string    `json:"stage"`      // build or deploy
	Status     string    `json:"status"`     // "" after a destruction
	Release    string    `json:"release"`
	Version    string    `json:"version"`
	ChangedBy  string    `json:"changed_by"`
	At         time.Time `json:"at"`
}

// HistoryFilter narrows a history. Empty members do not.
type HistoryFilter struct {
	Deployment string
	Limit      int
	Before     string // only entries older than this one
}

// History lists what was deployed in an environment, newest first.
func (c *Client) History(ctx context.Context, project, environment string, f HistoryFilter) (Answer[[]HistoryEntry], error) {
	query := url.Values{}
	for name, value := range map[string]string{"deployment": f.Deployment, "page_from": f.Before} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Limit > 0 {
		query.Set("page_size", strconv.Itoa(f.Limit))
	}
	return get[[]HistoryEntry](ctx, c, path("/api/v1/slipway/projects/%s/environments/%s/history/", project, environment)+"?"+query.Encode())
}
