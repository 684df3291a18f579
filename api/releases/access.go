package releases

import (
	"context"
	"errors"

	"slipway/api"
	"slipway/models"
	"slipway/policies"
)

// The path parameters of the surface, from the outside in.
type (
	namespacePath struct {
		Namespace string `path:"namespace"`
	}
	unitPath struct {
		namespacePath
		Name string `path:"name"`
	}
	versionPath struct {
		unitPath
		Version string `path:"version"` // a version query
	}
)

// in makes the permission for an action in the row's namespace.
func (s *surface) in(action string) api.Permission {
	return api.Permission{Action: action, On: s.onNamespace, ReadAction: "namespace:read"}
}

// onNamespace resolves {namespace}.
func (s *surface) onNamespace(r *api.Request) (api.Resource, error) {
	n, err := s.Store.NamespaceByName(r.HTTP.Context(), r.Param("namespace"))
	if errors.Is(err, models.ErrNotFound) {
		return api.MissingResource("namespace"), nil
	}
	if err != nil {
		return api.Resource{}, err
	}
	res, err := s.resourceOf(r.HTTP.Context(), n)
	return api.Resource{Resource: res}, err
}

// onNamespaceToBe is onNamespace for a registration, which makes a namespace that is not there: it will belong to the
// project of the same name, else to the default organization. The handler sees from the missing id that it has to ask
// for more rights.
func (s *surface) onNamespaceToBe(r *api.Request) (api.Resource, error) {
	ctx := r.HTTP.Context()
	found, err := s.onNamespace(r)
	if err != nil || !found.Missing {
		return found, err
	}
	p, err := s.Inventory.ProjectNamed(ctx, r.Param("namespace"))
	if err != nil {
		return api.Resource{}, err
	}
	res, err := s.resourceForNew(ctx, p)
	return api.Resource{Resource: res}, err
}

// resourceOf is a namespace as the policy sees it.
func (s *surface) resourceOf(ctx context.Context, n *models.Namespace) (policies.Resource, error) {
	if n.ProjectID != nil {
		p, err := s.Scopes.ProjectByID(ctx, *n.ProjectID)
		return p.Resource("namespace", n.ID).Resource, err
	}
	o, err := s.Scopes.Organization(ctx, n.OrganizationID)
	return o.Resource("namespace", n.ID).Resource, err
}

// resourceForNew is a namespace that is to be made in a project, or without one.
func (s *surface) resourceForNew(ctx context.Context, p *models.Project) (policies.Resource, error) {
	if p != nil {
		scope, err := s.Scopes.ProjectByID(ctx, p.ID)
		return scope.Resource("namespace", "").Resource, err
	}
	o, err := s.Scopes.Organization(ctx, models.DefaultOrganization)
	return o.Resource("namespace", "").Resource, err
}

// may asks the policy about another action on the row's namespace, for rows whose answer depends on it.
func (s *surface) may(ctx context.Context, action string) (bool, error) {
	r := api.From(ctx)
	return s.Policy.Allow(ctx, r.Subject, action, r.Resource.Resource)
}

// visible says where the caller may do action, for lists.
func (s *surface) visible(ctx context.Context, action string) (policies.Visible, error) {
	return s.Policy.Visible(ctx, api.SubjectOf(ctx), action)
}
