package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"slipway/models"
	"slipway/policies"
)

// maxIdentityAge is how old what is known about identities may be: who is removed is out within a second.
const maxIdentityAge = time.Second

// Scopes finds what path parameters name: projects, namespaces and organizations, with their place in the tree. Answers
// are at most a second old, and never older than this process's own last change of an identity. Things that do not exist
// are looked up each time.
type Scopes struct {
	store         *models.Store
	namespace     func(ctx context.Context, name string) (projectID string, err error)
	projects      *identityCache[ProjectScope]
	projectsByID  *identityCache[ProjectScope]
	organizations *identityCache[OrganizationScope]
}

// ProjectScope is a project with its path up to the root. Scopes is shared: do not change it.
type ProjectScope struct {
	ID, Name, OrganizationID string
	// Scopes is the project, its organization and so on up to the root.
	Scopes []string
}

// OrganizationScope is an organization with its path up to the root. Scopes is shared: do not change it.
type OrganizationScope struct {
	ID, Canonical, Kind string
	Scopes              []string
}

// ScopesOptions configure Scopes.
type ScopesOptions struct {
	// NamespaceProject gives the id of the project that a namespace belongs to, models.ErrNotFound where there is no
	// such namespace.
	NamespaceProject func(ctx context.Context, name string) (projectID string, err error)
	// Now replaces the clock, for tests.
	Now func() time.Time
}

// NewScopes makes a Scopes over a store.
func NewScopes(store *models.Store, o ScopesOptions) *Scopes {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NamespaceProject == nil {
		o.NamespaceProject = func(context.Context, string) (string, error) { return "", models.ErrNotFound }
	}
	return &Scopes{
		store:         store,
		namespace:     o.NamespaceProject,
		projects:      newIdentityCache[ProjectScope](maxIdentityAge, o.Now),
		projectsByID:  newIdentityCache[ProjectScope](maxIdentityAge, o.Now),
		organizations: newIdentityCache[OrganizationScope](maxIdentityAge, o.Now),
	}
}

// Project finds a project of the default organization by name; models.ErrNotFound where there is none.
func (s *Scopes) Project(ctx context.Context, name string) (ProjectScope, error) {
	return s.projects.get(ctx, name, func(ctx context.Context) (ProjectScope, error) {
		p, err := s.store.ProjectByName(ctx, name)
		if err != nil {
			return ProjectScope{}, err
		}
		return s.scopeOf(ctx, p)
	})
}

// ProjectByID finds a project of any organization; models.ErrNotFound where there is none.
func (s *Scopes) ProjectByID(ctx context.Context, id string) (ProjectScope, error) {
	return s.projectsByID.get(ctx, id, func(ctx context.Context) (ProjectScope, error) {
		p, err := s.store.ProjectByID(ctx, id)
		if err != nil {
			return ProjectScope{}, err
		}
		return s.scopeOf(ctx, p)
	})
}

func (s *Scopes) scopeOf(ctx context.Context, p *models.Project) (ProjectScope, error) {
	path, err := s.store.ScopePath(ctx, p.ID)
	return ProjectScope{ID: p.ID, Name: p.Name, OrganizationID: p.OrganizationID, Scopes: path}, err
}

// Namespace finds the project that a namespace belongs to; models.ErrNotFound where there is no such namespace. Which
// project that is, is asked each time: moving a namespace is no change of identities.
func (s *Scopes) Namespace(ctx context.Context, name string) (ProjectScope, error) {
	id, err := s.namespace(ctx, name)
	if err != nil {
		return ProjectScope{}, err
	}
	return s.ProjectByID(ctx, id)
}

// Organization finds an organization by its id or its canonical; models.ErrNotFound where there is none.
func (s *Scopes) Organization(ctx context.Context, reference string) (OrganizationScope, error) {
	return s.organizations.get(ctx, reference, func(ctx context.Context) (OrganizationScope, error) {
		// A canonical may look like an id: ids come first, so that nobody can stand in for another organization.
		var o *models.Organization
		err := models.ErrNotFound
		if _, invalid := uuid.Parse(reference); invalid == nil {
			o, err = s.store.OrganizationByID(ctx, reference)
		}
		if err == models.ErrNotFound {
			o, err = s.store.OrganizationByCanonical(ctx, reference)
		}
		if err != nil {
			return OrganizationScope{}, err
		}
		path, err := s.store.OrganizationPath(ctx, o.ID)
		return OrganizationScope{ID: o.ID, Canonical: o.Canonical, Kind: o.Kind, Scopes: path}, err
	})
}

// Resource describes a thing of the project to the policy.
func (p ProjectScope) Resource(kind, id string) Resource {
	return Resource{Resource: policies.Resource{Kind: kind, ID: id, Scopes: p.Scopes}}
}

// Resource describes a thing of the organization to the policy.
func (o OrganizationScope) Resource(kind, id string) Resource {
	return Resource{Resource: policies.Resource{Kind: kind, ID: id, Scopes: o.Scopes}}
}

// MissingResource is a thing that is not there, of a kind.
func MissingResource(kind string) Resource {
	return Resource{Resource: policies.Resource{Kind: kind}, Missing: true}
}

// OnOrganization resolves {organization}: an id or a canonical.
func (s *Scopes) OnOrganization(r *Request) (Resource, error) {
	o, err := s.Organization(r.HTTP.Context(), r.Param("organization"))
	if errors.Is(err, models.ErrNotFound) {
		return MissingResource("organization"), nil
	}
	if err != nil {
		return Resource{}, err
	}
	return o.Resource("organization", o.ID), nil
}
