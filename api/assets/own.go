package assets

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"slipway/api"
	"slipway/assets"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// OwnOptions are what the rows of assets need that stand in Slipway's own surface: registries, their scans, and the
// reports of builds.
type OwnOptions struct {
	Store   *models.Store
	Service *assets.Service
	Scopes  *api.Scopes
	// Schedules keeps the schedules of registries.
	Schedules interface {
		Check(r *models.AssetRegistry) error
		Put(ctx context.Context, r *models.AssetRegistry) error
		Remove(ctx context.Context, registryID string) error
	}
	// Cancel ends an execution. executions.Service.Cancel is one.
	Cancel func(ctx context.Context, executionID string, by policies.Subject) error
}

type own struct{ OwnOptions }

const ownBase = "/api/v1/slipway/organizations/{organization}/"

// OwnRows are rows of Slipway's own surface. An organization is named by its id or its canonical.
func OwnRows(o OwnOptions) []api.Row {
	s := &own{o}
	may := func(action string) api.Permission {
		return api.Permission{Action: action, On: s.Scopes.OnOrganization, ReadAction: "asset:read"}
	}
	registry := ownBase + "asset-registries/{registry}"
	return []api.Row{
		{Method: http.MethodGet, Path: ownBase + "asset-registries/", Operation: "listAssetRegistries", Summary: "List the registries whose images are assets of an organization.",
			Permission: may("asset-registry:read"), Handler: api.Handle(s.listRegistries)},
		{Method: http.MethodGet, Path: registry + "/", Operation: "getAssetRegistry", Summary: "Get a registry.",
			Permission: may("asset-registry:read"), Handler: api.Handle(s.getRegistry)},
		{Method: http.MethodPut, Path: registry + "/", Operation: "putAssetRegistry", Summary: "Add a registry, or change the one of that name.",
			Permission: may("asset-registry:update"), Handler: api.Handle(s.putRegistry)},
		{Method: http.MethodDelete, Path: registry + "/", Operation: "deleteAssetRegistry", Summary: "Remove a registry. Its assets stay.",
			Permission: may("asset-registry:delete"), Success: http.StatusNoContent, Handler: api.Handle(s.deleteRegistry)},
		{Method: http.MethodPost, Path: registry + "/scans/", Operation: "startAssetScan", Summary: "Scan a registry.",
			Permission: may("asset-scan:create"), Success: http.StatusAccepted, Handler: api.Handle(s.startScan)},
		{Method: http.MethodGet, Path: registry + "/scans/", Operation: "listAssetScans", Summary: "List the last scans of a registry, newest first.",
			Permission: may("asset-scan:read"), Handler: api.Handle(s.listScans)},
		{Method: http.MethodGet, Path: registry + "/scans/{scan}/", Operation: "getAssetScan", Summary: "Get how far a scan is.",
			Permission: may("asset-scan:read"), Handler: api.Handle(s.getScan)},
		{Method: http.MethodPost, Path: registry + "/scans/{scan}/cancel/", Operation: "cancelAssetScan", Summary: "Cancel a scan. What it has found stays.",
			Permission: may("asset-scan:cancel"), Success: http.StatusAccepted, Handler: api.Handle(s.cancelScan)},
		{Method: http.MethodPost, Path: ownBase + "assets/", Operation: "reportAssets", Summary: "Report images that a build has pushed.",
			Permission: may("asset:report"), Handler: api.Handle(s.report), MaxBody: 16 << 20},
	}
}

type ofOrganization struct {
	Organization string `path:"organization"`
}

type ofRegistry struct {
	ofOrganization
	Registry string `path:"registry"`
}

type ofScan struct {
	ofRegistry
	Scan string `path:"scan"`
}

// Registry is a registry as the API shows it. Its password is never shown.
type Registry struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	URL          string    `json:"url"`
	Username     string    `json:"username,omitempty"`
	HasPassword  bool      `json:"has_password"`
	Repositories []string  `json:"repositories,omitempty"`
	Schedule     string    `json:"schedule,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// RegistryInput is what can be set of a registry.
type RegistryInput struct {
	// URL is https:// and the registry's host.
	URL      string `json:"url" validate:"required,max=300"`
	Username string `json:"username" validate:"max=200"`
	// Password, where absent, stays as it is; "" takes it away.
	Password *string `json:"password" validate:"omitempty,max=10000"`
	// Repositories are those to scan; none means all that the registry lists.
	Repositories []string `json:"repositories" validate:"max=10000"`
	// Schedule is a cron expression in UTC; "" means that the registry is scanned on demand only.
	Schedule string `json:"schedule" validate:"max=200"`
}

// Scan is how far a scan is.
type Scan struct {
	ID               string     `json:"id"`
	Status           string     `json:"status"`
	Reason           string     `json:"reason,omitempty"`
	Repositories     int64      `json:"repositories"`
	RepositoriesDone int64      `json:"repositories_done"`
	Images           int64      `json:"images"`
	Created          int64      `json:"created"`
	Failures         int64      `json:"failures"`
	LastFailure      string     `json:"last_failure,omitempty"`
	CreatedAt        time.Time  `json:"created_at"`
	FinishedAt       *time.Time `json:"finished_at,omitempty"`
}

func registryOf(r *models.AssetRegistry) Registry {
	return Registry{ID: r.ID, Name: r.Name, URL: r.URL, Username: r.Username, HasPassword: len(r.SealedPassword) > 0, Repositories: r.Repositories, Schedule: r.Schedule,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}

// registry finds the registry that a request names.
func (s *own) registry(ctx context.Context, name string) (*models.AssetRegistry, error) {
	return s.Store.AssetRegistryByName(ctx, api.From(ctx).Resource.ID, name)
}

func (s *own) listRegistries(ctx context.Context, _ *ofOrganization) ([]Registry, error) {
	list, err := s.Store.ListAssetRegistries(ctx, api.From(ctx).Resource.ID)
	if err != nil {
		return nil, err
	}
	return api.Each(list, registryOf), nil
}

func (s *own) getRegistry(ctx context.Context, q *ofRegistry) (Registry, error) {
	r, err := s.registry(ctx, q.Registry)
	if err != nil {
		return Registry{}, err
	}
	return registryOf(r), nil
}

type putRegistryRequest struct {
	ofRegistry
	Body RegistryInput `body:"json"`
}

// putRegistry asks Temporal for the schedule last: what it does for a registry that is not there is nothing, but what it does
// for one that is not what was asked for is wrong. A wrong cron expression is found before anything is stored.
func (s *own) putRegistry(ctx context.Context, q *putRegistryRequest) (Registry, error) {
	r := &models.AssetRegistry{OrganizationID: api.From(ctx).Resource.ID, Name: q.Registry, URL: strings.TrimSuffix(q.Body.URL, "/"), Username: q.Body.Username,
		Repositories: q.Body.Repositories, Schedule: q.Body.Schedule}
	if s.Schedules != nil {
		if err := s.Schedules.Check(r); err != nil {
			return Registry{}, err
		}
	}
	had := ""
	if old, err := s.registry(ctx, q.Registry); err == nil {
		had = old.Schedule
	} else if !errors.Is(err, models.ErrNotFound) {
		return Registry{}, err
	}
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.PutAssetRegistry(ctx, r, q.Body.Password); err != nil {
			return err
		}
		return tx.Audit(ctx, s.audit(ctx, "asset-registry:update", r))
	})
	if err != nil {
		return Registry{}, err
	}
	if r.Schedule != had && s.Schedules != nil {
		if err := s.Schedules.Put(ctx, r); err != nil {
			// The row goes back to the schedule that is in force.
			back := *r
			back.Schedule = had
			return Registry{}, errors.Join(err, s.Store.PutAssetRegistry(context.WithoutCancel(ctx), &back, nil))
		}
	}
	return registryOf(r), nil
}

func (s *own) audit(ctx context.Context, action string, r *models.AssetRegistry) models.AuditEntry {
	return models.AuditEntry{Action: action, ResourceKind: "asset-registry", ResourceID: r.ID, ResourceName: r.Name,
		Detail: map[string]any{"organization": r.OrganizationID, "url": r.URL}}.ActorOf(api.SubjectOf(ctx))
}

func (s *own) deleteRegistry(ctx context.Context, q *ofRegistry) (api.Empty, error) {
	r, err := s.registry(ctx, q.Registry)
	if err != nil {
		return api.Empty{}, err
	}
	if r.Schedule != "" && s.Schedules != nil {
		if err := s.Schedules.Remove(ctx, r.ID); err != nil {
			return api.Empty{}, err
		}
	}
	return api.Empty{}, s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.DeleteAssetRegistry(ctx, r.ID); err != nil {
			return err
		}
		return tx.Audit(ctx, s.audit(ctx, "asset-registry:delete", r))
	})
}

func (s *own) startScan(ctx context.Context, q *ofRegistry) (Scan, error) {
	r, err := s.registry(ctx, q.Registry)
	if err != nil {
		return Scan{}, err
	}
	e, err := s.Service.ScanRegistry(ctx, r, api.SubjectOf(ctx))
	if err != nil {
		return Scan{}, err
	}
	return scanOf(e, nil), nil
}

func scanOf(e *models.Execution, p *models.AssetScan) Scan {
	out := Scan{ID: e.ID, Status: string(e.Status), Reason: e.Reason, CreatedAt: e.CreatedAt, FinishedAt: e.FinishedAt}
	if p != nil {
		out.Repositories, out.RepositoriesDone, out.Images, out.Created = p.Repositories, p.RepositoriesDone, p.Images+p.Reading, p.Created
		out.Failures, out.LastFailure = p.Failures, p.LastFailure
	}
	return out
}

// scan finds a scan of the registry that a request names.
func (s *own) scan(ctx context.Context, q *ofScan) (*models.Execution, *models.AssetScan, error) {
	r, err := s.registry(ctx, q.Registry)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.Store.ExecutionByID(ctx, q.Scan)
	if err == nil && (e.Kind != models.KindAssetScan || e.SubjectID != r.ID) {
		err = models.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Store.AssetScanByID(ctx, e.ID)
	if errors.Is(err, models.ErrNotFound) {
		return e, nil, nil // it has not begun yet
	}
	return e, p, err
}

func (s *own) getScan(ctx context.Context, q *ofScan) (Scan, error) {
	e, p, err := s.scan(ctx, q)
	if err != nil {
		return Scan{}, err
	}
	return scanOf(e, p), nil
}

func (s *own) listScans(ctx context.Context, q *ofRegistry) ([]Scan, error) {
	r, err := s.registry(ctx, q.Registry)
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListExecutions(ctx, models.ExecutionFilter{Kind: models.KindAssetScan, SubjectID: r.ID})
	if err != nil {
		return nil, err
	}
	progress, err := s.Store.ListAssetScans(ctx, r.ID, len(list))
	if err != nil {
		return nil, err
	}
	byID := map[string]*models.AssetScan{}
	for i := range progress {
		byID[progress[i].ExecutionID] = &progress[i]
	}
	out := make([]Scan, len(list))
	for i := range list {
		out[i] = scanOf(&list[i], byID[list[i].ID])
	}
	return out, nil
}

func (s *own) cancelScan(ctx context.Context, q *ofScan) (Scan, error) {
	e, p, err := s.scan(ctx, q)
	if err != nil {
		return Scan{}, err
	}
	if err := s.Cancel(ctx, e.ID, api.SubjectOf(ctx)); err != nil {
		return Scan{}, err
	}
	return scanOf(e, p), nil
}

type reportRequest struct {
	ofOrganization
	Body struct {
		Images []models.Image `json:"images"`
	} `body:"json"`
}

// Report counts what a report did.
type Report struct {
	Created   int64 `json:"created"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
}

func (s *own) report(ctx context.Context, q *reportRequest) (Report, error) {
	if n := len(q.Body.Images); n < 1 || n > 1000 {
		return Report{}, problem.BadField("images", "expected 1 to 1000 images")
	}
	r, err := s.Service.Report(ctx, api.From(ctx).Resource.ID, api.SubjectOf(ctx), q.Body.Images)
	return Report{Created: r.Created, Updated: r.Updated, Unchanged: r.Unchanged}, err
}
