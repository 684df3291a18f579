package models

import (
	"gorm.io/gorm"

	"slipway/policies"
)

// visibleNamespaces limits a query that has the table namespaces to those that v covers: by their project, and those
// without one by their organization.
func (s *Store) visibleNamespaces(v policies.Visible) func(*gorm.DB) *gorm.DB {
	sql := "(namespaces.project_id IN (SELECT p.id FROM projects p WHERE p.id IN (" + s.idList() + ") OR p.organization_id IN (" + s.below() + "))" +
		" OR namespaces.project_id IS NULL AND namespaces.organization_id IN (" + s.below() + "))"
	return visibleIn(v, sql, 3)
}
