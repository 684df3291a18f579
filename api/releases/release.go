package releases

import (
	"context"
	"encoding/json"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/inventory"
)

type registerRequest struct {
	namespacePath
	Body []byte `body:"raw"`
}

// registerRelease reads the body whatever its content type says, as clients send all kinds.
func (s *surface) registerRelease(ctx context.Context, req *registerRequest) (api.Empty, error) {
	r := api.From(ctx)
	if r.Resource.ID == "" { // the namespace has to be made: see onNamespaceToBe
		if err := s.allowed(ctx, "namespace:create", r.Resource.Resource); err != nil {
			return api.Empty{}, err
		}
	}
	const unreadable = "Couldn't unmarshal JSON release metadata: "
	if err := api.CheckBody(req.Body); err != nil {
		return api.Empty{}, problem.Wrap(problem.Invalid, err, unreadable+"%s", strings.TrimPrefix(err.Error(), api.BodyError+": "))
	}
	m, err := release.Decode(req.Body)
	if err != nil {
		return api.Empty{}, problem.Wrap(problem.Invalid, err, "%s", err.Error())
	}
	_, err = s.Inventory.Register(ctx, req.Namespace, m, r.Subject)
	return api.Empty{}, err
}

type releaseRequest struct {
	versionPath
	Full string `query:"full"`
}

func (s *surface) getRelease(ctx context.Context, req *releaseRequest) (any, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	if req.Full == "" {
		return metadataOf(f), nil
	}
	versions, err := s.Store.Versions(ctx, f.Application.ID)
	if err != nil {
		return nil, err
	}
	return releaseView{Release: json.RawMessage(f.Release.Metadata), Versions: versions, IsLatest: f.Application.LatestVersion == f.Release.Version,
		Downloads: f.Release.Downloads, UploadedBy: f.Release.RegisteredBy, UploadedAt: seconds(f.Release.RegisteredAt)}, nil
}

// metadataOf writes the metadata as it is stored, which is as it was written at registration.
func metadataOf(f *inventory.Found) api.Response {
	return api.Response{ContentType: "application/json", Body: append([]byte(f.Release.Metadata), '\n')}
}

func (s *surface) getPreviousVersion(ctx context.Context, req *versionPath) (api.Response, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return api.Response{}, err
	}
	if f, err = s.Inventory.Previous(ctx, f); err != nil {
		return api.Response{}, err
	}
	return metadataOf(f), nil
}

type tagRequest struct {
	unitPath
	Body struct {
		ReleaseID string `json:"release_id"`
		Tag       string `json:"tag"`
	} `body:"json"`
}

func (s *surface) tagRelease(ctx context.Context, req *tagRequest) (api.Empty, error) {
	id, err := release.ParseID(req.Body.ReleaseID)
	switch {
	case err != nil:
		return api.Empty{}, problem.Wrap(problem.Invalid, err, "%s", err.Error())
	case id.Project != req.Namespace:
		return api.Empty{}, problem.New(problem.Invalid, "Mismatch between namespace from URL and namespace from release_id.")
	case id.Name != req.Name:
		return api.Empty{}, problem.New(problem.Invalid, "Mismatch between application from URL and application from release_id.")
	}
	return api.Empty{}, s.Inventory.Tag(ctx, id, req.Body.Tag, api.SubjectOf(ctx))
}
