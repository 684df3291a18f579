package models

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

// assetPlanner rewrites a filter into one that selects the same assets and that an index serves.
//
// Patterns and short terms cannot use an index, but the distinct values of most fields are few: they are looked up in
// asset_facets first, and the pattern becomes a list of the values that match it. The database also estimates a list of
// values well, and so knows when to walk the list's order and stop early instead.
type assetPlanner struct {
	store        *Store
	ctx          context.Context
	query        AssetQuery
	scope        string // the condition that limits the query to its organizations
	scopeArgs    []any
	sort         string                 // the field that the list is sorted by first
	many         bool                   // the filter asks for more values than planLimits.lookups
	dictionaries map[string]*dictionary // by field, nil where there are too many values
	answers      map[string]any         // what lookups gave, by query and arguments, see ask
}

// newAssetPlanner checks a query's filter. The error is an *rsql.Error where the client is wrong.
func (s *Store) newAssetPlanner(ctx context.Context, q AssetQuery) (*assetPlanner, error) {
	p := &assetPlanner{store: s, ctx: ctx, query: q, dictionaries: map[string]*dictionary{}, answers: map[string]any{}}
	if q.Filter != nil {
		if err := CheckAssetFilter(q.Filter); err != nil {
			return nil, err
		}
	}
	if len(q.Sort) > 0 {
		p.sort = q.Sort[0].Field
	}
	p.many = countLookups(q.Filter) > planLimits.lookups
	var err error
	p.scope, p.scopeArgs, err = s.inOrganizations(ctx, q)
	return p, err
}

// planEffort says what a plan is worth.
type planEffort struct {
	// thorough says that it is worth more lookups to know that little is selected: a page was not filled at once, or all is
	// read anyway.
	thorough bool
	// scanned says that all assets are read and the condition is tried on each.
	scanned bool
}

// planning is the making of one plan.
type planning struct {
	*assetPlanner
	planEffort
	lookups int // how many more queries may be asked
	values  int // how many more values may be written into the filter
	rare    []rareRows
	few     bool // the filter is known to select few
	err     error
}

// leavesDear says that what can only be looked for in everything is not looked for yet: mostly a page is full before. SQLite
// makes one plan.
func (p *planning) leavesDear() bool { return !p.thorough && p.store.dialect == PostgreSQL }

// plan plans the query for the database. A plan of more effort asks again only what it did not ask for the last one.
func (p *assetPlanner) plan(effort planEffort) (assetPlan, error) {
	plan := assetPlan{scope: p.scope, scopeArgs: p.scopeArgs}
	if p.query.Filter == nil {
		return plan, nil
	}
	m := &planning{assetPlanner: p, planEffort: effort, lookups: p.store.maxLookups(), values: p.store.maxPlannedValues()}
	planned := m.whole(p.query.Filter)
	m.few = p.store.dialect == PostgreSQL && selectsFew(planned)
	m.drive(planned)
	fields := plannedAssetFields(m.search, m.findRare)
	c, err := fields.Compile(planned, p.store.rsqlDialect())
	if m.err != nil {
		return plan, fmt.Errorf("look up what a filter names: %w", m.err)
	}
	if err != nil {
		return plan, err
	}
	plan.filter, plan.filterArgs = c.Question()
	plan.few, plan.rare = m.few, len(m.rare) > 0
	if p.store.dialect == PostgreSQL {
		plan.inOrder, plan.inOrderArgs, err = p.inOrder(planned)
	}
	return plan, err
}

// selectsFew says whether a rewritten filter is known to select few assets.
func selectsFew(n rsql.Node) bool {
	switch n := n.(type) {
	case rsql.And:
		return slices.ContainsFunc(n, selectsFew)
	case rsql.Or:
		return !slices.ContainsFunc(n, func(part rsql.Node) bool { return !selectsFew(part) })
	case *rsql.Comparison:
		return n.Field == fieldNever || n.Field == fieldRare || n.Field == "id" && (n.Operator == rsql.Equal || n.Operator == rsql.In)
	}
	return false
}

// inOrder is the SQL of those parts of a filter that say where in a list's order its assets stand, so that a walk begins there.
// They are such as the order's index on PostgreSQL serves.
func (p *assetPlanner) inOrder(n rsql.Node) (string, []any, error) {
	var parts rsql.And
	var span string
	var spanArgs []any
	for c := range rsql.Required(n) {
		switch {
		case c.Field != p.sort || c.Operator.Negative() || slices.ContainsFunc(c.Values, isEmpty):
		case len(c.Values) == 1 && (c.Operator == rsql.In || len(c.Values[0].Wildcards) == 0):
			parts = append(parts, c)
		case c.Operator == rsql.In && (p.sort == "class" || p.sort == "registry" || p.sort == "name"):
			// An index gives the rows of a list of values in no order.
			texts, column := valueTexts(c), assetSortColumns[p.sort]
			span, spanArgs = span+" AND "+column+" BETWEEN ? AND ?", append(spanArgs, slices.Min(texts), slices.Max(texts))
		}
	}
	if len(parts) == 0 {
		return strings.TrimPrefix(span, " AND "), spanArgs, nil
	}
	c, err := publicAssetFields.Compile(parts, p.store.rsqlDialect())
	if err != nil {
		return "", nil, err
	}
	where, args := c.Question()
	return where + span, append(args, spanArgs...), nil
}

// maxLookups bounds the queries for one filter. What comes after is left as it is. On PostgreSQL one takes a millisecond or
// two; on SQLite a pattern is tried on all values.
func (s *Store) maxLookups() int {
	if s.dialect == SQLite {
		return 20
	}
	return 100
}

// planLimits are where one plan becomes better than another. They are variables for tests alone, which try both sides.
var planLimits = struct {
	manyAssets   int64 // so many assets make a term frequent
	fewRows      int64 // so many are fetched and sorted as quickly as a page is found by walking an order
	frequentHits int64 // so many of a sample make a term frequent
	digests      int   // so many ids a term of q may become
	listed       int   // so many values or ids a comparison may become; one that matches more is tested row by row
	lookups      int   // so many values are asked for one by one; for more, those of a field are read at once and tried in memory
	dictionary   int   // so many are read at once
	planned      int   // so many values may be asked for in a filter that is planned more than once
	early        int   // so many assets in a span of time are fetched as quickly as a page is found by walking an order
	// costly is from what cost on, in PostgreSQL's measure, a longer walk is tried before all is read. To read a million assets
	// as they lie is 70,000, a thousand of them by an index a few thousand.
	costly float64
}{manyAssets: 50_000, fewRows: 5000, frequentHits: 6, digests: 5000, listed: 2000, lookups: 4, dictionary: 100_000, planned: 20, early: 1000, costly: 20_000}

// maxPlannedValues bounds the parameters: SQLite takes 32,766, and long lists of values cost it more than a scan.
func (s *Store) maxPlannedValues() int {
	if s.dialect == SQLite {
		return 1000
	}
	return 10_000
}

// hasAlternatives says whether a filter joins comparisons by or.
func hasAlternatives(n rsql.Node) bool {
	return length(rsql.Comparisons(n)) > length(rsql.Required(n))
}

func length(list iter.Seq[*rsql.Comparison]) int {
	n := 0
	for range list {
		n++
	}
	return n
}
