package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/version"
	"slipway/models"
)

// Found is a release with its application.
type Found struct {
	Namespace   string
	Application *models.Application
	Release     *models.Release
}

// ID is the release's id, with the namespace that it was found in.
func (f *Found) ID() release.ID {
	return release.ID{Project: f.Namespace, Name: f.Application.Name, Version: f.Release.Version}
}

// Metadata reads the release's metadata.
func (f *Found) Metadata() (*release.Metadata, error) {
	m := &release.Metadata{}
	if err := json.Unmarshal([]byte(f.Release.Metadata), m); err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", f.ID(), err)
	}
	return m, nil
}

// Find resolves a version query: a version with or without "v", "latest", "1.@" or a tag. models.ErrNotFound.
func (s *Service) Find(ctx context.Context, namespace, application, query string) (*Found, error) {
	q, err := version.ParseQuery(query)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%s", err)
	}
	a, err := s.Store.ApplicationByName(ctx, namespace, application)
	if err != nil {
		return nil, err
	}
	r, err := s.Store.ReleaseByQuery(ctx, a.ID, q)
	if err != nil {
		return nil, err
	}
	return &Found{Namespace: namespace, Application: a, Release: r}, nil
}

// Release gives the metadata of the release that an id names; its version may be a query or a tag. models.ErrNotFound.
func (s *Service) Release(ctx context.Context, id release.ID) (*release.Metadata, error) {
	f, err := s.Find(ctx, id.Project, id.Name, id.Query())
	if err != nil {
		return nil, err
	}
	return f.Metadata()
}

// Previous finds the release next below the one that a query asks for. models.ErrNotFound if there is none.
func (s *Service) Previous(ctx context.Context, f *Found) (*Found, error) {
	r, err := s.Store.PreviousRelease(ctx, f.Application.ID, f.Release.Version)
	if err != nil {
		return nil, err
	}
	return &Found{Namespace: f.Namespace, Application: f.Application, Release: r}, nil
}

// NextVersion gives the version to release next under a prefix such as "" or "0.1.". Of an application that is not
// there it is the first.
func (s *Service) NextVersion(ctx context.Context, namespace, application, prefix string) (string, error) {
	a, err := s.Store.ApplicationByName(ctx, namespace, application)
	if errors.Is(err, models.ErrNotFound) {
		return version.Next(nil, prefix), nil
	}
	if err != nil {
		return "", err
	}
	return s.Store.NextVersion(ctx, a.ID, prefix)
}

// Versions lists the versions of an application, lowest first. models.ErrNotFound if it has none.
func (s *Service) Versions(ctx context.Context, namespace, application string) ([]string, error) {
	a, err := s.Store.ApplicationByName(ctx, namespace, application)
	if err != nil {
		return nil, err
	}
	list, err := s.Store.Versions(ctx, a.ID)
	if err == nil && len(list) == 0 {
		err = models.ErrNotFound
	}
	return list, err
}
