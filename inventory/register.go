package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// Register adds a release. A namespace that is not there is made, and belongs to the project of the same name where
// there is one; so is the application. Registering a release twice is refused as bad input: its metadata never changes.
//
// The namespace is the one of the call, whatever the metadata says its project is.
func (s *Service) Register(ctx context.Context, namespace string, m *release.Metadata, by policies.Subject) (*models.Release, error) {
	return s.register(ctx, namespace, m, by, "")
}

// register is Register for an execution, whose id is kept with the release.
func (s *Service) register(ctx context.Context, namespace string, m *release.Metadata, by policies.Subject, execution string) (*models.Release, error) {
	if err := release.ValidateNamespace(namespace); err != nil {
		return nil, invalid(err)
	}
	m.Normalise()
	if err := m.Validate(); err != nil {
		return nil, invalid(err)
	}
	n, err := newRelease(m, by, execution)
	if err != nil {
		return nil, err
	}
	project, err := s.ProjectNamed(ctx, namespace)
	if err != nil {
		return nil, err
	}
	want := models.Namespace{Name: namespace, CreatedBy: nameOf(by)}
	if project != nil {
		want.ProjectID = &project.ID
	}
	var r *models.Release
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		fresh := want
		ns, made, err := tx.EnsureNamespace(ctx, &fresh)
		if err != nil {
			return err
		}
		if made {
			if err := audit(ctx, tx, by, "namespace:create", "namespace", ns.Name, ns, nil); err != nil {
				return err
			}
		}
		if r, err = tx.RegisterRelease(ctx, ns.ID, n); err != nil {
			return err
		}
		return audit(ctx, tx, by, "release:register", "release", namespace+"/"+m.ID().Unqualified(), ns, nil)
	})
	if errors.Is(err, models.ErrExists) {
		return nil, problem.Wrap(problem.Invalid, err, "Release %s already exists", m.ID().Unqualified())
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newRelease is a release as the store takes it.
func newRelease(m *release.Metadata, by policies.Subject, execution string) (models.NewRelease, error) {
	document, err := json.Marshal(m)
	if err != nil {
		return models.NewRelease{}, fmt.Errorf("write the metadata of %s: %w", m.ID(), err)
	}
	dependencies, err := dependenciesOf(m)
	if err != nil {
		return models.NewRelease{}, invalid(err)
	}
	provides := make([]string, 0, len(m.Provides))
	for _, p := range m.Provides {
		provides = append(provides, p.Name)
	}
	return models.NewRelease{Application: m.Name, Version: m.Version, Description: m.Description, Logo: m.Logo, Metadata: string(document),
		By: nameOf(by), ExecutionID: execution, Dependencies: dependencies, Provides: provides, Own: m.Metadata}, nil
}

// dependenciesOf lists what a release depends on and extends. Validate has seen the ids already.
func dependenciesOf(m *release.Metadata) ([]models.Dependency, error) {
	var out []models.Dependency
	for _, d := range m.Depends {
		id, err := release.ParseID(d.ReleaseID)
		if err != nil {
			return nil, err
		}
		out = append(out, models.Dependency{Namespace: id.Project, Application: id.Name, Version: id.Version,
			Build: release.InScope(d.Scopes, release.ScopeBuild), Deploy: release.InScope(d.Scopes, release.ScopeDeploy)})
	}
	for _, e := range m.Extends {
		id, err := release.ParseID(e.ReleaseID)
		if err != nil {
			return nil, err
		}
		out = append(out, models.Dependency{Extension: true, Namespace: id.Project, Application: id.Name, Version: id.Version, Build: true, Deploy: true})
	}
	return out, nil
}
