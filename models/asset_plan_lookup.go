package models

import (
	"database/sql"
	"fmt"
	"slices"
)

// facetValue is a value that a lookup found, with the number of assets that have it.
type facetValue struct {
	field, key, value string
	n                 int64
	folded            string // in a dictionary: what patterns are tried on
}

// lookup finds values of facets in the organizations. ok is false where there are too many, or too many lookups.
func (p *planning) lookup(where string, args ...any) (found []facetValue, ok bool) {
	if p.err != nil || p.lookups <= 0 {
		return nil, false
	}
	p.lookups--
	limit := min(planLimits.listed, p.values)
	in, list := p.store.among("organization_id", p.query.Organizations)
	query := "SELECT field, key, value, CAST(SUM(n) AS bigint) FROM asset_facets WHERE " + in + " AND " + where + " GROUP BY field, key, value LIMIT ?"
	found = ask(p, func(rows *sql.Rows, v *facetValue) error { return rows.Scan(&v.field, &v.key, &v.value, &v.n) },
		query, append(append([]any{list}, args...), limit+1)...)
	if p.err != nil || len(found) > limit {
		return nil, false
	}
	p.values -= len(found)
	return found, true
}

// count gives how many assets have one of some values, those with two of them counted twice.
func (p *planning) count(field, key string, values []string) (n int64, known bool) {
	found, ok := p.findExact(field, key, values)
	for _, f := range found {
		n += f.n
	}
	return n, ok
}

// countUpTo says how many assets meet a condition, and no more than a limit.
func (p *planning) countUpTo(limit int, where string, args []any) int64 {
	counts := ask(p, scanNumber, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM assets WHERE "+where+" LIMIT ?) x", append(slices.Clone(args), limit)...)
	if p.err != nil {
		return 0
	}
	return counts[0]
}

// ask runs a query, once for all plans of its planner. Where it fails, p.err is set.
func ask[T any](p *planning, scan func(*sql.Rows, *T) error, query string, args ...any) []T {
	asked := fmt.Sprintf("%s %q", query, args)
	if known, ok := p.answers[asked].([]T); ok {
		return known
	}
	rows, err := p.store.assetRows(p.ctx, query, args...)
	list, err := scanAll(rows, err, scan)
	if p.err = err; err == nil {
		p.answers[asked] = list
	}
	return list
}
