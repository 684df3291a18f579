package models

import (
	"context"
	"encoding/json"

	"gorm.io/gorm"

	"slipway/policies"
)

// idList is the SQL of a list of ids that comes as one JSON array: a list of parameters would run into the databases'
// limits for somebody with tens of thousands of grants.
func (s *Store) idList() string {
	if s.dialect == PostgreSQL {
		return "SELECT jsonb_array_elements_text(CAST(? AS jsonb))"
	}
	return "SELECT value FROM json_each(?)"
}

// lockOrganizations lets one transaction at a time change the shape of the tree. On SQLite there is one writer anyway.
func (s *Store) lockOrganizations(ctx context.Context) error {
	if s.dialect != PostgreSQL {
		return nil
	}
	return s.writer(ctx).Exec("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE").Error
}

// below is the SQL of the organizations in a list of ids and all that are below them. UNION, not UNION ALL: it ends
// even if the tree were a ring.
func (s *Store) below() string {
	return `WITH RECURSIVE below(id) AS (
		SELECT id FROM organizations WHERE id IN (` + s.idList() + `)
		UNION SELECT o.id FROM organizations o JOIN below ON o.parent_id = below.id
	) SELECT id FROM below`
}

func ids(list []string) string {
	if list == nil {
		list = []string{}
	}
	// Ids come from the policy. What is no valid text must match nothing, and must not be an error of the database.
	clean := make([]string, 0, len(list))
	for _, id := range list {
		if storable(id) {
			clean = append(clean, id)
		}
	}
	b, _ := json.Marshal(clean) // strings always marshal
	return string(b)
}

// visibleProjects limits a query to rows whose column holds the id of a project that v covers. It is the one place where
// lists are cut down to what the caller may see.
func (s *Store) visibleProjects(v policies.Visible, column string) func(*gorm.DB) *gorm.DB {
	return visibleIn(v, s.projectsIn(column), 2)
}

// projectsIn is the SQL of a project's id being in a list of ids, or its organization, or one above that.
func (s *Store) projectsIn(column string) string {
	return column + " IN (SELECT p.id FROM projects p WHERE p.id IN (" + s.idList() + ") OR p.organization_id IN (" + s.below() + "))"
}

// visibleExecutions limits a query for executions to those of projects, or, for those of no project, of organizations
// that v covers. Where the filter leaves those of projects only, the organizations are not asked for: that costs a list the
// index on its projects.
func (s *Store) visibleExecutions(v policies.Visible, f ExecutionFilter) func(*gorm.DB) *gorm.DB {
	if f.ProjectID != "" || f.EnvironmentID != "" || f.Kind != "" && f.Kind != KindAssetSearch && f.Kind != KindAssetScan {
		return s.visibleProjects(v, "project_id")
	}
	return visibleIn(v, "("+s.projectsIn("project_id")+" OR organization_id IN ("+s.below()+"))", 3)
}

// visibleOrganizations is visibleProjects for rows that belong to an organization.
func (s *Store) visibleOrganizations(v policies.Visible, column string) func(*gorm.DB) *gorm.DB {
	return visibleIn(v, column+" IN ("+s.below()+")", 1)
}

func visibleIn(v policies.Visible, sql string, places int) func(*gorm.DB) *gorm.DB {
	args := func(list []string) []any {
		a := make([]any, places)
		for i := range a {
			a[i] = ids(list)
		}
		return a
	}
	return func(q *gorm.DB) *gorm.DB {
		if v.All {
			return q
		}
		if v.None() {
			return q.Where("1 = 0")
		}
		q = q.Where(sql, args(v.Scopes)...)
		if len(v.Within) > 0 {
			q = q.Where(sql, args(v.Within)...)
		}
		return q
	}
}

// OrganizationPath gives the ids from an organization up to its root, nearest first. ErrNotFound where there is none.
func (s *Store) OrganizationPath(ctx context.Context, id string) ([]string, error) {
	if !storable(id) {
		return nil, ErrNotFound
	}
	return s.path(ctx, "SELECT id, parent_id, 0 FROM organizations WHERE id = ?", id)
}

// ScopePath gives a project's path: its own id, its organization and so on up to the root. ErrNotFound where there is no
// such project.
func (s *Store) ScopePath(ctx context.Context, projectID string) ([]string, error) {
	if !storable(projectID) {
		return nil, ErrNotFound
	}
	path, err := s.path(ctx, "SELECT o.id, o.parent_id, 0 FROM projects p JOIN organizations o ON o.id = p.organization_id WHERE p.id = ?", projectID)
	if err != nil {
		return nil, err
	}
	return append([]string{projectID}, path...), nil
}

// maxTreeDepth ends the walk upward if the tree were a ring after all.
const maxTreeDepth = 100

func (s *Store) path(ctx context.Context, start, id string) ([]string, error) {
	var path []string
	err := s.reader(ctx).Raw(`WITH RECURSIVE up(id, parent_id, depth) AS (`+start+`
		UNION ALL SELECT o.id, o.parent_id, up.depth + 1 FROM organizations o JOIN up ON o.id = up.parent_id WHERE up.depth < ?
	) SELECT id FROM up ORDER BY depth`, id, maxTreeDepth).Scan(&path).Error
	if err == nil && len(path) == 0 {
		err = ErrNotFound
	}
	return path, err
}
