package models

import (
	"context"

	"slipway/policies"
)

// Downstream is a release that depends on another one or extends it.
type Downstream struct {
	Namespace   string
	Application string
	Version     string
	Extension   bool
	Build       bool
	Deploy      bool
}

// DownstreamOf lists the releases that name exactly this version, in namespaces that v covers, in the order in which
// they were registered. A release that names it twice, under two variables, is listed once with the scopes of both.
func (s *Store) DownstreamOf(ctx context.Context, namespace, application, version string, v policies.Visible) ([]Downstream, error) {
	var rows []struct {
		Downstream
		ID string
	}
	err := s.reader(ctx).Table("release_dependencies AS d").
		Select("releases.id, namespaces.name AS namespace, applications.name AS application, releases.version, d.extension, d.build, d.deploy").
		Joins("JOIN releases ON releases.id = d.release_id").
		Joins("JOIN applications ON applications.id = releases.application_id").
		Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
		Where("d.namespace = ? AND d.application = ? AND d.version = ?", namespace, application, version).
		Scopes(s.visibleNamespaces(v)).Order("releases.id, d.extension, d.position").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	out := []Downstream{}
	last := ""
	for _, r := range rows {
		if n := len(out) - 1; n >= 0 && r.ID == last && out[n].Extension == r.Extension {
			out[n].Build = out[n].Build || r.Build
			out[n].Deploy = out[n].Deploy || r.Deploy
			continue
		}
		last = r.ID
		out = append(out, r.Downstream)
	}
	return out, nil
}

// ProvidersOf lists, for each application in namespaces that v covers, the highest release that provides an interface.
func (s *Store) ProvidersOf(ctx context.Context, name string, v policies.Visible) ([]FoundRelease, error) {
	out := []FoundRelease{}
	if !storable(name) {
		return out, nil
	}
	err := s.reader(ctx).Table("release_providers").
		Select("releases.id, namespaces.name AS namespace, applications.name AS application, releases.version, releases.description").
		Joins("JOIN releases ON releases.id = release_providers.release_id").
		Joins("JOIN applications ON applications.id = releases.application_id").
		Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
		Where("release_providers.interface = ?", name).
		Scopes(s.visibleNamespaces(v)).Order("namespaces.name, applications.name").Find(&out).Error
	return out, err
}
