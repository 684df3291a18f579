package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"

	"slipway/internal/engine"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// Policy decides what an execution may do in the inventory; *policies.Engine does.
type Policy interface {
	Allow(ctx context.Context, s policies.Subject, action string, r policies.Resource) (bool, error)
}

// ForExecution is the inventory as one execution sees it: builds and deployments read and push releases with the rights
// of a subject, never with the server's own. It is what the engine runs against.
type ForExecution struct {
	*Service
	Policy Policy
	// Subject acts. See ProjectSubject.
	Subject policies.Subject
	// ExecutionID tells a run that was cut off and is repeated from somebody else with the same release.
	ExecutionID string
}

var (
	_ engine.Inventory = ForExecution{}
	_ engine.Replacer  = ForExecution{}
)

// ProjectSubject is the subject of executions of a project: it owns that project and has nothing else. Grants of the
// build's service account can be added.
func ProjectSubject(p *models.Project, grants ...policies.Grant) policies.Subject {
	return policies.Subject{Kind: policies.KindServiceAccount, ID: p.ID, Name: "project " + p.Name,
		Grants: append([]policies.Grant{{Scope: p.ID, Role: policies.RoleOwner}}, grants...)}.Prepare()
}

// Release gives the metadata of a release; the id may be a version query or a tag. What the subject may not read is
// answered like what is not there: engine.ErrNotFound.
func (e ForExecution) Release(ctx context.Context, id release.ID) (*release.Metadata, error) {
	if err := e.mayRead(ctx, id.Project, "release:read"); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	m, err := e.Service.Release(ctx, id)
	return m, engineError(err)
}

// NextVersion gives the version to release next under a prefix.
func (e ForExecution) NextVersion(ctx context.Context, namespace, name, prefix string) (string, error) {
	err := e.mayRead(ctx, namespace, "release:read")
	if errors.Is(err, engine.ErrNotFound) {
		return prefix + "0", nil
	}
	if err != nil {
		return "", err
	}
	return e.Service.NextVersion(ctx, namespace, name, prefix)
}

// Package opens the archive of a release and counts the download.
func (e ForExecution) Package(ctx context.Context, id release.ID) (io.ReadCloser, error) {
	if err := e.mayRead(ctx, id.Project, "release:download"); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	p, err := e.Download(ctx, id.Project, id.Name, id.Query())
	if err != nil {
		return nil, engineError(err)
	}
	e.CountDownload(ctx, p.Found)
	return p, nil
}

// Register adds a release to the namespace that its project names. If this execution has registered it before, the new
// metadata takes the place of the old until there is a package, and the answer is nil.
func (e ForExecution) Register(ctx context.Context, m *release.Metadata) error {
	if err := e.mayWrite(ctx, m.Project, "release:register"); err != nil {
		return err
	}
	_, err := e.register(ctx, m.Project, m, e.Subject, e.ExecutionID)
	if !errors.Is(err, models.ErrExists) {
		return err
	}
	f, findErr := e.Find(ctx, m.Project, m.Name, m.Version)
	if findErr != nil {
		return engineError(findErr)
	}
	if e.ExecutionID == "" || f.Release.ExecutionID != e.ExecutionID {
		return fmt.Errorf("%s: %w", m.ID(), engine.ErrExists)
	}
	n, err := newRelease(m, e.Subject, e.ExecutionID)
	if err != nil {
		return err
	}
	err = e.Store.Tx(ctx, func(tx *models.Store) error { return tx.ReplaceRelease(ctx, f.Release, n) })
	if errors.Is(err, models.ErrConflict) {
		return nil // its package is there already, and that settles it
	}
	return err
}

// Upload adds the package of a registered release. If this execution has uploaded it before, the answer is nil.
func (e ForExecution) Upload(ctx context.Context, id release.ID, open func() (io.ReadCloser, error)) error {
	if err := e.mayWrite(ctx, id.Project, "release:upload"); err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	err = e.Service.Upload(ctx, id, r, e.Subject)
	if !errors.Is(err, models.ErrExists) {
		return engineError(err)
	}
	f, findErr := e.Find(ctx, id.Project, id.Name, id.Version)
	if findErr != nil {
		return engineError(findErr)
	}
	if e.ExecutionID != "" && f.Release.ExecutionID == e.ExecutionID && f.Release.UploadedBy == nameOf(e.Subject) {
		return nil
	}
	return fmt.Errorf("%s: %w", id, engine.ErrExists)
}

// Replace puts metadata and package in the place of those of an existing release. That takes more than a push: the subject
// has to own the namespace. When a run that was cut off replaces its release again, the newer one counts.
func (e ForExecution) Replace(ctx context.Context, m *release.Metadata, open func() (io.ReadCloser, error)) error {
	n, err := e.Store.NamespaceByName(ctx, m.Project)
	if err != nil {
		return engineError(err)
	}
	ok, err := e.allowed(ctx, n.ProjectID, n.OrganizationID, "release:replace")
	if err != nil {
		return err
	}
	if !ok {
		return problem.New(problem.Forbidden, "%s may not replace releases in the namespace '%s': that takes an owner", e.Subject.Name, m.Project)
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	return engineError(e.Service.Replace(ctx, m.Project, m, r, e.Subject, e.ExecutionID))
}

// mayRead returns engine.ErrNotFound for a namespace that is not there or that the subject may not read.
func (e ForExecution) mayRead(ctx context.Context, namespace, action string) error {
	n, err := e.Store.NamespaceByName(ctx, namespace)
	if err != nil {
		return engineError(err)
	}
	ok, err := e.allowed(ctx, n.ProjectID, n.OrganizationID, action)
	if err == nil && !ok {
		err = engine.ErrNotFound
	}
	return err
}

// mayWrite says in words why a subject must not push into a namespace. One that is not there will belong to the project
// of its name, or else to the default organization, and has to be made by an owner of it.
func (e ForExecution) mayWrite(ctx context.Context, namespace, action string) error {
	n, err := e.Store.NamespaceByName(ctx, namespace)
	var ok bool
	switch {
	case err == nil:
		ok, err = e.allowed(ctx, n.ProjectID, n.OrganizationID, action)
	case errors.Is(err, models.ErrNotFound):
		ok, err = e.mayCreate(ctx, namespace)
	}
	if err == nil && !ok {
		err = problem.New(problem.Forbidden, "%s may not push releases into the namespace '%s'", e.Subject.Name, namespace)
	}
	return err
}

func (e ForExecution) mayCreate(ctx context.Context, namespace string) (bool, error) {
	p, err := e.ProjectNamed(ctx, namespace)
	if err != nil {
		return false, err
	}
	if p != nil {
		return e.allowed(ctx, &p.ID, p.OrganizationID, "namespace:create")
	}
	o, err := e.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return false, err
	}
	return e.allowed(ctx, nil, o.ID, "namespace:create")
}

func (e ForExecution) allowed(ctx context.Context, projectID *string, organizationID, action string) (bool, error) {
	var path []string
	var err error
	if projectID != nil {
		path, err = e.Store.ScopePath(ctx, *projectID)
	} else {
		path, err = e.Store.OrganizationPath(ctx, organizationID)
	}
	if err != nil {
		return false, err
	}
	ok, err := e.Policy.Allow(ctx, e.Subject, action, policies.Resource{Kind: "namespace", Scopes: path})
	if err != nil {
		return false, fmt.Errorf("ask the policy about %s: %w", action, err)
	}
	return ok, nil
}

// engineError gives the store's errors the names that the engine knows.
func engineError(err error) error {
	if errors.Is(err, models.ErrNotFound) {
		return fmt.Errorf("%w: %w", engine.ErrNotFound, err)
	}
	return err
}
