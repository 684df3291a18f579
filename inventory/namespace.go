package inventory

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// NewNamespace is what a namespace is made from.
type NewNamespace struct {
	Name        string
	Description string
	OrgURL      string
	Logo        string
	// Project owns the namespace. Nil: it belongs to the default organization.
	Project *models.Project
}

// AddNamespace makes a namespace. models.ErrExists if the name is taken.
func (s *Service) AddNamespace(ctx context.Context, n NewNamespace, by policies.Subject) (*models.Namespace, error) {
	if n.Name == "" {
		return nil, problem.New(problem.Invalid, "Missing name")
	}
	if err := release.ValidateNamespace(n.Name); err != nil {
		return nil, invalid(err)
	}
	ns := &models.Namespace{Name: n.Name, Description: n.Description, OrgURL: n.OrgURL, Logo: n.Logo, CreatedBy: nameOf(by)}
	if n.Project != nil {
		ns.ProjectID = &n.Project.ID
	}
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.CreateNamespace(ctx, ns); err != nil {
			return err
		}
		return audit(ctx, tx, by, "namespace:create", "namespace", ns.Name, ns, nil)
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// UpdateNamespace replaces description, URL, logo and visibility, and the project where one is given.
func (s *Service) UpdateNamespace(ctx context.Context, n *models.Namespace, by policies.Subject) error {
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.UpdateNamespace(ctx, n); err != nil {
			return err
		}
		return audit(ctx, tx, by, "namespace:update", "namespace", n.Name, n, nil)
	})
}

// DeleteNamespace removes a namespace with everything in it. Sweep removes the package files a while later.
func (s *Service) DeleteNamespace(ctx context.Context, name string, by policies.Subject) error {
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		n, err := tx.NamespaceByName(ctx, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteNamespace(ctx, n.ID); err != nil {
			return err
		}
		return audit(ctx, tx, by, "namespace:delete", "namespace", n.Name, n, nil)
	})
}

// ProjectNamed gives the project that a namespace of this name would belong to, or nil if there is none.
func (s *Service) ProjectNamed(ctx context.Context, name string) (*models.Project, error) {
	p, err := s.Store.ProjectByName(ctx, name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	return p, err
}
