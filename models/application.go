package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm/clause"
)

// Application has releases. The inventory's surface calls it a unit.
type Application struct {
	ID            string
	NamespaceID   string
	Name          string
	Description   string // of the release registered last, as are logo and who uploaded when
	Logo          string
	LatestVersion string // the highest version
	LatestKey     string
	UploadedBy    string
	UploadedAt    time.Time
	Hooks         string // JSON object, "" for none
	CreatedAt     time.Time
}

// TableName names the table.
func (Application) TableName() string { return "applications" }

// ApplicationByName finds an application in the namespace of that name. ErrNotFound.
func (s *Store) ApplicationByName(ctx context.Context, namespace, name string) (*Application, error) {
	var a Application
	q := s.reader(ctx).Joins("JOIN namespaces ON namespaces.id = applications.namespace_id").
		Where("namespaces.name = ? AND applications.name = ?", namespace, name).Select("applications.*")
	if err := one(q.Take(&a)); err != nil {
		return nil, err
	}
	return &a, s.openHooks("applications", a.ID, &a.Hooks)
}

// ListApplications gives the applications of a namespace, by name.
func (s *Store) ListApplications(ctx context.Context, namespaceID string) ([]Application, error) {
	var out []Application
	err := s.reader(ctx).Where("namespace_id = ?", namespaceID).Order("name").Find(&out).Error
	return out, errors.Join(err, s.openApplicationHooks(out))
}

// SetApplicationHooks replaces the hooks of an application.
func (s *Store) SetApplicationHooks(ctx context.Context, id, hooks string) error {
	sealed, err := s.sealHooks("applications", id, hooks)
	if err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Application{}).Where("id = ?", id).Update("hooks", sealed))
}

// ensureApplication gives the application of that name, and adds it if there is none.
func (s *Store) ensureApplication(ctx context.Context, namespaceID, name string) (*Application, error) {
	now := s.Now()
	a := Application{ID: NewID(), NamespaceID: namespaceID, Name: name, CreatedAt: now, UploadedAt: now}
	if err := s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&a).Error; err != nil {
		return nil, err
	}
	return take[Application](s.reader(ctx).Where("namespace_id = ? AND name = ?", namespaceID, name))
}

// HooksOfDependents gives every other application that has hooks and a release that depends on or extends a release of
// this one: its namespace, name and hooks.
func (s *Store) HooksOfDependents(ctx context.Context, namespace, name string) ([]Application, error) {
	list, err := all[Application](s.reader(ctx).Where(`applications.hooks <> '' AND applications.id IN (
		SELECT releases.application_id FROM release_dependencies
		JOIN releases ON releases.id = release_dependencies.release_id
		WHERE release_dependencies.namespace = ? AND release_dependencies.application = ?)`, namespace, name).
		Order("applications.id"))
	return list, errors.Join(err, s.openApplicationHooks(list))
}
