package models

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/problem"
	"slipway/policies"
)

// maxLogo is how large a project's logo may be.
const maxLogo = 1 << 20

// Project holds environments, builds and pipelines. Its name is unique in its organization.
type Project struct {
	ID             string
	OrganizationID string
	Name           string
	Description    string
	// Logo is image data. Lists leave it out, see ProjectLogo.
	Logo      []byte
	OrgURL    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (p *Project) check() error {
	if err := checkText("description", p.Description, 64<<10); err != nil {
		return err
	}
	if err := checkText("org_url", p.OrgURL, 2000); err != nil {
		return err
	}
	if len(p.Logo) > maxLogo {
		return problem.BadField("logo", "is larger than %d bytes", maxLogo)
	}
	return nil
}

// CreateProject adds a project and sets its id and times; no organization means the default one. ErrExists where the
// name is taken, a *problem.Error where the organization may have no more. Its creator becomes the owner by AddGrant in the same transaction.
func (s *Store) CreateProject(ctx context.Context, p *Project) error {
	if err := CheckProjectName(p.Name); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		var o *Organization
		var err error
		if p.OrganizationID == "" {
			o, err = tx.OrganizationByCanonical(ctx, DefaultOrganization)
		} else {
			o, err = tx.OrganizationByID(ctx, p.OrganizationID)
		}
		if err != nil {
			return fmt.Errorf("organization: %w", err)
		}
		p.ID, p.OrganizationID = NewID(), o.ID
		p.CreatedAt, p.UpdatedAt = tx.Now(), tx.Now()
		if err := created(tx.writer(ctx).Create(p)); err != nil {
			return err
		}
		return tx.commitIdentity(tx.keepQuota(ctx, QuotaProjects, ownerIs(p.OrganizationID)))
	})
}

// projectColumns are all but the logo, which may be large.
var projectColumns = []string{"id", "organization_id", "name", "description", "org_url", "created_at", "updated_at"}

// ProjectByName finds a project of the default organization, without its logo.
func (s *Store) ProjectByName(ctx context.Context, name string) (*Project, error) {
	return s.project(ctx, "name = ? AND organization_id = (SELECT id FROM organizations WHERE canonical = ?)", name, DefaultOrganization)
}

// ProjectInOrganization finds a project of an organization, without its logo.
func (s *Store) ProjectInOrganization(ctx context.Context, organizationID, name string) (*Project, error) {
	return s.project(ctx, "name = ? AND organization_id = ?", name, organizationID)
}

// ProjectByID finds a project, without its logo.
func (s *Store) ProjectByID(ctx context.Context, id string) (*Project, error) {
	return s.project(ctx, "id = ?", id)
}

func (s *Store) project(ctx context.Context, where string, args ...any) (*Project, error) {
	for _, a := range args {
		if !storable(a.(string)) {
			return nil, ErrNotFound
		}
	}
	return take[Project](s.reader(ctx).Select(projectColumns).Where(where, args...))
}

// ProjectLogo gives a project's logo. ErrNotFound where it has none.
func (s *Store) ProjectLogo(ctx context.Context, id string) ([]byte, error) {
	var p Project
	if err := one(s.reader(ctx).Select("logo").Where("id = ?", id).Take(&p)); err != nil {
		return nil, err
	}
	if len(p.Logo) == 0 {
		return nil, ErrNotFound
	}
	return p.Logo, nil
}

// ListProjects gives the projects of the default organization that v covers, sorted by name, without their logos.
func (s *Store) ListProjects(ctx context.Context, v policies.Visible) ([]Project, error) {
	return s.listProjects(ctx, v, "organization_id = (SELECT id FROM organizations WHERE canonical = ?)", DefaultOrganization)
}

// ListProjectsIn gives the projects of one organization that v covers, sorted by name, without their logos.
func (s *Store) ListProjectsIn(ctx context.Context, v policies.Visible, organizationID string) ([]Project, error) {
	return s.listProjects(ctx, v, "organization_id = ?", organizationID)
}

// ListProjectsOfTeam gives the projects that a team has a grant on and that v covers, sorted by name.
func (s *Store) ListProjectsOfTeam(ctx context.Context, v policies.Visible, teamID string) ([]Project, error) {
	return s.listProjects(ctx, v, "projects.id IN (SELECT scope_id FROM grants WHERE subject_kind = ? AND subject_id = ? AND scope_kind = ?)",
		SubjectTeam, teamID, ScopeProject)
}

func (s *Store) listProjects(ctx context.Context, v policies.Visible, where string, args ...any) ([]Project, error) {
	if v.None() {
		return nil, nil
	}
	q := s.reader(ctx).Select(projectColumns).Where(where, args...).Scopes(s.visibleProjects(v, "projects.id"))
	return all[Project](q.Order("name"))
}

// UpdateProject writes what may change of a project: description, logo (nil keeps it) and address.
func (s *Store) UpdateProject(ctx context.Context, p *Project) error {
	if err := p.check(); err != nil {
		return err
	}
	p.UpdatedAt = s.Now()
	columns := []string{"description", "org_url", "updated_at"}
	if p.Logo != nil {
		columns = append(columns, "logo")
	}
	return found(s.writer(ctx).Model(&Project{}).Where("id = ?", p.ID).Select(columns).Updates(p))
}

// DeleteProject removes a project and the grants on it. What is in the project is removed by the caller, in the same
// transaction.
func (s *Store) DeleteProject(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := found(tx.writer(ctx).Where("id = ?", id).Delete(&Project{})); err != nil {
			return err
		}
		return tx.commitIdentity(tx.writer(ctx).Where("scope_kind = ? AND scope_id = ?", ScopeProject, id).Delete(&Grant{}).Error)
	})
}
