package models

import (
	"context"

	"slipway/internal/rsql"
)

// assetPlan is what a query over assets selects, as SQL with "?" for each of its arguments.
type assetPlan struct {
	scope     string // the organizations
	scopeArgs []any
	// filter is the condition of the filter, "" for none.
	filter     string
	filterArgs []any
	// inOrder is that part of the filter which speaks of the field that the list is sorted by first, "" for none.
	inOrder     string
	inOrderArgs []any
	// few says that the filter is known to select few assets, or none, and that they are fetched by an index.
	few bool
	// rare says that parts of the filter are known to.
	rare bool
}

// assetCondition gives the SQL of what a query selects, for those who read all of it.
func (s *Store) assetCondition(ctx context.Context, q AssetQuery) (string, []any, error) {
	p, err := s.newAssetPlanner(ctx, q)
	if err != nil {
		return "", nil, err
	}
	plan, err := p.plan(planEffort{thorough: s.dialect == PostgreSQL, scanned: hasAlternatives(q.Filter)})
	if err != nil {
		return "", nil, err
	}
	plan = s.endInTime(ctx, q, plan)
	where, args := plan.scope, plan.scopeArgs
	if q.Search != "" {
		where, args = where+" AND r.search_id = ?", append(args, q.Search)
	}
	return where + and(plan.filter), append(args, plan.filterArgs...), nil
}

// inOrganizations limits a query to its organizations.
func (s *Store) inOrganizations(ctx context.Context, q AssetQuery) (string, []any, error) {
	in, list := s.among("assets.organization_id", q.Organizations)
	if s.dialect != SQLite || q.Search != "" {
		return in, []any{list}, nil
	}
	// SQLite takes an index on an equality for selective, which the organization's is not where it has most of the
	// assets: it would fetch and sort them all. The plus sign keeps it from that, unless the organization is small or the
	// index has the list's order.
	ordered := len(q.Organizations) == 1 && (len(q.Sort) == 0 || q.Sort[0].Field == "created_at" || q.Sort[0].Field == "updated_at")
	if ordered && q.Filter == nil {
		return in, []any{list}, nil
	}
	n, err := s.countAll(ctx, q.Organizations)
	if err != nil {
		return "", nil, err
	}
	if n > fewAssets {
		in = "+" + in
	}
	return in, []any{list}, nil
}

// fewAssets is how many assets can be fetched and sorted in no time.
const fewAssets = 1000

func (s *Store) rsqlDialect() rsql.Dialect {
	if s.dialect == PostgreSQL {
		return rsql.PostgreSQL
	}
	return rsql.SQLite
}
