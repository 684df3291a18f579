package packages

import (
	"context"

	"slipway/internal/composer"
	"slipway/models"
	"slipway/policies"
)

// PackageInput is what a caller says of a package. What is nil stays as it is, or gets its default: no description,
// enabled.
type PackageInput struct {
	Name, Description *string
	Status            *int
}

func (in PackageInput) check() error {
	var f fields
	if in.Name != nil {
		if err := composer.CheckPackageName(*in.Name); err != nil {
			f.add("name", err.Error())
		}
	}
	f.text("description", in.Description, maxText)
	f.status(in.Status)
	return f.err()
}

// CreatePackage adds a package to an organization.
func (s *Service) CreatePackage(ctx context.Context, organizationID string, in PackageInput, by policies.Subject) (*models.Package, error) {
	if in.Name == nil {
		return nil, badField("name", "is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	p := &models.Package{OrganizationID: organizationID, Name: *in.Name, Description: value(in.Description, ""), Status: value(in.Status, models.StatusEnabled)}
	err := s.tx(ctx, by, "package:create", func(tx *models.Store) (audited, error) {
		err := tx.CreatePackage(ctx, p)
		return auditPackage(p), err
	})
	return p, taken(err, "name", "is the name of another package already")
}

// UpdatePackage changes a package. Its name stays once a version has an archive, which says the name too.
func (s *Service) UpdatePackage(ctx context.Context, id int64, in PackageInput, by policies.Subject) (*models.Package, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var p *models.Package
	err := s.tx(ctx, by, "package:update", func(tx *models.Store) (audited, error) {
		var err error
		if p, err = tx.PackageByID(ctx, id); err != nil {
			return audited{}, err
		}
		if in.Name != nil && *in.Name != p.Name {
			has, err := tx.PackageHasArchives(ctx, id)
			if err != nil {
				return audited{}, err
			}
			if has {
				return audited{}, badField("name", "cannot be changed: there are archives whose composer.json says "+p.Name)
			}
			p.Name = *in.Name
		}
		p.Description, p.Status = value(in.Description, p.Description), value(in.Status, p.Status)
		return auditPackage(p), tx.UpdatePackage(ctx, p)
	})
	return p, taken(err, "name", "is the name of another package already")
}

// DeletePackage removes a package with everything that belongs to it.
func (s *Service) DeletePackage(ctx context.Context, id int64, by policies.Subject) error {
	return s.tx(ctx, by, "package:delete", func(tx *models.Store) (audited, error) {
		p, err := tx.PackageByID(ctx, id)
		if err != nil {
			return audited{}, err
		}
		return auditPackage(p), tx.DeletePackage(ctx, id)
	})
}

func auditPackage(p *models.Package) audited {
	return audited{kind: "package", id: p.ID, name: p.Name, detail: map[string]any{"status": p.Status, "organization": p.OrganizationID}}
}
