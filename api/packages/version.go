package packages

import (
	"context"

	"slipway/api"
	"slipway/packages"
)

type versionBody struct {
	Name     *string `json:"name"`
	Filename *string `json:"filename"`
	Status   *number `json:"status"`
}

func (b versionBody) input() packages.VersionInput {
	return packages.VersionInput{Name: b.Name, Filename: b.Filename, Status: b.Status.int()}
}

func (s *surface) listVersions(ctx context.Context, req *idPath) ([]versionView, error) {
	list, err := s.Store.ListPackageVersions(ctx, req.ID)
	return api.Each(list, viewVersion), err
}

func (s *surface) createVersion(ctx context.Context, req *struct {
	idPath
	Body versionBody `body:"json"`
}) (versionView, error) {
	v, err := s.Service.CreateVersion(ctx, req.ID, req.Body.input(), api.SubjectOf(ctx))
	return shown(v, err, viewVersion)
}

func (s *surface) getVersion(ctx context.Context, req *idPath) (versionView, error) {
	v, err := s.Store.PackageVersionByID(ctx, req.ID)
	return shown(v, err, viewVersion)
}

func (s *surface) updateVersion(ctx context.Context, req *struct {
	idPath
	Body versionBody `body:"json"`
}) (versionView, error) {
	v, err := s.Service.UpdateVersion(ctx, req.ID, req.Body.input(), api.SubjectOf(ctx))
	return shown(v, err, viewVersion)
}

func (s *surface) deleteVersion(ctx context.Context, req *idPath) (api.Empty, error) {
	return api.Empty{}, s.Service.DeleteVersion(ctx, req.ID, api.SubjectOf(ctx))
}
