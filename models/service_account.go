package models

import (
	"context"
	"time"
)

// ServiceAccount is a program that acts on its own. It logs in by token only. The team that owns it may manage it; the
// team's grants are not the account's, which has its own.
type ServiceAccount struct {
	ID             string
	OrganizationID string
	Name           string // unique in the organization
	TeamID         *string
	Disabled       bool
	CreatedAt      time.Time
}

// CreateServiceAccount adds a service account and sets its id and time. ErrExists where the name is taken in the
// organization.
func (s *Store) CreateServiceAccount(ctx context.Context, a *ServiceAccount) error {
	if err := checkName("a service account", a.Name, accountPattern); err != nil {
		return err
	}
	a.ID, a.CreatedAt = NewID(), s.Now()
	return s.commitIdentity(created(s.writer(ctx).Create(a)))
}

// ServiceAccountByName finds a service account of an organization.
func (s *Store) ServiceAccountByName(ctx context.Context, organizationID, name string) (*ServiceAccount, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	return take[ServiceAccount](s.reader(ctx).Where("organization_id = ? AND name = ?", organizationID, name))
}

// ServiceAccountByID finds a service account.
func (s *Store) ServiceAccountByID(ctx context.Context, id string) (*ServiceAccount, error) {
	return take[ServiceAccount](s.reader(ctx).Where("id = ?", id))
}

// ListServiceAccounts gives the service accounts of an organization, sorted by name.
func (s *Store) ListServiceAccounts(ctx context.Context, organizationID string) ([]ServiceAccount, error) {
	return all[ServiceAccount](s.reader(ctx).Where("organization_id = ?", organizationID).Order("name"))
}

// SetServiceAccountDisabled locks a service account out, or in again.
func (s *Store) SetServiceAccountDisabled(ctx context.Context, id string, disabled bool) error {
	return s.commitIdentity(found(s.writer(ctx).Model(&ServiceAccount{}).Where("id = ?", id).Update("disabled", disabled)))
}

// DeleteServiceAccount removes a service account with its tokens and grants.
func (s *Store) DeleteServiceAccount(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.deleteSubject(ctx, SubjectServiceAccount, id); err != nil {
			return err
		}
		return tx.commitIdentity(found(tx.writer(ctx).Where("id = ?", id).Delete(&ServiceAccount{})))
	})
}
