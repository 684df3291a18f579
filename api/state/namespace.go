package state

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// NamespacesPayload lists namespaces of the inventory by name.
type NamespacesPayload struct {
	Namespaces map[string]NamespacePayload `json:"namespaces"`
}

// NamespacePayload is a namespace as the state surface shows it.
type NamespacePayload struct {
	// Permission is the caller's on this namespace.
	Permission string `json:"permission"`
	// Project owns the namespace.
	Project string `json:"project"`
}

// Namespace is what adds a namespace to a project.
type Namespace struct {
	Name        string `json:"name" validate:"max=32"`
	Description string `json:"description" validate:"max=10000"`
	Logo        string `json:"logo" validate:"max=700000"`
	OrgURL      string `json:"org_url" validate:"max=2000"`
	// Project is the one in the path; another name is refused.
	Project string `json:"project" validate:"max=200"`
}

func (s *surface) namespaceRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: "/api/v1/state/namespaces", Operation: "getAllNamespacesForThisUser", Summary: "Get all namespaces for this user",
			Permission: api.Permission{Action: "namespace:read", Filtered: true}, Handler: api.Handle(s.userNamespaces)},
		{Method: http.MethodPost, Path: "/api/v1/state/{project}/add-namespace", Operation: "addANamespaceToThisProject", Summary: "Add a namespace to this project",
			Permission: s.in("namespace:create"), Handler: api.Handle(s.addNamespace)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/namespaces/", Operation: "getNamespacesForThisProject", Summary: "Get namespaces for this project",
			Permission: s.in("namespace:read"), Handler: api.Handle(s.projectNamespaces)},
	}
}

func (s *surface) userNamespaces(ctx context.Context, _ *struct{}) (*NamespacesPayload, error) {
	v, err := s.visible(ctx, "namespace:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListNamespaces(ctx, models.NamespaceFilter{Visible: *v})
	if err != nil {
		return nil, err
	}
	return s.namespacesPayload(ctx, list)
}

func (s *surface) projectNamespaces(ctx context.Context, _ *projectRequest) (*NamespacesPayload, error) {
	list, err := s.Store.ListNamespaces(ctx, models.NamespaceFilter{Visible: policies.Visible{All: true}, ProjectID: projectID(ctx)})
	if err != nil {
		return nil, err
	}
	return s.namespacesPayload(ctx, list)
}

// namespacesPayload asks for each project once, however many namespaces it has.
func (s *surface) namespacesPayload(ctx context.Context, list []models.Namespace) (*NamespacesPayload, error) {
	out := &NamespacesPayload{Namespaces: make(map[string]NamespacePayload, len(list))}
	known := map[string]NamespacePayload{}
	for _, n := range list {
		key := n.OrganizationID
		if n.ProjectID != nil {
			key = *n.ProjectID
		}
		p, ok := known[key]
		if !ok {
			var err error
			if p, err = s.namespaceOwner(ctx, n); err != nil {
				return nil, err
			}
			known[key] = p
		}
		out.Namespaces[n.Name] = p
	}
	return out, nil
}

func (s *surface) namespaceOwner(ctx context.Context, n models.Namespace) (NamespacePayload, error) {
	var p NamespacePayload
	var scopes []string
	if n.ProjectID != nil {
		project, err := s.Scopes.ProjectByID(ctx, *n.ProjectID)
		if err != nil {
			return p, err
		}
		p.Project, scopes = project.Name, project.Scopes
	} else {
		var err error
		if scopes, err = s.Store.OrganizationPath(ctx, n.OrganizationID); err != nil {
			return p, err
		}
	}
	var err error
	p.Permission, err = s.strongestRole(ctx, policies.Resource{Kind: "namespace", Scopes: scopes})
	return p, err
}

type namespaceCreate struct {
	projectPath
	Body Namespace `body:"json"`
}

func (s *surface) addNamespace(ctx context.Context, r *namespaceCreate) (api.Empty, error) {
	b := r.Body
	if b.Name == "" {
		return api.Empty{}, problem.New(problem.Invalid, "Missing name")
	}
	if err := asInURL("Namespace", "project", b.Project, r.Project); err != nil {
		return api.Empty{}, err
	}
	if b.Name == release.DefaultProject {
		return api.Empty{}, problem.New(problem.Invalid, "Invalid name '%s'", b.Name)
	}
	if err := release.ValidateNamespace(b.Name); err != nil {
		return api.Empty{}, bad(err)
	}
	id := projectID(ctx)
	n := &models.Namespace{Name: b.Name, ProjectID: &id, Description: b.Description, Logo: b.Logo, OrgURL: b.OrgURL, CreatedBy: api.SubjectOf(ctx).Name}
	return api.Empty{}, taken(s.create(ctx, audit("namespace:create", "namespace", "", b.Name), &n.ID, func(tx *models.Store) error {
		return tx.CreateNamespace(ctx, n)
	}))
}
