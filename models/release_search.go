package models

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/policies"
)

// FoundRelease is a release in the answer to a search, without its metadata.
type FoundRelease struct {
	ID           string
	Namespace    string
	Application  string
	Version      string
	Description  string
	RegisteredBy string
	RegisteredAt time.Time
}

// ReleaseFilter narrows SearchReleases. Empty members do not narrow.
type ReleaseFilter struct {
	Visible policies.Visible
	// Text is looked for in the names of namespace and application and in the description, whatever its case.
	Text string
	// Namespace, Application, Tag and Provides (an interface) match exactly.
	Namespace, Application, Tag, Provides string
	// Metadata are keys of the release's own metadata with their values.
	Metadata map[string]string
	// PageFrom is the id of the last release of the page before: only older ones.
	PageFrom string
	// PageSize is the most releases to give.
	PageSize int
}

// SearchReleases finds releases, the newest first.
func (s *Store) SearchReleases(ctx context.Context, f ReleaseFilter) ([]FoundRelease, error) {
	out := []FoundRelease{}
	for _, text := range []string{f.Text, f.Namespace, f.Application, f.Tag, f.Provides, f.PageFrom} {
		if !storable(text) {
			return out, nil
		}
	}
	q := s.reader(ctx).Table("releases").
		Select("releases.id, namespaces.name AS namespace, applications.name AS application, releases.version, releases.description, releases.registered_by, releases.registered_at").
		Joins("JOIN applications ON applications.id = releases.application_id").
		Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
		Scopes(s.visibleNamespaces(f.Visible))
	for column, value := range map[string]string{"namespaces.name": f.Namespace, "applications.name": f.Application} {
		if value != "" {
			q = q.Where(column+" = ?", value)
		}
	}
	if f.Text != "" {
		// Names are lower case by their rule; lower() folds the description on both databases at least for ASCII.
		pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(f.Text)) + "%"
		q = q.Where(`(namespaces.name || '/' || applications.name LIKE ? ESCAPE '\' OR lower(releases.description) LIKE ? ESCAPE '\')`, pattern, pattern)
	}
	if f.Tag != "" {
		q = q.Where("EXISTS (SELECT 1 FROM release_tags t WHERE t.release_id = releases.id AND t.name = ?)", f.Tag)
	}
	if f.Provides != "" {
		q = q.Where(s.providesInterface(), f.Provides)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		if !storable(key) || !storable(f.Metadata[key]) {
			return out, nil
		}
		q = q.Where(s.hasMetadata(), key, f.Metadata[key])
	}
	if f.PageFrom != "" {
		q = q.Where("releases.id < ?", f.PageFrom)
	}
	err := q.Order("releases.id DESC").Limit(f.PageSize).Find(&out).Error
	return out, err
}
