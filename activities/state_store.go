package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

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
	// read is the environment as it was at the time at, with the root deployments in known, before the changes in since: the
	// steps of a build follow each other quickly, and to read a deployment is to decrypt it.
	read  *state.Environment
	known map[string]bool // by name; the name "" stands for all
	at    time.Time
	since []change
}

// freshFor is how long an environment that was read is taken for what it is now. Whoever reads it anew may be as late as
// that by the time the next script runs.
const freshFor = time.Second

type change struct {
	root, rootStage string
	path            []string
	deployment      *state.Deployment
}

// Environment implements engine.StateStore.
func (s *stateStore) Environment(ctx context.Context) (*state.Environment, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return &state.Environment{Name: s.read.Name, Inputs: maps.Clone(s.read.Inputs)}, nil
}

// refresh reads the environment anew where that was too long ago.
func (s *stateStore) refresh(ctx context.Context) error {
	if s.read != nil && time.Since(s.at) <= freshFor {
		return nil
	}
	var e *models.Environment
	at := time.Now()
	if err := persist(ctx, func() (err error) { e, err = s.store.EnvironmentByID(ctx, s.environmentID); return err }); err != nil {
		return err
	}
	s.read = &state.Environment{Name: e.Name, Inputs: e.Inputs, Deployments: map[string]*state.Deployment{}}
	s.known, s.at, s.since = map[string]bool{}, at, slices.Clone(s.pending)
	return nil
}

// Deployments implements engine.StateStore. What this execution has changed is in them, written or not.
func (s *stateStore) Deployments(ctx context.Context, roots ...string) (map[string]*state.Deployment, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	if err := s.readDeployments(ctx, roots); err != nil {
		return nil, err
	}
	wanted := func(root string) bool { return len(roots) == 0 || slices.Contains(roots, root) }
	e := &state.Environment{Deployments: make(map[string]*state.Deployment, len(roots))}
	for name, d := range s.read.Deployments {
		if wanted(name) {
			e.Deployments[name] = d.Clone()
		}
	}
	for _, c := range s.since {
		if !wanted(c.root) {
			continue
		}
		d := c.deployment.Clone()
		if len(c.path) == 1 {
			s.keepOthers(d, s.read.Deployments[c.root])
		}
		if err := e.Put(c.path, c.rootStage, d); err != nil {
			return nil, fmt.Errorf("put the state together: %w", err)
		}
	}
	return e.Deployments, nil
}

// readDeployments reads those of these root deployments, or of all, that are not known.
func (s *stateStore) readDeployments(ctx context.Context, roots []string) error {
	var missing []string
	for _, name := range roots {
		if !s.known[name] {
			missing = append(missing, name)
		}
	}
	if s.known[""] || len(roots) > 0 && len(missing) == 0 {
		return nil
	}
	var found map[string]*state.Deployment
	if err := persist(ctx, func() (err error) {
		if len(roots) > 0 {
			found, err = s.store.DeploymentStates(ctx, s.environmentID, missing)
			return err
		}
		all, err := s.store.EnvironmentState(ctx, s.environmentID)
		if err == nil {
			found = all.Deployments
		}
		return err
	}); err != nil {
		return err
	}
	for name, d := range found {
		if !s.known[name] { // what was read stays as it was then
			s.read.Deployments[name] = d
		}
	}
	for _, name := range missing {
		s.known[name] = true
	}
	s.known[""] = s.known[""] || len(roots) == 0
	return nil
}

// keepOthers adds to a root what is there of the stages that are not this execution's.
func (s *stateStore) keepOthers(d, there *state.Deployment) {
	if there == nil {
		return
	}
	for name, stage := range there.Stages {
		if slices.Contains(s.stages, name) {
			continue
		}
		if d.Stages == nil {
			d.Stages = map[string]*state.Stage{}
		}
		d.Stages[name] = stage.Clone()
	}
}

// SaveDeployment implements engine.StateStore.
func (s *stateStore) SaveDeployment(_ context.Context, root string, path []string, rootStage string, d *state.Deployment) error {
	c := change{root: root, rootStage: rootStage, path: slices.Clone(path), deployment: d.Clone()}
	s.pending, s.since = c.after(s.pending), c.after(s.since)
	return nil
}

// after adds a change to others.
func (c change) after(list []change) []change {
	list = slices.DeleteFunc(list, func(p change) bool {
		// A root holds everything below it, and a newer write of the same place is the one that counts.
		return p.root == c.root && (len(c.path) == 1 || (p.rootStage == c.rootStage && slices.Equal(p.path, c.path)))
	})
	return append(list, c)
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
		d := c.deployment.Clone()
		if len(c.path) == 1 {
			s.keepOthers(d, now[c.root])
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
