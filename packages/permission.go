package packages

import (
	"context"
	"errors"

	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// PermissionInput is what a caller says of a permission; what is nil stays as it is.
type PermissionInput struct {
	ConsumerID, PackageID *int64
	// Version is a Composer constraint, such as 5.* or ^1.2 || ^2.0.
	Version *string
}

func (in PermissionInput) check() error {
	var f fields
	if in.Version != nil {
		if _, err := composer.ParseConstraint(*in.Version); err != nil {
			f.add("version", err.Error())
		}
	}
	return f.err()
}

// belong checks that consumer and package are there and of one organization. What is another organization's does not
// exist.
func belong(ctx context.Context, tx *models.Store, organizationID string, p *models.PackagePermission) error {
	var f fields
	c, err := tx.ConsumerByID(ctx, p.ConsumerID)
	if errors.Is(err, models.ErrNotFound) || err == nil && c.OrganizationID != organizationID {
		f.add("consumer_id", "there is no such consumer")
	} else if err != nil {
		return err
	}
	q, err := tx.PackageByID(ctx, p.PackageID)
	if errors.Is(err, models.ErrNotFound) || err == nil && q.OrganizationID != organizationID {
		f.add("package_id", "there is no such package")
	} else if err != nil {
		return err
	}
	return f.err()
}

// CreatePermission admits a consumer of an organization to versions of a package of the same one.
func (s *Service) CreatePermission(ctx context.Context, organizationID string, in PermissionInput, by policies.Subject) (*models.PackagePermission, error) {
	var f fields
	if in.ConsumerID == nil {
		f.add("consumer_id", "is required")
	}
	if in.PackageID == nil {
		f.add("package_id", "is required")
	}
	if in.Version == nil {
		f.add("version", "is required")
	}
	var bad *problem.Error
	if err := in.check(); errors.As(err, &bad) {
		f = append(f, bad.Fields...)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	p := &models.PackagePermission{ConsumerID: *in.ConsumerID, PackageID: *in.PackageID, Version: *in.Version}
	return p, s.tx(ctx, by, "permission:create", func(tx *models.Store) (audited, error) {
		if err := belong(ctx, tx, organizationID, p); err != nil {
			return audited{}, err
		}
		err := tx.CreatePackagePermission(ctx, p)
		return auditPermission(p), err
	})
}

// UpdatePermission changes a permission within its organization.
func (s *Service) UpdatePermission(ctx context.Context, organizationID string, id int64, in PermissionInput, by policies.Subject) (*models.PackagePermission, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var p *models.PackagePermission
	err := s.tx(ctx, by, "permission:update", func(tx *models.Store) (audited, error) {
		var err error
		if p, err = tx.PackagePermissionByID(ctx, id); err != nil {
			return audited{}, err
		}
		p.ConsumerID, p.PackageID = value(in.ConsumerID, p.ConsumerID), value(in.PackageID, p.PackageID)
		p.Version = value(in.Version, p.Version)
		if err := belong(ctx, tx, organizationID, p); err != nil {
			return audited{}, err
		}
		return auditPermission(p), tx.UpdatePackagePermission(ctx, p)
	})
	return p, err
}

// DeletePermission takes a permission away. Downloads that are running go on to their end, the next one is refused.
func (s *Service) DeletePermission(ctx context.Context, id int64, by policies.Subject) error {
	return s.tx(ctx, by, "permission:delete", func(tx *models.Store) (audited, error) {
		p, err := tx.PackagePermissionByID(ctx, id)
		if err != nil {
			return audited{}, err
		}
		return auditPermission(p), tx.DeletePackagePermission(ctx, p)
	})
}

func auditPermission(p *models.PackagePermission) audited {
	return audited{kind: "permission", id: p.ID, name: p.Version, detail: map[string]any{"consumer": p.ConsumerID, "package": p.PackageID}}
}
