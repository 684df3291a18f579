package packages

import (
	"context"
	"errors"
	"strconv"

	"slipway/api"
	"slipway/models"
	"slipway/policies"
)

// organizationOf is the organization that a caller works in: the one that its token is limited to, else the default one.
func (s *surface) organizationOf(ctx context.Context, subject policies.Subject) (api.OrganizationScope, error) {
	for _, scope := range subject.Token.Scopes {
		o, err := s.Scopes.Organization(ctx, scope)
		// A scope may be a project.
		if !errors.Is(err, models.ErrNotFound) {
			return o, err
		}
	}
	return s.Scopes.Organization(ctx, models.DefaultOrganization)
}

// inOrganization makes the permission for an action in the caller's organization.
func (s *surface) inOrganization(action string) api.Permission {
	return api.Permission{Action: action, ReadAction: "package:read", On: func(r *api.Request) (api.Resource, error) {
		o, err := s.organizationOf(r.HTTP.Context(), r.Subject)
		return o.Resource("organization", o.ID), err
	}}
}

// of makes the permission for an action on a thing that the path names by its number. find gives the organization that it
// belongs to.
func (s *surface) of(action, kind string, find func(ctx context.Context, id int64) (organizationID string, err error), names ...string) api.Permission {
	return api.Permission{Action: action, ReadAction: "package:read", On: func(r *api.Request) (api.Resource, error) {
		var text string
		for _, name := range names {
			if text = r.Param(name); text != "" {
				break
			}
		}
		missing := api.MissingResource(kind)
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id <= 0 {
			return missing, nil //nolint:nilerr // what is no number is nobody's id
		}
		ctx := r.HTTP.Context()
		organizationID, err := find(ctx, id)
		if errors.Is(err, models.ErrNotFound) {
			return missing, nil
		}
		if err != nil {
			return api.Resource{}, err
		}
		o, err := s.Scopes.Organization(ctx, organizationID)
		return o.Resource(kind, strconv.FormatInt(id, 10)), err
	}}
}

func (s *surface) ofPackage(action string) api.Permission {
	return s.of(action, "package", s.organizationOfPackage, "id")
}

func (s *surface) ofVersion(action string) api.Permission {
	return s.of(action, "version", func(ctx context.Context, id int64) (string, error) {
		v, err := s.Store.PackageVersionByID(ctx, id)
		if err != nil {
			return "", err
		}
		return s.organizationOfPackage(ctx, v.PackageID)
	}, "id")
}

func (s *surface) ofConsumer(action string) api.Permission {
	return s.of(action, "consumer", s.organizationOfConsumer, "id", "consumerId")
}

func (s *surface) ofPermission(action string) api.Permission {
	return s.of(action, "permission", func(ctx context.Context, id int64) (string, error) {
		p, err := s.Store.PackagePermissionByID(ctx, id)
		if err != nil {
			return "", err
		}
		return s.organizationOfPackage(ctx, p.PackageID)
	}, "id")
}

func (s *surface) organizationOfPackage(ctx context.Context, id int64) (string, error) {
	p, err := s.Store.PackageByID(ctx, id)
	return p.OrganizationID, err
}

func (s *surface) organizationOfConsumer(ctx context.Context, id int64) (string, error) {
	c, err := s.Store.ConsumerByID(ctx, id)
	return c.OrganizationID, err
}

// organizationOfRequest is the organization of the resource that was resolved.
func organizationOfRequest(ctx context.Context) string { return api.From(ctx).Resource.Scopes[0] }
