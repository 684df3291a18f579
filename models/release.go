package models

import (
	"context"
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
	Dependencies []Dependency // without ReleaseID and Position
	Provides     []string
}

// RegisterRelease adds a release to a namespace, and its application where it is the first one. ErrExists if there is
// such a release. It must run in a transaction: see Tx.
func (s *Store) RegisterRelease(ctx context.Context, namespaceID string, n NewRelease) (*Release, error) {
	a, err := s.ensureApplication(ctx, namespaceID, n.Application)
	if err != nil {
		return nil, err
	}
	r := Release{ID: NewID(), ApplicationID: a.ID, Version: n.Version, SortKey: versionKey(n.Version), Description: n.Description,
		Metadata: n.Metadata, RegisteredBy: n.By, RegisteredAt: s.Now()}
	if err := created(s.writer(ctx).Create(&r)); err != nil {
		return nil, err
	}
	for i := range n.Dependencies {
		n.Dependencies[i].ReleaseID, n.Dependencies[i].Position = r.ID, i
	}
	if len(n.Dependencies) > 0 {
		if err := s.writer(ctx).CreateInBatches(n.Dependencies, 100).Error; err != nil {
			return nil, err
		}
	}
	for _, name := range n.Provides {
		// A release that is registered late must not replace a higher one.
		higher := clause.Where{Exprs: []clause.Expression{gorm.Expr("release_providers.sort_key < excluded.sort_key")}}
		err := s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "interface"}, {Name: "application_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"release_id", "sort_key"}), Where: higher}).
			Create(&Provider{Interface: name, ApplicationID: a.ID, ReleaseID: r.ID, SortKey: r.SortKey}).Error
		if err != nil {
			return nil, err
		}
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

// CountDownload adds one to the downloads of a release.
func (s *Store) CountDownload(ctx context.Context, id string) error {
	return found(s.writer(ctx).Model(&Release{}).Where("id = ?", id).Update("downloads", gorm.Expr("downloads + 1")))
}
