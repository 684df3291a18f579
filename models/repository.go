package models

import (
	"context"
	"time"
)

// Repository is a code repository that belongs to a project.
type Repository struct {
	ID               string `gorm:"primaryKey"`
	ProjectID        string
	Name             string
	Repo             string
	Branch           string
	SealedPrivateKey []byte `gorm:"column:private_key"`
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

func (s *Store) sealRepository(r *Repository, privateKey *string) error {
	if privateKey == nil {
		return nil
	}
	var err error
	r.SealedPrivateKey, err = s.seal([]byte(*privateKey), place("repositories", "private_key", r.ID))
	return err
}

// CreateRepository adds a repository to a project. ErrExists where it has one of that name.
func (s *Store) CreateRepository(ctx context.Context, r *Repository, privateKey *string) error {
	r.ID = NewID()
	r.CreatedAt, r.UpdatedAt = s.Now(), s.Now()
	if err := s.sealRepository(r, privateKey); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.shareRow(ctx, "projects", r.ProjectID); err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(r))
	})
}

// RepositoryByName finds a repository of a project.
func (s *Store) RepositoryByName(ctx context.Context, projectID, name string) (*Repository, error) {
	var r Repository
	err := one(s.reader(ctx).Where("project_id = ? AND name = ?", projectID, name).Take(&r))
	return &r, err
}

// ListRepositories lists a project's repositories by name.
func (s *Store) ListRepositories(ctx context.Context, projectID string) ([]Repository, error) {
	var list []Repository
	err := s.reader(ctx).Where("project_id = ?", projectID).Order("name").Find(&list).Error
	return list, err
}

// UpdateRepository writes what may change of a repository; a nil key leaves the one that is there.
func (s *Store) UpdateRepository(ctx context.Context, r *Repository, privateKey *string) error {
	r.UpdatedAt = s.Now()
	if err := s.sealRepository(r, privateKey); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Repository{}).Where("id = ?", r.ID).Select("repo", "branch", "private_key", "updated_at").Updates(r))
}

// DeleteRepository removes a repository from a project.
func (s *Store) DeleteRepository(ctx context.Context, id string) error {
	return found(s.writer(ctx).Where("id = ?", id).Delete(&Repository{}))
}
