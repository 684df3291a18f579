package state

import (
	"context"
	"errors"
	"sync"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// The path parameters of the surface, from the outside in.
type (
	projectPath struct {
		Project string `path:"project" validate:"max=200"`
	}
	environmentPath struct {
		projectPath
		Environment string `path:"environment" validate:"max=300"`
	}
)

// onProject resolves {project}. All names of this surface live in one project, and so do their permissions.
func (s *surface) onProject(r *api.Request) (api.Resource, error) {
	p, err := s.Scopes.Project(r.HTTP.Context(), r.Param("project"))
	if errors.Is(err, models.ErrNotFound) {
		return api.MissingResource("project"), nil
	}
	if err != nil {
		return api.Resource{}, err
	}
	return api.Resource{Resource: policies.Resource{Kind: "project", Scopes: p.Scopes}}, nil
}

// onExecution is onProject for the rows that only a run's own token may use: the policy compares the execution.
func (s *surface) onExecution(param string) api.Resolver {
	return func(r *api.Request) (api.Resource, error) {
		res, err := s.onProject(r)
		res.Kind, res.ID = "execution", r.Param(param)
		return res, err
	}
}

// in makes the permission for an action in the row's project.
func (s *surface) in(action string) api.Permission {
	return api.Permission{Action: action, On: s.onProject}
}

// projectID is the project that the row's resolver found.
func projectID(ctx context.Context) string { return api.From(ctx).Resource.Scopes[0] }

// may asks the policy about another action on the same resource, for rows whose answer depends on it.
func (s *surface) may(ctx context.Context, action string) (bool, error) {
	r := api.From(ctx)
	return s.Policy.Allow(ctx, r.Subject, action, r.Resource.Resource)
}

// visible says in which projects the caller may do action, for lists over all of them.
func (s *surface) visible(ctx context.Context, action string) (*policies.Visible, error) {
	v, err := s.Policy.Visible(ctx, api.SubjectOf(ctx), action)
	return &v, err
}

// environment finds the environment of a path.
func (s *surface) environment(ctx context.Context, p environmentPath) (*models.Environment, error) {
	e, err := s.Store.EnvironmentByName(ctx, projectID(ctx), p.Environment)
	return e, missing(err, "the project has no environment '%s'", p.Environment)
}

// environmentIDs remembers the ids of environments by project and name, for what is asked often. An id never changes its
// name, and nothing is found or written in one that was deleted.
type environmentIDs struct {
	mu   sync.RWMutex
	byID map[[2]string]string
}

// maxEnvironmentIDs bounds what is remembered.
const maxEnvironmentIDs = 10_000

// withEnvironment calls f with the environment's id, and, where f found nothing with the one that was remembered, once
// more with the one that has the name now.
func (s *surface) withEnvironment(ctx context.Context, p environmentPath, f func(id string) error) error {
	c, key := &s.environments, [2]string{projectID(ctx), p.Environment}
	c.mu.RLock()
	id, known := c.byID[key]
	c.mu.RUnlock()
	if known {
		if err := f(id); !errors.Is(err, models.ErrNotFound) {
			return err
		}
	}
	e, err := s.environment(ctx, p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.byID == nil || len(c.byID) >= maxEnvironmentIDs {
		c.byID = map[[2]string]string{}
	}
	c.byID[key] = e.ID
	c.mu.Unlock()
	return f(e.ID)
}

// missing gives ErrNotFound a text that says what is missing; the caller may read the project, so it may know.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, models.ErrNotFound) {
		return problem.Wrap(problem.NotFound, err, format, args...)
	}
	return err
}

// taken gives ErrExists the text that clients know.
func taken(err error) error {
	if errors.Is(err, models.ErrExists) {
		return problem.Wrap(problem.Exists, err, "Resource already exists")
	}
	return err
}

// busy turns the refusal to delete something that runs into a conflict with the reason.
func busy(err error) error {
	var active *models.ActiveError
	if errors.As(err, &active) {
		return problem.Wrap(problem.Conflict, err, "%s", active.Error())
	}
	return err
}

// bad is an Invalid problem with the text alone, for messages that clients print.
func bad(err error) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(problem.Invalid, err, "%s", err.Error())
}

// change runs a write and its audit line in one transaction. fn may still add to the line what only it finds out, such
// as the id of what it makes.
func (s *surface) change(ctx context.Context, e *models.AuditEntry, fn func(tx *models.Store) error) error {
	byCaller(ctx, e)
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Audit(ctx, *e)
	})
}

// byCaller fills in who does it, and to which project it is done.
func byCaller(ctx context.Context, e *models.AuditEntry) {
	by := api.SubjectOf(ctx)
	e.ActorKind, e.ActorID, e.ActorName, e.Result = by.Kind, by.ID, by.Name, "ok"
	if r := api.From(ctx); e.ProjectID == "" && r != nil && len(r.Resource.Scopes) > 0 {
		e.ProjectID = r.Resource.Scopes[0]
	}
}

// create is change for a write that makes a thing: id is where its id stands afterwards.
func (s *surface) create(ctx context.Context, e *models.AuditEntry, id *string, fn func(tx *models.Store) error) error {
	return s.change(ctx, e, func(tx *models.Store) error {
		if err := fn(tx); err != nil {
			return err
		}
		e.ResourceID = *id
		return nil
	})
}

// audit names what a change was done to.
func audit(action, kind, id, name string) *models.AuditEntry {
	return &models.AuditEntry{Action: action, ResourceKind: kind, ResourceID: id, ResourceName: name}
}
