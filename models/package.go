package models

import (
	"context"
	"fmt"
	"time"
)

// What a package or a version is worth to consumers.
const (
	// StatusDisabled things are there for their owners only.
	StatusDisabled = 0
	// StatusEnabled things are there for the consumers who have permission.
	StatusEnabled = 1
)

// Package is a Composer package of an organization.
type Package struct {
	ID             int64
	OrganizationID string
	Name           string // vendor/package, unique in the organization
	Description    string
	Status         int // StatusEnabled or StatusDisabled
	// Revision rises with every change of the package, of its versions and of their archives.
	Revision  int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TableName names the table.
func (Package) TableName() string { return "packages" }

// CreatePackage adds a package and sets its id and times. ErrExists where the organization has one of that name.
func (s *Store) CreatePackage(ctx context.Context, p *Package) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		p.ID, p.Revision = 0, c.next()
		p.CreatedAt = c.Now()
		p.UpdatedAt = p.CreatedAt
		return created(c.writer(ctx).Create(p))
	})
}

// PackageByID finds a package.
func (s *Store) PackageByID(ctx context.Context, id int64) (*Package, error) {
	var p Package
	return &p, one(s.reader(ctx).Where("id = ?", id).Take(&p))
}

// PackageByName finds a package of an organization.
func (s *Store) PackageByName(ctx context.Context, organizationID, name string) (*Package, error) {
	var p Package
	if !storable(name) {
		return nil, ErrNotFound
	}
	return &p, one(s.reader(ctx).Where("organization_id = ? AND name = ?", organizationID, name).Take(&p))
}

// ListPackages gives the packages of an organization in the order in which they were added.
func (s *Store) ListPackages(ctx context.Context, organizationID string) ([]Package, error) {
	return all[Package](s.reader(ctx).Where("organization_id = ?", organizationID).Order("id"))
}

// PackagesOfConsumer gives the packages that a consumer has a permission for, whatever their status.
func (s *Store) PackagesOfConsumer(ctx context.Context, consumerID int64) ([]Package, error) {
	return all[Package](s.reader(ctx).Where("id IN (SELECT package_id FROM package_permissions WHERE consumer_id = ?)", consumerID).Order("id"))
}

// UpdatePackage writes name, description and status of a package and sets its time. ErrNotFound, or ErrExists where the
// name is another one's.
func (s *Store) UpdatePackage(ctx context.Context, p *Package) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		p.UpdatedAt = c.Now()
		if err := found(c.writer(ctx).Model(&Package{}).Where("id = ?", p.ID).Select("name", "description", "status", "updated_at").UpdateColumns(p)); err != nil {
			return err
		}
		return c.touchPackage(ctx, p.ID)
	})
}

// DeletePackage removes a package with its versions and permissions. The archives stay for a while, for the downloads that
// are running; the sweeper of uploads removes them.
func (s *Store) DeletePackage(ctx context.Context, id int64) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		if err := c.touchPackage(ctx, id); err != nil {
			return err
		}
		if err := c.discardArchives(ctx, "package_id = ?", id); err != nil {
			return err
		}
		return found(c.writer(ctx).Where("id = ?", id).Delete(&Package{}))
	})
}

// discardArchives hands the archives of versions over to the sweeper of uploads.
func (c *packageChange) discardArchives(ctx context.Context, where string, args ...any) error {
	q := c.writer(ctx).Exec("INSERT INTO package_uploads (package_key, started_at, abandoned) SELECT archive_key, ?, ? FROM package_versions WHERE archive_key <> '' AND "+where,
		append([]any{c.Now(), false}, args...)...)
	if q.Error != nil {
		return fmt.Errorf("discard archives: %w", q.Error)
	}
	return nil
}
