package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/internal/state"
)

// deployment is one write of a client that still counts: the newest for its place in an environment's tree of
// deployments. Content is the deployment as the client sent it, with what was nested in it, sealed.
//
// The tree is the writes applied in the order of their sequence. That is exact: a write replaces all that is below its
// place, so an older write for the same place can never show again and its row may be overwritten, while a newer write
// below it is applied after it.
type deployment struct {
	EnvironmentID string
	Root          string
	RootStage     string
	Path          string
	Sequence      int64
	Content       []byte
	UpdatedBy     string
	UpdatedAt     time.Time
}

func deploymentPlace(environmentID, root, rootStage, path string) string {
	return place("deployments", "content", environmentID+"/"+root+"/"+rootStage+"/"+path)
}

// maxPath bounds a path of nested deployments, in bytes.
const maxPath = 2000

// PutDeployment writes a deployment's state, as a client does about 40 times for a release. path holds the names from
// the root down, the root included; rootStage is the root's stage below which the path goes on, "" for the root itself.
// A root replaces everything below it. by is the name of who wrote.
//
// Progress is only written. Other writes add a row of history for each stage that has finished, and drop what a root
// covers, at once. ErrNotFound where there is no such environment.
func (s *Store) PutDeployment(ctx context.Context, environmentID, root string, path []string, rootStage string, d *state.Deployment, by string) error {
	return s.putDeploymentState(ctx, environmentID, root, path, rootStage, d, by, nil)
}

// PutDeploymentAudited is PutDeployment with a line of the audit log at once. Progress gets none.
func (s *Store) PutDeploymentAudited(ctx context.Context, environmentID, root string, path []string, rootStage string, d *state.Deployment, by string, line AuditEntry) error {
	return s.putDeploymentState(ctx, environmentID, root, path, rootStage, d, by, &line)
}

func (s *Store) putDeploymentState(ctx context.Context, environmentID, root string, path []string, rootStage string, d *state.Deployment, by string, line *AuditEntry) error {
	if len(path) == 0 || path[0] != root {
		return fmt.Errorf("path %q does not begin with the root deployment %q", path, root)
	}
	if len(path) == 1 {
		rootStage = ""
	} else if err := state.CheckRootStage(path, rootStage); err != nil {
		return err
	}
	name := state.FormatPath(path)
	if len(name) > maxPath {
		return fmt.Errorf("the deployment path is over %d bytes", maxPath)
	}
	d.Name = path[len(path)-1]
	content, err := s.sealJSON(d, deploymentPlace(environmentID, root, rootStage, name))
	if err != nil {
		return err
	}
	row := deployment{EnvironmentID: environmentID, Root: root, RootStage: rootStage, Path: name, Content: content, UpdatedBy: by, UpdatedAt: s.Now()}
	if Progress(d) {
		if s.joins != nil {
			return s.joins.put(ctx, s, row)
		}
		return s.putDeployment(ctx, row)
	}
	history := finishedStages(row, d)
	if s.dialect == PostgreSQL {
		return s.finishDeployment(ctx, row, history, line)
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.putDeployment(ctx, row); err != nil {
			return err
		}
		if rootStage == "" {
			if err := tx.dropCovered(ctx, row); err != nil {
				return err
			}
		}
		if err := tx.addHistory(ctx, history); err != nil || line == nil {
			return err
		}
		return tx.Audit(ctx, *line)
	})
}

// Progress says that a write only tells how far a client's step is: something is at work in the deployment. The writes
// between a step's first and last are not audited and make no history.
func Progress(d *state.Deployment) bool {
	for _, stage := range d.Stages {
		if stage.CodeOf().Running() {
			return true
		}
	}
	return false
}

// EnvironmentState puts together the state of an environment, in the shape of the client's document.
func (s *Store) EnvironmentState(ctx context.Context, environmentID string) (*state.Environment, error) {
	e, err := s.EnvironmentByID(ctx, environmentID)
	if err != nil {
		return nil, err
	}
	return s.StateOf(ctx, e)
}

// StateOf is EnvironmentState for an environment that was read already.
func (s *Store) StateOf(ctx context.Context, e *Environment) (*state.Environment, error) {
	out := &state.Environment{Name: e.Name, Inputs: e.Inputs, Deployments: map[string]*state.Deployment{}}
	var rows []deployment
	if err := s.reader(ctx).Table("deployments").Where("environment_id = ?", e.ID).Order("sequence").Find(&rows).Error; err != nil {
		return nil, err
	}
	return out, s.applyDeployments(out, rows)
}

// DeploymentState gives one root deployment with what is nested in it. ErrNotFound where there is none.
func (s *Store) DeploymentState(ctx context.Context, environmentID, root string) (*state.Deployment, error) {
	var rows []deployment
	if err := s.reader(ctx).Table("deployments").Where("environment_id = ? AND root = ?", environmentID, root).Order("sequence").Find(&rows).Error; err != nil {
		return nil, err
	}
	var e state.Environment
	if err := s.applyDeployments(&e, rows); err != nil {
		return nil, err
	}
	if d := e.Deployments[root]; d != nil {
		return d, nil
	}
	return nil, ErrNotFound
}

// DeploymentStates gives several root deployments at once, by name; those that there are none of are absent.
func (s *Store) DeploymentStates(ctx context.Context, environmentID string, roots []string) (map[string]*state.Deployment, error) {
	if len(roots) == 0 {
		return nil, nil
	}
	var rows []deployment
	if err := s.reader(ctx).Table("deployments").Where("environment_id = ? AND root IN ?", environmentID, roots).Order("sequence").Find(&rows).Error; err != nil {
		return nil, err
	}
	e := state.Environment{Deployments: map[string]*state.Deployment{}}
	return e.Deployments, s.applyDeployments(&e, rows)
}

func (s *Store) applyDeployments(e *state.Environment, rows []deployment) error {
	for _, r := range rows {
		b, err := s.unseal(r.Content, deploymentPlace(r.EnvironmentID, r.Root, r.RootStage, r.Path))
		if err != nil {
			return err
		}
		var d state.Deployment
		if err := json.Unmarshal(b, &d); err != nil {
			return fmt.Errorf("read the state of deployment %s: %w", r.Path, err)
		}
		if err := e.Put(strings.Split(r.Path, ":"), r.RootStage, &d); err != nil {
			return fmt.Errorf("read the state of deployment %s: %w", r.Path, err)
		}
	}
	return nil
}

// CreateDeployment adds a root deployment. ErrExists where the environment has one of that name, even one that only has
// nested deployments yet.
func (s *Store) CreateDeployment(ctx context.Context, environmentID string, d *state.Deployment, by string) error {
	return s.Tx(ctx, func(tx *Store) error {
		_, err := tx.DeploymentState(ctx, environmentID, d.Name)
		if err == nil {
			return ErrExists
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		return tx.PutDeployment(ctx, environmentID, d.Name, []string{d.Name}, "", d, by)
	})
}

// DeleteDeployment forgets a root deployment with all that is nested in it; its history stays. ErrNotFound where there
// is none.
func (s *Store) DeleteDeployment(ctx context.Context, environmentID, root string) error {
	return found(s.writer(ctx).Where("environment_id = ? AND root = ?", environmentID, root).Table("deployments").Delete(&deployment{}))
}
