package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Release is one version of an application: its metadata, and its package once that has been uploaded.
type Release struct {
	ID            string
	ApplicationID string
	Version       string
	SortKey       string
	Description   string
	Metadata      string // JSON as it is answered
	Downloads     int64
	RegisteredBy  string
	RegisteredAt  time.Time
	ExecutionID   string // that registered it; "" for a client
	PackageKey    string // in blob storage; "" before the upload
	PackageSize   int64  // bytes
	PackageSHA256 string `gorm:"column:package_sha256"`
	UploadedBy    string
	UploadedAt    *time.Time
}

// TableName names the table.
func (Release) TableName() string { return "releases" }

// Dependency is a release that another one depends on or extends.
type Dependency struct {
	ReleaseID   string
	Extension   bool
	Position    int
	Namespace   string
	Application string
	Version     string
	Build       bool
	Deploy      bool
}

// TableName names the table.
func (Dependency) TableName() string { return "release_dependencies" }

// Provider is the highest release of an application that provides an interface.
type Provider struct {
	Interface     string
	ApplicationID string
	ReleaseID     string
	SortKey       string
}

// TableName names the table.
func (Provider) TableName() string { return "release_providers" }

// NewRelease is what RegisterRelease stores.
type NewRelease struct {
	Application  string
	Version      string
	Description  string
	Logo         string
	Metadata     string
	By           string
	ExecutionID  string
	Dependencies []Dependency // without ReleaseID and Position
	Provides     []string
	Own          map[string]string // the release's own metadata, for searches
}

// RegisterRelease adds a release to a namespace, and its application where it is the first one. ErrExists if there is
// such a release. It must run in a transaction: see Tx.
func (s *Store) RegisterRelease(ctx context.Context, namespaceID string, n NewRelease) (*Release, error) {
	a, err := s.ensureApplication(ctx, namespaceID, n.Application)
	if err != nil {
		return nil, err
	}
	r := Release{ID: NewID(), ApplicationID: a.ID, Version: n.Version, SortKey: versionKey(n.Version), Description: n.Description,
		Metadata: n.Metadata, RegisteredBy: n.By, RegisteredAt: s.Now(), ExecutionID: n.ExecutionID}
	if err := created(s.writer(ctx).Create(&r)); err != nil {
		return nil, err
	}
	if err := s.linkRelease(ctx, &r, n); err != nil {
		return nil, err
	}
	if err := s.indexRelease(ctx, &r, n); err != nil {
		return nil, err
	}
	err = found(s.writer(ctx).Model(&Application{}).Where("id = ?", a.ID).Updates(map[string]any{
		"description": n.Description, "logo": n.Logo, "uploaded_by": n.By, "uploaded_at": r.RegisteredAt,
	}))
	if err != nil {
		return nil, err
	}
	return &r, s.writer(ctx).Model(&Application{}).Where("id = ? AND (latest_version = '' OR latest_key < ?)", a.ID, r.SortKey).
		Updates(map[string]any{"latest_version": r.Version, "latest_key": r.SortKey}).Error
}

// ReplaceRelease puts new metadata in the place of a release's that the same execution has registered and that has no
// package yet. ErrConflict if it is not so. It must run in a transaction: see Tx.
func (s *Store) ReplaceRelease(ctx context.Context, r *Release, n NewRelease) error {
	err := changed(s.writer(ctx).Model(&Release{}).Where("id = ? AND package_key = '' AND execution_id = ?", r.ID, n.ExecutionID).
		Updates(map[string]any{"metadata": n.Metadata, "description": n.Description}))
	if err != nil {
		return err
	}
	return s.relinkRelease(ctx, r, n)
}

// relinkRelease writes what a release whose metadata was replaced depends on and provides now.
func (s *Store) relinkRelease(ctx context.Context, r *Release, n NewRelease) error {
	if err := s.writer(ctx).Where("release_id = ?", r.ID).Delete(&Dependency{}).Error; err != nil {
		return err
	}
	if err := s.indexRelease(ctx, r, n); err != nil {
		return err
	}
	var before []string
	if err := s.reader(ctx).Model(&Provider{}).Where("release_id = ?", r.ID).Pluck("interface", &before).Error; err != nil {
		return err
	}
	if err := s.writer(ctx).Where("release_id = ?", r.ID).Delete(&Provider{}).Error; err != nil {
		return err
	}
	// What it no longer provides, the next lower release may.
	for _, name := range before {
		var next Release
		err := one(s.releasesOf(ctx, r.ApplicationID).Where("id IN (SELECT release_id FROM release_terms WHERE term = ?)", providesTerm(name)).Order("sort_key DESC, version DESC").Limit(1).Take(&next))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.writer(ctx).Create(&Provider{Interface: name, ApplicationID: r.ApplicationID, ReleaseID: next.ID, SortKey: next.SortKey}).Error; err != nil {
			return err
		}
	}
	return s.linkRelease(ctx, r, n)
}

// linkRelease writes what a release depends on and what it provides.
func (s *Store) linkRelease(ctx context.Context, r *Release, n NewRelease) error {
	for i := range n.Dependencies {
		n.Dependencies[i].ReleaseID, n.Dependencies[i].Position = r.ID, i
	}
	if len(n.Dependencies) > 0 {
		if err := s.writer(ctx).CreateInBatches(n.Dependencies, 100).Error; err != nil {
			return err
		}
	}
	for _, name := range n.Provides {
		// A release that is registered late must not replace a higher one.
		higher := clause.Where{Exprs: []clause.Expression{gorm.Expr("release_providers.sort_key < excluded.sort_key")}}
		err := s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "interface"}, {Name: "application_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"release_id", "sort_key"}), Where: higher}).
			Create(&Provider{Interface: name, ApplicationID: r.ApplicationID, ReleaseID: r.ID, SortKey: r.SortKey}).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// CountDownload adds one to the downloads of a release.
func (s *Store) CountDownload(ctx context.Context, id string) error {
	return found(s.writer(ctx).Model(&Release{}).Where("id = ?", id).Update("downloads", gorm.Expr("downloads + 1")))
}
