package releases

import (
	"context"

	"slipway/api"
	"slipway/inventory"
	"slipway/models"
)

func (s *surface) listUnits(ctx context.Context, req *namespacePath) (map[string]unitView, error) {
	n, err := s.Store.NamespaceByName(ctx, req.Namespace)
	if err != nil {
		return nil, err
	}
	hooks, err := s.may(ctx, "hook:read")
	if err != nil {
		return nil, err
	}
	return s.units(ctx, n, hooks)
}

func (s *surface) units(ctx context.Context, n *models.Namespace, withHooks bool) (map[string]unitView, error) {
	list, err := s.Store.ListApplications(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	out := make(map[string]unitView, len(list))
	for i := range list {
		out[list[i].Name] = viewUnit(&list[i], n.Name, withHooks)
	}
	return out, nil
}

func (s *surface) getUnit(ctx context.Context, req *unitPath) (unitWithVersions, error) {
	a, err := s.Store.ApplicationByName(ctx, req.Namespace, req.Name)
	if err != nil {
		return unitWithVersions{}, err
	}
	hooks, err := s.may(ctx, "hook:read")
	if err != nil {
		return unitWithVersions{}, err
	}
	versions, err := s.Store.Versions(ctx, a.ID)
	if err != nil {
		return unitWithVersions{}, err
	}
	return unitWithVersions{unitView: viewUnit(a, req.Namespace, hooks), Versions: versions}, nil
}

func (s *surface) getUnitVersions(ctx context.Context, req *unitPath) ([]string, error) {
	return s.Inventory.Versions(ctx, req.Namespace, req.Name)
}

type nextVersionRequest struct {
	unitPath
	Prefix string `query:"prefix"`
}

// getNextVersion answers for namespaces that are not there as for those that the caller may not read, so that it cannot
// be used to find out which are there. The row asks for no more than a login for that.
func (s *surface) getNextVersion(ctx context.Context, req *nextVersionRequest) (api.Text, error) {
	n, err := s.Store.NamespaceByName(ctx, req.Namespace)
	if err != nil && !isMissing(err) {
		return "", err
	}
	readable := false
	if err == nil {
		res, err := s.resourceOf(ctx, n)
		if err != nil {
			return "", err
		}
		if readable, err = s.Policy.Allow(ctx, api.SubjectOf(ctx), "release:read", res); err != nil {
			return "", err
		}
	}
	if !readable {
		return api.Text(req.Prefix + "0"), nil
	}
	next, err := s.Inventory.NextVersion(ctx, req.Namespace, req.Name, req.Prefix)
	return api.Text(next), err
}

func (s *surface) getNamespaceHooks(ctx context.Context, req *namespacePath) (inventory.Hooks, error) {
	n, err := s.Store.NamespaceByName(ctx, req.Namespace)
	if err != nil {
		return nil, err
	}
	return inventory.HooksOf(n.Hooks), nil
}

type namespaceHooksRequest struct {
	namespacePath
	Body inventory.Hooks `body:"json"`
}

func (s *surface) updateNamespaceHooks(ctx context.Context, req *namespaceHooksRequest) (api.Empty, error) {
	return api.Empty{}, s.Inventory.SetNamespaceHooks(ctx, req.Namespace, req.Body, api.SubjectOf(ctx))
}

func (s *surface) getUnitHooks(ctx context.Context, req *unitPath) (inventory.Hooks, error) {
	a, err := s.Store.ApplicationByName(ctx, req.Namespace, req.Name)
	if err != nil {
		return nil, err
	}
	return inventory.HooksOf(a.Hooks), nil
}

type unitHooksRequest struct {
	unitPath
	Body inventory.Hooks `body:"json"`
}

func (s *surface) updateUnitHooks(ctx context.Context, req *unitHooksRequest) (api.Empty, error) {
	return api.Empty{}, s.Inventory.SetApplicationHooks(ctx, req.Namespace, req.Name, req.Body, api.SubjectOf(ctx))
}
