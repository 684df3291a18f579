package models

import (
	"context"
	"strconv"

	"gorm.io/gorm"

	"slipway/policies"
)

// mergesProjects says whether a list of executions is over everything of one kind that somebody may see and is better put
// together from the newest ones of each project: PostgreSQL would read and sort all executions of all these projects to
// find the newest page. Whoever sees everything has an index for that.
func (s *Store) mergesProjects(f ExecutionFilter) bool {
	return s.dialect == PostgreSQL && !f.Visible.All && !f.Visible.None() && f.Kind != "" && f.Kind != KindAssetSearch && f.Kind != KindAssetScan &&
		f.ProjectID == "" && f.EnvironmentID == "" && f.SubjectID == "" && f.ParentID == ""
}

// newestOfProjects narrows a query for executions to the newest ones of all projects that v covers: each project's index
// gives its page, and the newest of all pages are the answer.
func (s *Store) newestOfProjects(ctx context.Context, v policies.Visible, q *gorm.DB, size int) *gorm.DB {
	// The limit is written into the statement: of a parameter the database takes a tenth of all rows for likely, and reads
	// the whole table.
	limit := " DESC LIMIT " + strconv.Itoa(size)
	each := q.Session(&gorm.Session{}).Select("executions.id").Where("executions.project_id = p.id").Order("executions.id" + limit)
	newest := s.reader(ctx).Table("projects AS p").Select("newest.id").Joins("CROSS JOIN LATERAL (?) newest", each).
		Scopes(s.visibleProjects(v, "p.id")).Order("newest.id" + limit)
	return s.reader(ctx).Model(&Execution{}).Where("executions.id IN (?)", newest)
}
