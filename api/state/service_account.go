package state

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// ServiceAccount is a program's account that has a role in the project.
type ServiceAccount struct {
	Name  string   `json:"name"`
	Team  string   `json:"team"`
	Roles []string `json:"roles"`
}

func (s *surface) serviceAccountRows() []api.Row {
	const path = "/api/v1/state/{project}/service-accounts/"
	return []api.Row{
		{Method: http.MethodGet, Path: path, Operation: "retrieveServiceAccountsThatHaveAccessToThisProject", Summary: "Retrieve service accounts that have access to this project",
			Permission: s.in("service-account:read"), Handler: api.Handle(s.listServiceAccounts)},
		{Method: http.MethodPost, Path: path + "{name}/", Operation: "addAServiceAccountToAProject", Summary: "Add a service account to a project",
			Permission: s.in("service-account:create"), Handler: api.Handle(s.addServiceAccount)},
		{Method: http.MethodDelete, Path: path + "{name}/", Operation: "deleteAServiceAccountFromThisProject", Summary: "Delete a service account from this project",
			Permission: s.in("service-account:delete"), Handler: api.Handle(s.removeServiceAccount)},
	}
}

func (s *surface) listServiceAccounts(ctx context.Context, _ *projectRequest) (map[string]ServiceAccount, error) {
	list, err := s.Store.ServiceAccountsOfProject(ctx, projectID(ctx))
	if err != nil {
		return nil, err
	}
	out := map[string]ServiceAccount{}
	for _, a := range list {
		out[a.Name] = ServiceAccount{Name: a.Name, Team: a.Team, Roles: []string{a.Role}}
	}
	return out, nil
}

type serviceAccountPath struct {
	projectPath
	Name string `path:"name" validate:"max=100"`
}

// ServiceAccountBody gives a service account its role in the project; the strongest of several counts. Without one it
// is write: what it takes to run builds and deployments.
type ServiceAccountBody struct {
	Name  string   `json:"name" validate:"max=100"`
	Team  string   `json:"team" validate:"max=100"`
	Roles []string `json:"roles" validate:"max=10,dive,oneof=read write owner"`
}

type serviceAccountAdd struct {
	serviceAccountPath
	Body *ServiceAccountBody `body:"json"`
}

// addServiceAccount gives a service account a role in the project, and makes the account where there is none of that
// name yet. An account that exists keeps its team.
func (s *surface) addServiceAccount(ctx context.Context, r *serviceAccountAdd) (api.Empty, error) {
	body := ServiceAccountBody{}
	if r.Body != nil {
		body = *r.Body
	}
	if err := asInURL("Service account", "name", body.Name, r.Name); err != nil {
		return api.Empty{}, err
	}
	role := policies.RoleWrite
	if len(body.Roles) > 0 {
		role = slices.MaxFunc(body.Roles, func(a, b string) int { return policies.Rank(a) - policies.Rank(b) })
	}
	// Nobody gives what he has not.
	if ok, err := s.may(ctx, "grant:add-"+role); err != nil || !ok {
		if err == nil {
			err = problem.New(problem.Forbidden, "you may not give the role %s in this project", role)
		}
		return api.Empty{}, err
	}
	org, err := s.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return api.Empty{}, err
	}
	entry := audit("service-account:create", "service_account", "", r.Name)
	entry.Detail = map[string]any{"role": role}
	return api.Empty{}, taken(s.change(ctx, entry, func(tx *models.Store) error {
		a, err := tx.ServiceAccountByName(ctx, org.ID, r.Name)
		if errors.Is(err, models.ErrNotFound) {
			a = &models.ServiceAccount{OrganizationID: org.ID, Name: r.Name}
			if body.Team != "" {
				team, err := tx.TeamByName(ctx, org.ID, body.Team)
				if errors.Is(err, models.ErrNotFound) {
					return problem.BadField("team", "there is no team '%s'", body.Team)
				}
				if err != nil {
					return err
				}
				a.TeamID = &team.ID
			}
			err = tx.CreateServiceAccount(ctx, a)
		}
		if err != nil {
			return err
		}
		return tx.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectServiceAccount, SubjectID: a.ID, ScopeKind: models.ScopeProject, ScopeID: projectID(ctx), Role: role})
	}))
}

type serviceAccountRequest struct{ serviceAccountPath }

// removeServiceAccount takes the account's role in this project away; the account itself stays, other projects may use
// it.
func (s *surface) removeServiceAccount(ctx context.Context, r *serviceAccountRequest) (api.Empty, error) {
	org, err := s.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return api.Empty{}, err
	}
	err = s.change(ctx, audit("service-account:delete", "service_account", "", r.Name), func(tx *models.Store) error {
		a, err := tx.ServiceAccountByName(ctx, org.ID, r.Name)
		if err != nil {
			return err
		}
		return tx.RemoveGrant(ctx, models.SubjectServiceAccount, a.ID, models.ScopeProject, projectID(ctx))
	})
	return api.Empty{}, missing(err, "the project has no service account '%s'", r.Name)
}

// checkServiceAccount makes sure that what a build, job or pipeline is to act as exists, belongs to the team named, and
// may trigger things in this project. It is checked again when an execution runs.
func (s *surface) checkServiceAccount(ctx context.Context, name, team string) error {
	if name == "" {
		if team != "" {
			return problem.BadField("service_account_team", "needs a service_account_name")
		}
		return nil
	}
	subject, err := s.serviceAccount(ctx, name, team)
	if err != nil {
		return err
	}
	ok, err := s.Policy.Allow(ctx, subject, "build:trigger", api.From(ctx).Resource.Resource)
	if err != nil {
		return err
	}
	if !ok {
		return problem.BadField("service_account_name", "the service account '%s' may not run anything in this project: give it the role write first", name)
	}
	return nil
}

// serviceAccount gives a service account as a subject. One that has nothing to do with the project is reported like one
// that does not exist.
func (s *surface) serviceAccount(ctx context.Context, name, team string) (policies.Subject, error) {
	unknown := problem.BadField("service_account_name", "the project has no service account '%s'", name)
	org, err := s.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return policies.Subject{}, err
	}
	a, err := s.Store.ServiceAccountByName(ctx, org.ID, name)
	if errors.Is(err, models.ErrNotFound) {
		return policies.Subject{}, unknown
	}
	if err != nil {
		return policies.Subject{}, err
	}
	subject, err := s.Store.Subject(ctx, models.SubjectServiceAccount, a.ID)
	if errors.Is(err, models.ErrNotFound) {
		return policies.Subject{}, problem.BadField("service_account_name", "the service account '%s' is disabled", name)
	}
	if err != nil {
		return policies.Subject{}, err
	}
	if ok, err := s.Policy.Allow(ctx, subject, "project:read", api.From(ctx).Resource.Resource); err != nil || !ok {
		if err == nil {
			err = unknown
		}
		return policies.Subject{}, err
	}
	if team != "" {
		t, err := s.Store.TeamByName(ctx, org.ID, team)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return policies.Subject{}, err
		}
		if err != nil || a.TeamID == nil || *a.TeamID != t.ID {
			return policies.Subject{}, problem.BadField("service_account_team", "the service account '%s' does not belong to the team '%s'", name, team)
		}
	}
	return subject, nil
}
