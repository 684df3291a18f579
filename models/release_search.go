package models

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

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
	// Text is looked for in the names of namespace and application and in the description, whatever its case. Of a very
	// long description the first 64 KiB count.
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

// searchWindow is how many of the newest releases a search looks at one by one before it asks the indexes. What is found
// often is found there; the indexes are for what is rare, and would have to sort all of what is frequent. A variable for
// tests alone.
var searchWindow = 2000

// SearchReleases finds releases, the newest first.
func (s *Store) SearchReleases(ctx context.Context, f ReleaseFilter) ([]FoundRelease, error) {
	for _, text := range []string{f.Text, f.Namespace, f.Application, f.Tag, f.Provides, f.PageFrom} {
		if !storable(text) {
			return []FoundRelease{}, nil
		}
	}
	f.Text = strings.ToLower(f.Text)
	var namespaceID string
	if f.Namespace != "" {
		n, err := s.NamespaceByName(ctx, f.Namespace)
		if err != nil {
			return []FoundRelease{}, ignoreNotFound(err)
		}
		namespaceID = n.ID
	}
	q := func() *gorm.DB { return s.searchReleases(ctx, f, namespaceID).Limit(f.PageSize) }
	var found []string
	var oldest string
	var err error
	if f.narrows() {
		if oldest, err = s.searchWindowEnd(ctx, f.PageFrom); err != nil {
			return nil, err
		}
	}
	if oldest != "" {
		if found, err = s.plannedIDs(ctx, q().Where("t.release_id >= ?", oldest).Order("t.release_id DESC")); err != nil {
			return nil, fmt.Errorf("search the newest releases: %w", err)
		}
	}
	if oldest == "" || len(found) < f.PageSize {
		all := q()
		order := "t.release_id"
		if condition, args := s.indexedText(f.Text); condition != "" {
			all = all.Where(condition, args...)
			if !f.narrowsExactly() {
				// The database cannot know how many rows contain a text, and likes to walk all of them from the newest on.
				order = s.unindexedID()
			}
		}
		if found, err = s.plannedIDs(ctx, all.Order(order+" DESC")); err != nil {
			return nil, fmt.Errorf("search releases: %w", err)
		}
	}
	return s.foundReleases(ctx, found)
}

// narrowsExactly says whether anything but a text narrows the search.
func (f ReleaseFilter) narrowsExactly() bool {
	return f.Namespace != "" || f.Application != "" || f.Tag != "" || f.Provides != "" || len(f.Metadata) > 0
}

// narrows says whether there may be releases that the search does not find.
func (f ReleaseFilter) narrows() bool { return f.Text != "" || f.narrowsExactly() || !f.Visible.All }

// searchReleases is the query for the rows t of release_texts that a filter selects.
func (s *Store) searchReleases(ctx context.Context, f ReleaseFilter, namespaceID string) *gorm.DB {
	q := s.reader(ctx).Table("release_texts AS t")
	if !f.Visible.All {
		q = q.Where("t.namespace_id IN (?)", s.reader(ctx).Model(&Namespace{}).Select("namespaces.id").Scopes(s.visibleNamespaces(f.Visible)))
	}
	if namespaceID != "" {
		q = q.Where("t.namespace_id = ?", namespaceID)
	}
	if f.Application != "" {
		q = q.Where("t.application_id IN (SELECT id FROM applications WHERE name = ?)", f.Application)
	}
	if f.Text != "" {
		condition, args := s.containsText(f.Text)
		q = q.Where(condition, args...)
	}
	if f.Tag != "" {
		q = q.Where("t.release_id IN (SELECT release_id FROM release_tags WHERE name = ?)", f.Tag)
	}
	var terms []string
	if f.Provides != "" {
		terms = append(terms, providesTerm(f.Provides))
	}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		terms = append(terms, metadataTerm(key, f.Metadata[key]))
	}
	for _, term := range terms {
		q = q.Where("t.release_id IN (SELECT release_id FROM release_terms WHERE term = ?)", term)
	}
	if f.PageFrom != "" {
		q = q.Where("t.release_id < ?", f.PageFrom)
	}
	return q
}

// searchWindowEnd gives the id of the oldest release in the window that is looked at first; "" if that would be all.
func (s *Store) searchWindowEnd(ctx context.Context, before string) (string, error) {
	q := s.reader(ctx).Table("release_texts AS t")
	if before != "" {
		q = q.Where("t.release_id < ?", before)
	}
	var id []string
	err := q.Order("t.release_id DESC").Offset(searchWindow-1).Limit(1).Pluck("t.release_id", &id).Error
	if err != nil || len(id) == 0 {
		return "", err
	}
	return id[0], nil
}

// foundReleases reads what is shown of releases, in the order of their ids, the newest first.
func (s *Store) foundReleases(ctx context.Context, list []string) ([]FoundRelease, error) {
	out := []FoundRelease{}
	if len(list) == 0 {
		return out, nil
	}
	err := s.reader(ctx).Table("releases").
		Select("releases.id, namespaces.name AS namespace, applications.name AS application, releases.version, releases.description, releases.registered_by, releases.registered_at").
		Joins("JOIN applications ON applications.id = releases.application_id").
		Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
		Where("releases.id IN ?", list).Order("releases.id DESC").Find(&out).Error
	return out, err
}

// indexRelease makes a release searchable, or what was changed of it. Nothing remains of what it said before.
func (s *Store) indexRelease(ctx context.Context, r *Release, n NewRelease) error {
	var names struct{ Namespace, NamespaceID, Application string }
	err := one(s.reader(ctx).Table("applications").Select("namespaces.name AS namespace, namespaces.id AS namespace_id, applications.name AS application").
		Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").Where("applications.id = ?", r.ApplicationID).Take(&names))
	if err != nil {
		return err
	}
	for _, table := range []string{"release_texts", "release_terms"} {
		if err := s.writer(ctx).Exec("DELETE FROM "+table+" WHERE release_id = ?", r.ID).Error; err != nil {
			return err
		}
	}
	if err := s.insertSearchText(ctx, r, names.NamespaceID, releaseText(names.Namespace, names.Application, n.Description)); err != nil {
		return err
	}
	var terms []string
	for _, name := range n.Provides {
		terms = append(terms, providesTerm(name))
	}
	for key, value := range n.Own {
		terms = append(terms, metadataTerm(key, value))
	}
	slices.Sort(terms)
	terms = slices.Compact(terms)
	rows := make([]releaseTerm, 0, len(terms))
	for _, term := range terms {
		rows = append(rows, releaseTerm{Term: term, ReleaseID: r.ID})
	}
	if len(rows) == 0 {
		return nil
	}
	return s.writer(ctx).CreateInBatches(rows, 100).Error
}

// releaseTerm says that a release is found under a term: see providesTerm and metadataTerm.
type releaseTerm struct{ Term, ReleaseID string }

// TableName names the table.
func (releaseTerm) TableName() string { return "release_terms" }

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
