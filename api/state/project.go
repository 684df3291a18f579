package state

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/state"
	"slipway/models"
	"slipway/policies"
)

// Project is a project without its environments.
type Project struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Logo is base64 of the image; the row /logo gives the image itself.
	Logo   string `json:"logo"`
	OrgURL string `json:"org_url"`
	// Permission is the caller's strongest role: read, write, owner or admin.
	Permission string `json:"permission"`
}

// ProjectWithEnvironments adds the summary of each environment.
type ProjectWithEnvironments struct {
	Project
	Environments map[string]EnvironmentSummary `json:"environments"`
}

// ProjectBody is what creates or updates a project. Members that only answers have are known and ignored.
type ProjectBody struct {
	Name        string `json:"name" validate:"max=100"`
	Description string `json:"description" validate:"max=10000"`
	// Logo is base64 of an image; absent keeps the one that is there, "" removes it.
	Logo         *string `json:"logo" validate:"omitempty,max=700000"`
	OrgURL       string  `json:"org_url" validate:"max=2000"`
	Permission   string  `json:"permission" validate:"max=100"`
	Environments any     `json:"environments"`
}

func (s *surface) projectRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: "/api/v1/state/", Operation: "listAUsersStateProjects", Summary: "List a user's state projects",
			Permission: api.Permission{Action: "project:read", Filtered: true}, Handler: api.Handle(s.listProjects)},
		{Method: http.MethodGet, Path: "/api/v1/state/__get_projects_by_group", Operation: "getProjectsByGroupName", Summary: "Get projects by group name",
			Permission: api.Permission{Action: "project:read", Filtered: true}, Handler: api.Handle(s.projectsByGroup)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/", Operation: "getAStateProjectAndItsEnvironments", Summary: "Get a state project and its environments.",
			Permission: s.in("project:read"), Handler: api.Handle(s.getProject)},
		{Method: http.MethodPut, Path: "/api/v1/state/{project}/", Operation: "updateAProjectsMetadata", Summary: "Update a project's metadata.",
			Permission: s.in("project:update"), Handler: api.Handle(s.updateProject)},
		{Method: http.MethodDelete, Path: "/api/v1/state/{project}/", Operation: "hardDeleteAStateProject", Summary: "Hard delete a state project.",
			Permission: s.in("project:delete"), Handler: api.Handle(s.deleteProject)},
		{Method: http.MethodPost, Path: "/api/v1/state/{project}/add-project", Operation: "addAStateProject", Summary: "Add a state project.",
			Permission: api.Permission{Action: "project:create"}, Handler: api.Handle(s.addProject)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/can-manage-subscriptions", Operation: "canUserManageProjectSubscriptions", Summary: "Can user manage project subscriptions?",
			Permission: s.in("project:read"), Handler: api.Handle(s.canManageSubscriptions)},
		{Method: http.MethodPost, Path: "/api/v1/state/{project}/import-environments", Operation: "importEnvironmentsFromALocalStateFile", Summary: "Import environments from a local state file.",
			Permission: s.in("project:import"), MaxBody: maxState, Handler: api.Handle(s.importEnvironments)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/logo", Operation: "getAStateProjectsLogo", Summary: "Get a state project's logo.",
			Permission: s.in("project:read"), Handler: api.Handle(s.logo)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/rbac/valid-roles", Operation: "seeTheValidRolesThatCanBeAssignedWithThisEndpoint", Summary: "See the valid roles that can be assigned with this endpoint.",
			Permission: s.in("project:read"), Handler: api.Handle(s.validRoles)},
	}
}

func (s *surface) listProjects(ctx context.Context, _ *struct{}) (map[string]Project, error) {
	v, err := s.visible(ctx, "project:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListProjects(ctx, *v)
	if err != nil {
		return nil, err
	}
	return s.projectMap(ctx, list)
}

// projectMap is the shape of lists of projects. The logo is left out of lists: it may be half a megabyte.
func (s *surface) projectMap(ctx context.Context, list []models.Project) (map[string]Project, error) {
	out := make(map[string]Project, len(list))
	var above []string // all projects of the surface are in one organization
	for i := range list {
		p := &list[i]
		if above == nil {
			o, err := s.Scopes.Organization(ctx, p.OrganizationID)
			if err != nil {
				return nil, err
			}
			above = o.Scopes
		}
		role, err := s.strongestRole(ctx, policies.Resource{Kind: "project", Scopes: append([]string{p.ID}, above...)})
		if err != nil {
			return nil, err
		}
		out[p.Name] = Project{Name: p.Name, Description: p.Description, OrgURL: p.OrgURL, Permission: role}
	}
	return out, nil
}

// strongestRole asks the policy, not the grants, so that it also holds with a replaced policy.
func (s *surface) strongestRole(ctx context.Context, r policies.Resource) (string, error) {
	by := api.SubjectOf(ctx)
	role := ""
	for _, c := range []struct{ role, action string }{{policies.RoleRead, "project:read"}, {policies.RoleWrite, "deployment:write"}, {policies.RoleOwner, "project:update"}} {
		ok, err := s.Policy.Allow(ctx, by, c.action, r)
		if err != nil || !ok {
			return role, err
		}
		role = c.role
	}
	if by.Admin && by.Token.Role == "" && len(by.Token.Scopes) == 0 {
		role = policies.RoleAdmin
	}
	return role, nil
}

type groupRequest struct {
	Group string `query:"group" validate:"required,max=200"`
}

// projectsByGroup lists the projects that a team has been given, as far as the caller may see them. A team that does not
// exist has none: the answer must not tell which teams there are.
func (s *surface) projectsByGroup(ctx context.Context, r *groupRequest) (map[string]Project, error) {
	v, err := s.visible(ctx, "project:read")
	if err != nil {
		return nil, err
	}
	org, err := s.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return nil, err
	}
	team, err := s.Store.TeamByName(ctx, org.ID, r.Group)
	if errors.Is(err, models.ErrNotFound) {
		return map[string]Project{}, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListProjectsOfTeam(ctx, *v, team.ID)
	if err != nil {
		return nil, err
	}
	return s.projectMap(ctx, list)
}

type projectRequest struct{ projectPath }

func (s *surface) getProject(ctx context.Context, r *projectRequest) (*ProjectWithEnvironments, error) {
	p, err := s.Store.ProjectByID(ctx, projectID(ctx))
	if err != nil {
		return nil, err
	}
	role, err := s.strongestRole(ctx, api.From(ctx).Resource.Resource)
	if err != nil {
		return nil, err
	}
	logo, err := s.Store.ProjectLogo(ctx, p.ID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	out := &ProjectWithEnvironments{Environments: map[string]EnvironmentSummary{}}
	out.Project = Project{Name: p.Name, Description: p.Description, Logo: base64.StdEncoding.EncodeToString(logo), OrgURL: p.OrgURL, Permission: role}
	list, err := s.Store.ListEnvironments(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	for i := range list {
		summary, err := s.summary(ctx, &list[i])
		if err != nil {
			return nil, err
		}
		out.Environments[list[i].Name] = *summary
	}
	return out, nil
}

type projectWrite struct {
	projectPath
	Body ProjectBody `body:"json"`
}

// check finds what is wrong with a project's body and gives the logo's bytes.
func (r *projectWrite) check() ([]byte, error) {
	if err := asInURL("Project", "name", r.Body.Name, r.Project); err != nil {
		return nil, err
	}
	if u := r.Body.OrgURL; u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		return nil, problem.BadField("org_url", "expected an http or https URL")
	}
	if r.Body.Logo == nil {
		return nil, nil
	}
	return decodeLogo(*r.Body.Logo)
}

func (s *surface) addProject(ctx context.Context, r *projectWrite) (api.Empty, error) {
	if err := state.ValidateProjectName(r.Project); err != nil {
		return api.Empty{}, bad(err)
	}
	if reserved[r.Project] {
		return api.Empty{}, problem.New(problem.Invalid, "The project name '%s' is not allowed: a path of the API has it", r.Project)
	}
	logo, err := r.check()
	if err != nil {
		return api.Empty{}, err
	}
	p := &models.Project{Name: r.Project, Description: r.Body.Description, OrgURL: r.Body.OrgURL, Logo: logo}
	entry := audit("project:create", "project", "", r.Project)
	by := api.SubjectOf(ctx)
	err = s.change(ctx, entry, func(tx *models.Store) error {
		if err := tx.CreateProject(ctx, p); err != nil {
			return err
		}
		entry.ResourceID, entry.ProjectID = p.ID, p.ID
		// Whoever adds a project owns it.
		return tx.AddGrant(ctx, &models.Grant{SubjectKind: by.Kind, SubjectID: by.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleOwner})
	})
	return api.Empty{}, taken(err)
}

// reserved are names that stand where {project} does in other paths.
var reserved = map[string]bool{"namespaces": true}

func (s *surface) updateProject(ctx context.Context, r *projectWrite) (api.Empty, error) {
	logo, err := r.check()
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.change(ctx, audit("project:update", "project", projectID(ctx), r.Project), func(tx *models.Store) error {
		p, err := tx.ProjectByID(ctx, projectID(ctx))
		if err != nil {
			return err
		}
		p.Description, p.OrgURL, p.Logo = r.Body.Description, r.Body.OrgURL, logo
		return tx.UpdateProject(ctx, p)
	})
}

func (s *surface) deleteProject(ctx context.Context, r *projectRequest) (api.Empty, error) {
	return api.Empty{}, busy(s.change(ctx, audit("project:delete", "project", projectID(ctx), r.Project), func(tx *models.Store) error {
		return tx.DeleteProjectContents(ctx, projectID(ctx))
	}))
}

// canManageSubscriptions: there are no subscriptions to pay for here; whoever owns the project could manage them.
func (s *surface) canManageSubscriptions(ctx context.Context, _ *projectRequest) (map[string]bool, error) {
	ok, err := s.may(ctx, "project:update")
	return map[string]bool{"can_manage_subscriptions": ok}, err
}

func (s *surface) validRoles(context.Context, *projectRequest) ([]string, error) {
	return policies.GrantableRoles, nil
}
