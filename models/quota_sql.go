package models

import (
	"context"
	"maps"
	"strings"
)

// quotaOwner finds the organization that something belongs to: a condition on organizations o, with its named parameters.
type quotaOwner struct {
	where string
	args  map[string]any
}

func ownerOfExecution(e *Execution) quotaOwner {
	return quotaOwner{ofExecutionSQL, map[string]any{"project": e.ProjectID, "organization": e.OrganizationID}}
}

func ownerIs(organizationID string) quotaOwner {
	return quotaOwner{"o.id = @organization", map[string]any{"organization": organizationID}}
}

func ownerOfApplication(id string) quotaOwner {
	return quotaOwner{"o.id = (SELECT n.organization_id FROM namespaces n JOIN applications a ON a.namespace_id = n.id WHERE a.id = @application)", map[string]any{"application": id}}
}

func ownerOfPackage(id int64) quotaOwner {
	return quotaOwner{"o.id = (SELECT p.organization_id FROM packages p WHERE p.id = @package)", map[string]any{"package": id}}
}

const ofExecutionSQL = "(o.id = @organization OR o.id = (SELECT p.organization_id FROM projects p WHERE p.id = @project))"

// organizationsOverSQL is the ids of the organizations that a condition on organizations o finds, and of all above them.
func organizationsOverSQL(where string) string {
	return `WITH RECURSIVE up(id, parent_id, depth) AS (SELECT o.id, o.parent_id, 0 FROM organizations o WHERE ` + where + `
		UNION ALL SELECT o.id, o.parent_id, up.depth + 1 FROM organizations o JOIN up ON o.id = up.parent_id WHERE up.depth < 100) SELECT id FROM up`
}

// anyBoundSQL says whether there is a quota on executions at all, boundedSQL whether one bounds that which is being recorded.
// The former costs nothing that could be measured, the latter some 30 µs.
const anyBoundSQL = "EXISTS (SELECT 1 FROM organization_quotas WHERE resource = 'executions')"

var boundedSQL = "EXISTS (SELECT 1 FROM organization_quotas q WHERE q.resource = 'executions' AND q.organization_id IN (" + organizationsOverSQL(ofExecutionSQL) + "))"

// quotasOver gives the quotas on a resource of the organization that something belongs to, and of those above it. lock keeps
// others from adding to them until the end of the transaction; rows are locked in one order, or two could wait for each
// other. On SQLite the transaction itself does that.
func (s *Store) quotasOver(ctx context.Context, resource string, of quotaOwner, lock bool) ([]boundQuota, error) {
	q := "SELECT q.*, g.canonical FROM organization_quotas q JOIN organizations g ON g.id = q.organization_id WHERE q.resource = @resource AND q.organization_id IN (" +
		organizationsOverSQL(of.where) + ") ORDER BY q.organization_id"
	if lock && s.dialect == PostgreSQL {
		q += " FOR UPDATE OF q"
	}
	args := map[string]any{"resource": resource}
	maps.Copy(args, of.args)
	db := s.reader(ctx)
	if lock {
		db = s.writer(ctx)
	}
	var list []boundQuota
	err := db.Raw(q, args).Scan(&list).Error
	return list, err
}

// used is how much an organization, with all that is below it, has of a resource.
func (s *Store) used(ctx context.Context, organizationID, resource string) (int64, error) {
	var q string
	switch resource {
	case QuotaExecutions:
		// The literal lets PostgreSQL use the index of open executions.
		q = `SELECT COUNT(*) FROM executions e WHERE e.status IN ('new','queued','running','waiting') AND e.parent_id = ''
			AND (e.project_id IN (SELECT p.id FROM projects p WHERE p.organization_id IN (BELOW)) OR e.organization_id IN (BELOW))`
	case QuotaAssets:
		// Each asset counts once in this facet, which is written in the transaction that adds it.
		q = "SELECT CAST(COALESCE(SUM(n), 0) AS bigint) FROM asset_facets WHERE field = 'type' AND organization_id IN (BELOW)"
	case QuotaProjects:
		q = "SELECT COUNT(*) FROM projects WHERE organization_id IN (BELOW)"
	case QuotaStorage:
		q = `SELECT CAST(
			COALESCE((SELECT SUM(r.package_size) FROM releases r JOIN applications a ON a.id = r.application_id JOIN namespaces n ON n.id = a.namespace_id
				WHERE r.package_key <> '' AND n.organization_id IN (BELOW)), 0) +
			COALESCE((SELECT SUM(v.archive_size) FROM package_versions v JOIN packages p ON p.id = v.package_id
				WHERE v.archive_key <> '' AND p.organization_id IN (BELOW)), 0) AS bigint)`
	}
	var args []any
	for range strings.Count(q, "BELOW") {
		args = append(args, ids([]string{organizationID}))
	}
	var used int64
	err := s.reader(ctx).Raw(strings.ReplaceAll(q, "BELOW", s.below()), args...).Scan(&used).Error
	return used, err
}
