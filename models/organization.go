package models

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/problem"
)

// Kinds of organizations. A tenant is a root of the tree; groups and orgs hang below.
const (
	OrganizationTenant = "tenant"
	OrganizationGroup  = "group"
	OrganizationOrg    = "org"
)

// DefaultOrganization is the canonical of the organization that the first migration makes. The projects of the state
// surface are in it.
const DefaultOrganization = "default"

// Organization is one node of the tree of tenants. Grants on it are inherited by everything below.
type Organization struct {
	ID        string
	Canonical string // unique in the installation, never changes
	Name      string
	ParentID  *string // nil for a root
	Kind      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CreateOrganization adds an organization and sets its id and times. ErrExists where the canonical is taken, ErrNotFound
// where the parent does not exist.
func (s *Store) CreateOrganization(ctx context.Context, o *Organization) error {
	if len(o.Canonical) < 3 || len(o.Canonical) > maxName || !organizationPattern.MatchString(o.Canonical) {
		return problem.BadField("canonical", "expected 3 to %d characters that match %s", maxName, organizationPattern)
	}
	if o.Name == "" {
		o.Name = o.Canonical
	}
	if err := checkText("name", o.Name, 200); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.lockOrganizations(ctx); err != nil {
			return err
		}
		if err := tx.checkParent(ctx, o.Kind, o.ParentID); err != nil {
			return err
		}
		o.ID = NewID()
		o.CreatedAt, o.UpdatedAt = tx.Now(), tx.Now()
		return tx.commitIdentity(created(tx.writer(ctx).Create(o)))
	})
}

// checkParent keeps the shape of the tree: tenants are roots, groups hang below tenants and groups, orgs anywhere.
func (s *Store) checkParent(ctx context.Context, kind string, parentID *string) error {
	if kind != OrganizationTenant && kind != OrganizationGroup && kind != OrganizationOrg {
		return problem.BadField("kind", "expected tenant, group or org")
	}
	if parentID == nil {
		if kind == OrganizationGroup {
			return problem.BadField("parent", "a group needs a parent")
		}
		return nil
	}
	if kind == OrganizationTenant {
		return problem.BadField("parent", "a tenant is a root of the tree and has no parent")
	}
	parent, err := s.OrganizationByID(ctx, *parentID)
	if err != nil {
		return fmt.Errorf("parent organization: %w", err)
	}
	if kind == OrganizationGroup && parent.Kind == OrganizationOrg {
		return problem.BadField("parent", "a group cannot hang below an org")
	}
	return nil
}

// OrganizationByID finds an organization.
func (s *Store) OrganizationByID(ctx context.Context, id string) (*Organization, error) {
	return s.organization(ctx, "id = ?", id)
}

// OrganizationByCanonical finds an organization by its canonical name.
func (s *Store) OrganizationByCanonical(ctx context.Context, canonical string) (*Organization, error) {
	return s.organization(ctx, "canonical = ?", canonical)
}

// InstallationID names this installation, which is its database: the id of the organization that the first migration made.
func (s *Store) InstallationID(ctx context.Context) (string, error) {
	o, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
	if err != nil {
		return "", err
	}
	return o.ID, nil
}

func (s *Store) organization(ctx context.Context, where, key string) (*Organization, error) {
	if !storable(key) {
		return nil, ErrNotFound
	}
	return take[Organization](s.reader(ctx).Where(where, key))
}

// ListOrganizations gives every organization, sorted by canonical.
func (s *Store) ListOrganizations(ctx context.Context) ([]Organization, error) {
	return all[Organization](s.reader(ctx).Order("canonical"))
}

// MoveOrganization hangs an organization, with all that is below it, under another parent; nil makes it a root. It is
// refused where the tree would become a ring.
func (s *Store) MoveOrganization(ctx context.Context, id string, parentID *string) error {
	return s.Tx(ctx, func(tx *Store) error {
		// Two moves at once could each be fine and make a ring together.
		if err := tx.lockOrganizations(ctx); err != nil {
			return err
		}
		o, err := tx.OrganizationByID(ctx, id)
		if err != nil {
			return err
		}
		if err := tx.checkParent(ctx, o.Kind, parentID); err != nil {
			return err
		}
		if parentID != nil {
			path, err := tx.OrganizationPath(ctx, *parentID)
			if err != nil {
				return err
			}
			for _, above := range path {
				if above == id {
					return problem.BadField("parent", "an organization cannot be moved below itself")
				}
			}
		}
		q := tx.writer(ctx).Model(&Organization{}).Where("id = ?", id).Updates(map[string]any{"parent_id": parentID, "updated_at": tx.Now()})
		return tx.commitIdentity(found(q))
	})
}
