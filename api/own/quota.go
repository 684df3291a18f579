package own

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/models"
)

// Quota is what an organization has of something, with all that is below it, and how much it may have.
type Quota struct {
	// Resource is executions (those that have not ended; the steps of a pipeline are part of it), projects, storage (bytes of
	// stored packages) or assets.
	Resource string `json:"resource"`
	// Maximum is null where there is none.
	Maximum *int64 `json:"maximum"`
	Used    int64  `json:"used"`
}

// QuotaBody sets a quota.
type QuotaBody struct {
	// Maximum is how much the organization may have. What is there already stays.
	Maximum *int64 `json:"maximum" validate:"required,min=0"`
}

func (s *surface) quotaRows() []api.Row {
	const quotas = base + "organizations/{organization}/quotas/"
	may := func(action string) api.Permission {
		return api.Permission{Action: action, On: s.Scopes.OnOrganization, ReadAction: "quota:read"}
	}
	return []api.Row{
		{Method: http.MethodGet, Path: quotas, Operation: "listQuotas", Summary: "List what an organization has and may have.",
			Permission: may("quota:read"), Handler: api.Handle(s.listQuotas)},
		{Method: http.MethodPut, Path: quotas + "{resource}", Operation: "setQuota", Summary: "Set how much an organization may have of something.",
			Permission: may("quota:update"), Handler: api.Handle(func(ctx context.Context, r *setQuotaRequest) ([]Quota, error) {
				return s.setQuota(ctx, &r.ofQuota, r.Body.Maximum)
			})},
		{Method: http.MethodDelete, Path: quotas + "{resource}", Operation: "deleteQuota", Summary: "Let an organization have any number of something.",
			Permission: may("quota:update"), Handler: api.Handle(func(ctx context.Context, r *ofQuota) ([]Quota, error) { return s.setQuota(ctx, r, nil) })},
	}
}

type ofOrganization struct {
	Organization string `path:"organization" validate:"max=200"`
}

func (s *surface) listQuotas(ctx context.Context, _ *ofOrganization) ([]Quota, error) {
	list, err := s.Store.QuotasOf(ctx, api.From(ctx).Resource.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Quota, len(list))
	for i, q := range list {
		out[i] = Quota(q)
	}
	return out, nil
}

type ofQuota struct {
	ofOrganization
	Resource string `path:"resource" validate:"max=50"`
}

type setQuotaRequest struct {
	ofQuota
	Body QuotaBody `body:"json"`
}

func (s *surface) setQuota(ctx context.Context, r *ofQuota, maximum *int64) ([]Quota, error) {
	id := api.From(ctx).Resource.ID
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.SetQuota(ctx, id, r.Resource, maximum); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditQuota(id, r.Organization, r.Resource, maximum).ActorOf(api.SubjectOf(ctx)))
	})
	if err != nil {
		return nil, err
	}
	return s.listQuotas(ctx, nil)
}
