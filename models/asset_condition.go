package models

import (
	"context"
	"fmt"

	"slipway/internal/rsql"
)

// assetCondition gives the SQL of what a query selects, with "?" for each of the arguments.
func (s *Store) assetCondition(ctx context.Context, q AssetQuery) (string, []any, error) {
	where, args, err := s.inOrganizations(ctx, q)
	if err != nil {
		return "", nil, err
	}
	if q.Search != "" {
		where, args = where+" AND r.search_id = ?", append(args, q.Search)
	}
	if q.Filter == nil {
		return where, args, nil
	}
	c, err := s.compileAssetFilter(ctx, q.Organizations, q.Filter)
	if err != nil {
		return "", nil, err
	}
	text, more := c.Question()
	return where + " AND " + text, append(args, more...), nil
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

// compileAssetFilter checks a filter, plans it for the database and gives its condition.
func (s *Store) compileAssetFilter(ctx context.Context, organizations []string, filter rsql.Node) (rsql.Condition, error) {
	if err := CheckAssetFilter(filter); err != nil {
		return rsql.Condition{}, err
	}
	p := &assetPlanner{store: s, ctx: ctx, organizations: organizations, lookups: s.maxLookups(), values: s.maxPlannedValues(),
		many: countLookups(filter) > planLimits.lookups, dictionaries: map[string]*dictionary{}}
	planned := p.node(filter)
	c, err := plannedAssetFields(p.search, p.findRare).Compile(planned, s.rsqlDialect())
	if p.err != nil {
		return rsql.Condition{}, fmt.Errorf("look up what a filter names: %w", p.err)
	}
	return c, err
}

func (s *Store) rsqlDialect() rsql.Dialect {
	if s.dialect == PostgreSQL {
		return rsql.PostgreSQL
	}
	return rsql.SQLite
}
