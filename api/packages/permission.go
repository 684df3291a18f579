package packages

import (
	"context"

	"slipway/api"
	"slipway/models"
	"slipway/packages"
)

type permissionBody struct {
	ConsumerID *number `json:"consumer_id"`
	PackageID  *number `json:"package_id"`
	Version    *string `json:"version"`
}

func (b permissionBody) input() packages.PermissionInput {
	return packages.PermissionInput{ConsumerID: b.ConsumerID.int64(), PackageID: b.PackageID.int64(), Version: b.Version}
}

// listPermissions answers for a package of another organization, of which the caller must not know, as for one that is not
// there.
func (s *surface) listPermissions(ctx context.Context, req *struct {
	ConsumerID int64 `path:"consumerId"`
	PackageID  int64 `path:"packageId"`
}) ([]permissionView, error) {
	p, err := s.Store.PackageByID(ctx, req.PackageID)
	if err != nil {
		return nil, err
	}
	if p.OrganizationID != organizationOfRequest(ctx) {
		return nil, models.ErrNotFound
	}
	list, err := s.Store.ListPackagePermissions(ctx, req.ConsumerID, req.PackageID)
	return api.Each(list, viewPermission), err
}

func (s *surface) getPermission(ctx context.Context, req *idPath) (permissionView, error) {
	p, err := s.Store.PackagePermissionByID(ctx, req.ID)
	return shown(p, err, viewPermission)
}

func (s *surface) createPermission(ctx context.Context, req *struct {
	Body permissionBody `body:"json"`
}) (permissionView, error) {
	p, err := s.Service.CreatePermission(ctx, organizationOfRequest(ctx), req.Body.input(), api.SubjectOf(ctx))
	return shown(p, err, viewPermission)
}

func (s *surface) updatePermission(ctx context.Context, req *struct {
	idPath
	Body permissionBody `body:"json"`
}) (permissionView, error) {
	p, err := s.Service.UpdatePermission(ctx, organizationOfRequest(ctx), req.ID, req.Body.input(), api.SubjectOf(ctx))
	return shown(p, err, viewPermission)
}

func (s *surface) deletePermission(ctx context.Context, req *idPath) (api.Empty, error) {
	return api.Empty{}, s.Service.DeletePermission(ctx, req.ID, api.SubjectOf(ctx))
}
