package models

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Environment is a place of a project that releases are deployed to.
type Environment struct {
	ID        string `gorm:"primaryKey"`
	ProjectID string
	Name      string
	// Position orders the environments of a project, from 0.
	Position    int
	Description string
	Metadata    map[string]string `gorm:"serializer:json"`
	// Inputs are what every deployment in the environment gets unless it says otherwise. They may be secret: the store
	// seals them.
	Inputs       map[string]any `gorm:"-"`
	SealedInputs []byte         `gorm:"column:inputs"`
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

func (s *Store) sealEnvironment(e *Environment) error {
	e.SealedInputs = nil
	if e.Metadata == nil {
		e.Metadata = map[string]string{} // nil would be stored as NULL
	}
	if len(e.Inputs) == 0 {
		return nil
	}
	var err error
	e.SealedInputs, err = s.sealJSON(e.Inputs, place("environments", "inputs", e.ID))
	return err
}

func (s *Store) unsealEnvironment(e *Environment) error {
	return s.unsealJSON(e.SealedInputs, place("environments", "inputs", e.ID), &e.Inputs)
}

// CreateEnvironment adds an environment behind the others of its project. ErrExists where the name is taken.
func (s *Store) CreateEnvironment(ctx context.Context, e *Environment) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.shareRow(ctx, "projects", e.ProjectID); err != nil {
			return err
		}
		e.ID = NewID()
		e.CreatedAt, e.UpdatedAt = tx.Now(), tx.Now()
		if err := tx.sealEnvironment(e); err != nil {
			return err
		}
		var last *int
		if err := tx.reader(ctx).Model(&Environment{}).Where("project_id = ?", e.ProjectID).Select("max(position)").Scan(&last).Error; err != nil {
			return err
		}
		e.Position = 0
		if last != nil {
			e.Position = *last + 1
		}
		return created(tx.writer(ctx).Create(e))
	})
}

// EnvironmentByName finds an environment of a project.
func (s *Store) EnvironmentByName(ctx context.Context, projectID, name string) (*Environment, error) {
	return s.environment(s.reader(ctx).Where("project_id = ? AND name = ?", projectID, name))
}

// EnvironmentByID finds an environment.
func (s *Store) EnvironmentByID(ctx context.Context, id string) (*Environment, error) {
	return s.environment(s.reader(ctx).Where("id = ?", id))
}

func (s *Store) environment(q *gorm.DB) (*Environment, error) {
	var e Environment
	if err := one(q.Take(&e)); err != nil {
		return nil, err
	}
	return &e, s.unsealEnvironment(&e)
}

// ListEnvironments gives a project's environments in their order.
func (s *Store) ListEnvironments(ctx context.Context, projectID string) ([]Environment, error) {
	var list []Environment
	if err := s.reader(ctx).Where("project_id = ?", projectID).Order("position, name").Find(&list).Error; err != nil {
		return nil, err
	}
	for i := range list {
		if err := s.unsealEnvironment(&list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// UpdateEnvironment writes what may change of an environment: description, metadata and inputs.
func (s *Store) UpdateEnvironment(ctx context.Context, e *Environment) error {
	e.UpdatedAt = s.Now()
	if err := s.sealEnvironment(e); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(e).Where("id = ?", e.ID).Select("description", "metadata", "inputs", "updated_at").Updates(e))
}

// OrderEnvironments gives the named environments the order of the list; those not named follow in the order that they
// had. ErrNotFound where the project has no such environment.
func (s *Store) OrderEnvironments(ctx context.Context, projectID string, names []string) error {
	return s.Tx(ctx, func(tx *Store) error {
		list, err := tx.ListEnvironments(ctx, projectID)
		if err != nil {
			return err
		}
		at := map[string]int{}
		for i, n := range names {
			at[n] = i
		}
		if len(at) != len(names) {
			return ErrConflict
		}
		known, rest := 0, len(names)
		for _, e := range list {
			p, ok := at[e.Name]
			if ok {
				known++
			} else {
				p, rest = rest, rest+1
			}
			if p == e.Position {
				continue
			}
			if err := tx.writer(ctx).Model(&Environment{}).Where("id = ?", e.ID).Updates(map[string]any{"position": p, "updated_at": tx.Now()}).Error; err != nil {
				return err
			}
		}
		if known != len(names) {
			return ErrNotFound
		}
		return nil
	})
}

// DeleteEnvironment removes an environment with its deployments, builds and deployment jobs. It returns an ActiveError
// while an execution in it has not ended.
func (s *Store) DeleteEnvironment(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		// First, so that nobody adds to it meanwhile.
		if err := tx.takeRow(ctx, "environments", id); err != nil {
			return err
		}
		if err := tx.closeSubjects(ctx, "SELECT id, -1 FROM builds WHERE environment_id = ? UNION ALL SELECT id, -1 FROM deployment_jobs WHERE environment_id = ?", id, id); err != nil {
			return err
		}
		if err := tx.refuseActive(ctx, "environment_id = ?", id); err != nil {
			return err
		}
		for _, table := range []string{"deployments", "deployment_history", "builds", "deployment_jobs"} {
			if err := tx.writer(ctx).Exec("DELETE FROM "+table+" WHERE environment_id = ?", id).Error; err != nil {
				return err
			}
		}
		if err := tx.removeSchedules(ctx, "environment_id = ?", id).Error; err != nil {
			return err
		}
		return found(tx.writer(ctx).Where("id = ?", id).Delete(&Environment{}))
	})
}
