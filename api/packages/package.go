package packages

import (
	"context"

	"slipway/api"
	"slipway/packages"
)

type idPath struct {
	ID int64 `path:"id"`
}

type packageBody struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Status      *number `json:"status"`
}

func (b packageBody) input() packages.PackageInput {
	return packages.PackageInput{Name: b.Name, Description: b.Description, Status: b.Status.int()}
}

func (s *surface) listPackages(ctx context.Context, _ *struct{}) ([]packageView, error) {
	list, err := s.Store.ListPackages(ctx, organizationOfRequest(ctx))
	return api.Each(list, viewPackage), err
}

func (s *surface) getPackage(ctx context.Context, req *idPath) (packageView, error) {
	p, err := s.Store.PackageByID(ctx, req.ID)
	return shown(p, err, viewPackage)
}

func (s *surface) createPackage(ctx context.Context, req *struct {
	Body packageBody `body:"json"`
}) (packageView, error) {
	p, err := s.Service.CreatePackage(ctx, organizationOfRequest(ctx), req.Body.input(), api.SubjectOf(ctx))
	return shown(p, err, viewPackage)
}

func (s *surface) updatePackage(ctx context.Context, req *struct {
	idPath
	Body packageBody `body:"json"`
}) (packageView, error) {
	p, err := s.Service.UpdatePackage(ctx, req.ID, req.Body.input(), api.SubjectOf(ctx))
	return shown(p, err, viewPackage)
}

func (s *surface) deletePackage(ctx context.Context, req *idPath) (api.Empty, error) {
	return api.Empty{}, s.Service.DeletePackage(ctx, req.ID, api.SubjectOf(ctx))
}
