package releases

import (
	"context"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
)

type providersRequest struct {
	Name string `query:"name"`
}

func (s *surface) searchProviders(ctx context.Context, req *providersRequest) (map[string]providerView, error) {
	v, err := s.visible(ctx, "provider:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ProvidersOf(ctx, req.Name, v)
	if err != nil {
		return nil, err
	}
	out := make(map[string]providerView, len(list))
	for _, r := range list {
		out[idOf(r).String()] = providerView{Application: r.Application, Project: r.Namespace, Version: r.Version, Description: r.Description}
	}
	return out, nil
}

func idOf(r models.FoundRelease) release.ID {
	return release.ID{Project: r.Namespace, Name: r.Application, Version: r.Version}
}

type searchRequest struct {
	Body struct {
		// Query is text in the name or description of the release.
		Query       string            `json:"query"`
		Namespace   string            `json:"namespace"`
		Application string            `json:"application"`
		Tag         string            `json:"tag"`
		Provider    string            `json:"provider"` // an interface that the release provides
		Metadata    map[string]string `json:"metadata"` // keys of the release's metadata with their values
		PageFrom    string            `json:"page_from"`
		PageSize    int               `json:"page_size"` // 1 to 200; absent: 50
	} `body:"json"`
}

const (
	searchPage    = 50
	maxSearchPage = 200
)

func (s *surface) searchReleases(ctx context.Context, req *searchRequest) ([]foundView, error) {
	b := &req.Body
	switch {
	case b.PageSize < 0 || b.PageSize > maxSearchPage:
		return nil, problem.New(problem.Invalid, "The field 'page_size' must be from 1 to %d", maxSearchPage)
	case b.PageSize == 0:
		b.PageSize = searchPage
	}
	if len(b.Query) > 200 || len(b.Metadata) > 20 {
		return nil, problem.New(problem.Invalid, "The search is over its limits: 200 characters of text, 20 metadata keys")
	}
	v, err := s.visible(ctx, "release:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.SearchReleases(ctx, models.ReleaseFilter{Visible: v, Text: b.Query, Namespace: b.Namespace, Application: b.Application,
		Tag: b.Tag, Provides: b.Provider, Metadata: b.Metadata, PageFrom: b.PageFrom, PageSize: b.PageSize})
	if err != nil {
		return nil, err
	}
	out := make([]foundView, 0, len(list))
	for _, r := range list {
		out = append(out, foundView{ID: r.ID, ReleaseID: idOf(r).String(), Project: r.Namespace, Application: r.Application, Version: r.Version,
			Description: r.Description, UploadedBy: r.RegisteredBy, UploadedAt: seconds(r.RegisteredAt)})
	}
	return out, nil
}
