package models

import (
	"context"
	"fmt"
	"time"
)

// PackagePermission admits a consumer to the versions of a package that a constraint matches. A consumer may have several
// for one package; it is admitted to what any of them matches.
type PackagePermission struct {
	ID         int64
	ConsumerID int64
	PackageID  int64
	Version    string // a Composer constraint: "5.*"
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// TableName names the table.
func (PackagePermission) TableName() string { return "package_permissions" }

// CreatePackagePermission adds a permission and sets its id and times. ErrNotFound where consumer or package is gone.
func (s *Store) CreatePackagePermission(ctx context.Context, p *PackagePermission) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		p.ID, p.CreatedAt = 0, c.Now()
		p.UpdatedAt = p.CreatedAt
		if _, err := c.PackageByID(ctx, p.PackageID); err != nil {
			return err
		}
		if err := c.touchConsumer(ctx, p.ConsumerID); err != nil {
			return err
		}
		return created(c.writer(ctx).Create(p))
	})
}

// PackagePermissionByID finds a permission.
func (s *Store) PackagePermissionByID(ctx context.Context, id int64) (*PackagePermission, error) {
	var p PackagePermission
	return &p, one(s.reader(ctx).Where("id = ?", id).Take(&p))
}

// ListPackagePermissions gives the permissions that a consumer has for a package, oldest first.
func (s *Store) ListPackagePermissions(ctx context.Context, consumerID, packageID int64) ([]PackagePermission, error) {
	return all[PackagePermission](s.reader(ctx).Where("consumer_id = ? AND package_id = ?", consumerID, packageID).Order("id"))
}

// UpdatePackagePermission writes consumer, package and constraint of a permission and sets its time. Both the consumer that
// had it and the one that has it now see the change.
func (s *Store) UpdatePackagePermission(ctx context.Context, p *PackagePermission) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		old, err := c.PackagePermissionByID(ctx, p.ID)
		if err != nil {
			return err
		}
		if _, err := c.PackageByID(ctx, p.PackageID); err != nil {
			return err
		}
		for _, id := range []int64{old.ConsumerID, p.ConsumerID} {
			if err := c.touchConsumer(ctx, id); err != nil {
				return err
			}
		}
		p.UpdatedAt = c.Now()
		return found(c.writer(ctx).Model(&PackagePermission{}).Where("id = ?", p.ID).Select("consumer_id", "package_id", "version", "updated_at").UpdateColumns(p))
	})
}

// DeletePackagePermission takes a permission away.
func (s *Store) DeletePackagePermission(ctx context.Context, p *PackagePermission) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		if err := found(c.writer(ctx).Where("id = ?", p.ID).Delete(&PackagePermission{})); err != nil {
			return err
		}
		return c.touchConsumer(ctx, p.ConsumerID)
	})
}

// AdmittedPackage is a permission with what is to be known of its package.
type AdmittedPackage struct {
	PackageID int64
	Name      string
	Version   string // the constraint
}

// AdmittedPackages gives the permissions of a consumer for enabled packages.
func (s *Store) AdmittedPackages(ctx context.Context, consumerID int64) ([]AdmittedPackage, error) {
	// Read by hand: somebody may have a permission for each of tens of thousands of packages.
	rows, err := s.reader(ctx).Raw(`SELECT p.id, p.name, a.version FROM package_permissions a JOIN packages p ON p.id = a.package_id
		WHERE a.consumer_id = ? AND p.status = ?`, consumerID, StatusEnabled).Rows()
	if err != nil {
		return nil, fmt.Errorf("list the packages of a consumer: %w", err)
	}
	defer rows.Close()
	var list []AdmittedPackage
	for rows.Next() {
		var a AdmittedPackage
		if err := rows.Scan(&a.PackageID, &a.Name, &a.Version); err != nil {
			return nil, fmt.Errorf("list the packages of a consumer: %w", err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}
