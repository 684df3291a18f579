package activities

import (
	"context"
	"maps"
	"slices"

	"slipway/internal/state"
	"slipway/models"
)

// stateStore implements engine.StateStore over the deployments table. The engine tells every change; what nobody could
// see, because no script ran in between, is not written: changes are collected and written before a script begins, in
// the same transaction, and at the end.
type stateStore struct {
	store         *models.Store
	environmentID string
	by            string
	// stages are the stages of a root deployment that this execution works on. Another execution may be working on the
	// other one at the same time, so it is taken from the database when a root is written.
	stages  []string
	pending []change
}

type change struct {
	root, rootStage string
	path            []string
	deployment      *state.Deployment
}

// Environment implements engine.StateStore.
func (s *stateStore) Environment(ctx context.Context) (*state.Environment, error) {
	var e *state.Environment
	err := persist(ctx, func() (err error) { e, err = s.store.EnvironmentState(ctx, s.environmentID); return err })
	return e, err
}

// SaveDeployment implements engine.StateStore.
func (s *stateStore) SaveDeployment(_ context.Context, root string, path []string, rootStage string, d *state.Deployment) error {
	c := change{root: root, rootStage: rootStage, path: slices.Clone(path), deployment: d.Clone()}
	s.pending = slices.DeleteFunc(s.pending, func(p change) bool {
		// A root holds everything below it, and a newer write of the same place is the one that counts.
		return p.root == root && (len(path) == 1 || (p.rootStage == rootStage && slices.Equal(p.path, path)))
	})
	s.pending = append(s.pending, c)
	return nil
}

// writes are what is pending, with the stages of the roots that are not this execution's as the database has them now.
func (s *stateStore) writes(ctx context.Context, store *models.Store) ([]models.DeploymentWrite, error) {
	var roots []string
	for _, c := range s.pending {
		if len(c.path) == 1 {
			roots = append(roots, c.root)
		}
	}
	now, err := store.DeploymentStates(ctx, s.environmentID, roots)
	if err != nil {
		return nil, err
	}
	list := make([]models.DeploymentWrite, len(s.pending))
	for i, c := range s.pending {
		d := c.deployment
		if there := now[c.root]; there != nil && len(c.path) == 1 {
			d = d.Clone()
			for name, stage := range there.Stages {
				if slices.Contains(s.stages, name) {
					continue
				}
				if d.Stages == nil {
					d.Stages = maps.Clone(there.Stages)
				}
				d.Stages[name] = stage
			}
		}
		list[i] = models.DeploymentWrite{Root: c.root, RootStage: c.rootStage, Path: c.path, Deployment: d}
	}
	return list, nil
}

// flushIn writes what is pending in the caller's transaction; began forgets it once that has committed, since a
// transaction may be tried again.
func (s *stateStore) flushIn(ctx context.Context, tx *models.Store) error {
	list, err := s.writes(ctx, tx)
	if err != nil {
		return err
	}
	for _, w := range list {
		if err := tx.PutDeployment(ctx, s.environmentID, w.Root, w.Path, w.RootStage, w.Deployment, s.by); err != nil {
			return err
		}
	}
	return nil
}

func (s *stateStore) began() { s.pending = nil }
