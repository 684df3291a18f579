package releases

import (
	"encoding/json"
	"time"

	"slipway/inventory"
	"slipway/models"
)

// Members stand in the order in which they are written.

type namespaceView struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	OrgURL      string          `json:"org_url"`
	Logo        string          `json:"logo"`
	Permission  string          `json:"permission"` // read, write, owner or admin: the caller's
	IsPublic    bool            `json:"is_public"`
	Hooks       inventory.Hooks `json:"hooks,omitempty"` // for those who may read hooks: they hold secret addresses
}

type namespaceWithUnits struct {
	namespaceView
	Units map[string]unitView `json:"units"`
}

type unitView struct {
	Name          string          `json:"name"`
	Project       string          `json:"project"` // the namespace
	Description   string          `json:"description"`
	LatestVersion string          `json:"latest_version"`
	Logo          string          `json:"logo"`
	UploadedBy    string          `json:"uploaded_by"`
	UploadedAt    time.Time       `json:"uploaded_at"`
	Hooks         inventory.Hooks `json:"hooks"` // null where there are none, or the caller may not see them
}

type unitWithVersions struct {
	unitView
	Versions []string `json:"versions"` // never null: the client would fail
}

type releaseView struct {
	Release    json.RawMessage `json:"release"`
	Versions   []string        `json:"versions"`
	IsLatest   bool            `json:"is_latest"`
	Downloads  int64           `json:"downloads"`
	UploadedBy string          `json:"uploaded_by"`
	UploadedAt time.Time       `json:"uploaded_at"`
}

type dependencyView struct {
	Project     string `json:"project"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Build       bool   `json:"build"`
	Deploy      bool   `json:"deploy"`
	IsExtension bool   `json:"is_extension"`
}

type providerView struct {
	Application string `json:"application"`
	Project     string `json:"project"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type foundView struct {
	ID          string    `json:"id"` // of the release in this inventory; page_from of the next page
	ReleaseID   string    `json:"release_id"`
	Project     string    `json:"project"`
	Application string    `json:"application"`
	Version     string    `json:"version"`
	Description string    `json:"description"`
	UploadedBy  string    `json:"uploaded_by"`
	UploadedAt  time.Time `json:"uploaded_at"`
}

func viewNamespace(n *models.Namespace, permission string, withHooks bool) namespaceView {
	v := namespaceView{Name: n.Name, Description: n.Description, OrgURL: n.OrgURL, Logo: n.Logo, Permission: permission, IsPublic: n.IsPublic}
	if withHooks && n.Hooks != "" {
		v.Hooks = inventory.HooksOf(n.Hooks)
	}
	return v
}

func viewUnit(a *models.Application, namespace string, withHooks bool) unitView {
	v := unitView{Name: a.Name, Project: namespace, Description: a.Description, LatestVersion: a.LatestVersion, Logo: a.Logo,
		UploadedBy: a.UploadedBy, UploadedAt: seconds(a.UploadedAt)}
	if withHooks && a.Hooks != "" {
		v.Hooks = inventory.HooksOf(a.Hooks)
	}
	return v
}

// seconds is a time as the surface writes it: RFC 3339 in UTC, without fractions.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
