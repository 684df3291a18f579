package releases

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/inventory"
)

func (s *surface) diffWithPrevious(ctx context.Context, req *versionPath) (inventory.Diff, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	previous, err := s.Inventory.Previous(ctx, f)
	if err != nil {
		return nil, err
	}
	return diff(previous, f)
}

type diffRequest struct {
	versionPath
	DiffWith string `path:"diffWith"` // the older side, a version query too
}

func (s *surface) diffWith(ctx context.Context, req *diffRequest) (inventory.Diff, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	previous, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.DiffWith)
	if err != nil {
		return nil, err
	}
	return diff(previous, f)
}

func diff(previous, next *inventory.Found) (inventory.Diff, error) {
	before, err := previous.Metadata()
	if err != nil {
		return nil, err
	}
	after, err := next.Metadata()
	if err != nil {
		return nil, err
	}
	return inventory.DiffMetadata(before, after), nil
}

func (s *surface) getDownstream(ctx context.Context, req *versionPath) ([]dependencyView, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	v, err := s.visible(ctx, "release:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.DownstreamOf(ctx, f.Namespace, f.Application.Name, f.Release.Version, v)
	if err != nil {
		return nil, err
	}
	out := make([]dependencyView, 0, len(list))
	for _, d := range list {
		out = append(out, dependencyView{Project: d.Namespace, Name: d.Application, Version: d.Version, Build: d.Build, Deploy: d.Deploy, IsExtension: d.Extension})
	}
	return out, nil
}

type graphRequest struct {
	versionPath
	Accept string `header:"Accept"`
}

// getDependencyGraph gives programs JSON and people, who ask for it, a picture.
func (s *surface) getDependencyGraph(ctx context.Context, req *graphRequest) (any, error) {
	f, err := s.Inventory.Find(ctx, req.Namespace, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	v, err := s.visible(ctx, "release:read")
	if err != nil {
		return nil, err
	}
	g, err := s.Inventory.DependencyGraph(ctx, f, v)
	if err != nil {
		return nil, err
	}
	if !wantsSVG(req.Accept) {
		return g, nil
	}
	return api.Response{ContentType: "image/svg+xml", Body: g.SVG(), Header: http.Header{
		// A picture holds no scripts. Should one get in all the same, it must not run.
		"Content-Security-Policy": {"default-src 'none'; style-src 'unsafe-inline'; sandbox"},
		"Vary":                    {"Accept"},
	}}, nil
}

// wantsSVG says whether a picture is asked for by name; clients of the API send */*, or JSON.
func wantsSVG(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "image/svg+xml" {
			return true
		}
	}
	return false
}
