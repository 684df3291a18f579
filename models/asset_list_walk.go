package models

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/rsql"
)

// walkedRows is how many rows of a list are walked in its order before all are read, at first and, where to read all is
// costly, once more. It is a variable for tests alone.
var walkedRows = map[Dialect][]int{
	SQLite: {2000},
	// The first costs a third of a millisecond, the second some ten.
	PostgreSQL: {300, 5000},
}

// assetWalk reads one page of a list.
type assetWalk struct {
	ctx     context.Context
	store   *Store
	query   AssetQuery
	page    *AssetPage // what is read is added to it
	planner *assetPlanner
	plan    assetPlan
	keys    []orderKey
	ranges  []keyRange
}

// readWalking reads a page of a list by walking the list's order a little way, and where that does not fill the page, by
// reading what the list holds and sorting it.
//
// A walk along an index in the list's order stops once the page is full. What is frequent fills it at once; for what is rare,
// or stands at the other end of the order, the walk goes through everything and fetches each row from another place. No
// database chooses well between the two: SQLite knows too little of the frequencies of values, and PostgreSQL takes the
// values of one field for independent of those of another, which times, names and repositories are not. So what fills a
// page early is found out by trying.
func (s *Store) readWalking(ctx context.Context, q AssetQuery, page *AssetPage) error {
	w := &assetWalk{ctx: ctx, store: s, query: q, page: page, keys: orderOf(q)}
	var err error
	if w.planner, err = s.newAssetPlanner(ctx, q); err != nil {
		return err
	}
	if w.plan, err = w.planner.plan(planEffort{}); err != nil {
		return err
	}
	w.plan = s.endInTime(ctx, q, w.plan)
	if w.ranges, err = rangesAfter(w.keys, q); err != nil {
		return err
	}
	if err := w.read(); err != nil {
		return fmt.Errorf("list assets: %w", err)
	}
	return nil
}

func (w *assetWalk) read() error {
	if w.plan.few {
		return w.readSorted()
	}
	walks := walkedRows[w.store.dialect]
	if len(w.keys) > 2 {
		walks = nil // no index has the order
	}
	weighed := w.store.dialect == SQLite
	for i, rows := range walks {
		if !weighed && (i == 0 && hasExactImageTag(w.query.Filter) || i > 0 && len(w.page.Assets) < w.query.Limit/5) {
			weighed = true
			if costly, err := w.weigh(); err != nil {
				return err
			} else if !costly {
				break
			}
		}
		w.page.Assets = nil
		if whole, err := w.walk(rows); err != nil || whole {
			return err
		}
	}
	if !weighed {
		if _, err := w.weigh(); err != nil {
			return err
		}
	}
	w.page.Assets = nil
	return w.readSorted()
}

// hasExactImageTag says that all assets of a list have one of some image tags. Of these PostgreSQL knows the frequencies of the
// most common ones, and that all others are rarer, so that it need not be tried.
func hasExactImageTag(n rsql.Node) bool {
	for c := range rsql.Required(n) {
		exact := c.Operator == rsql.Equal && len(c.Values[0].Wildcards) == 0 || c.Operator == rsql.In
		if c.Field == "image_tag" && exact && !slices.ContainsFunc(c.Values, isEmpty) {
			return true
		}
	}
	return false
}

// weigh plans a list again that does not fill a page at once, and says whether it is still costly to read all of it. It is for
// PostgreSQL.
func (w *assetWalk) weigh() (costly bool, err error) {
	effort := planEffort{thorough: gainsByLookups(w.query.Filter)}
	if effort.thorough {
		if w.plan, err = w.planner.plan(effort); err != nil || w.plan.few {
			return false, err
		}
	}
	if costly, err = w.costly(); err != nil || !costly || !w.plan.rare {
		return costly, err
	}
	effort.scanned = true
	w.plan, err = w.planner.plan(effort)
	return true, err
}

// walk reads the page from the first rows of each range, up to one that is longer, and says whether it is whole.
func (w *assetWalk) walk(rows int) (whole bool, err error) {
	for _, r := range w.ranges {
		where, args := w.plan.scope+and(r.sql)+and(w.plan.inOrder), slices.Concat(w.plan.scopeArgs, r.args, w.plan.inOrderArgs)
		ordered := " FROM assets WHERE " + where + " ORDER BY " + orderBy(w.keys, false) + " LIMIT ?) AS assets"
		missing := w.query.Limit + 1 - len(w.page.Assets)
		query, queryArgs := w.store.pageQuery("(SELECT *"+ordered, w.plan.filter, w.keys, pageOptions{}, slices.Concat(args, []any{rows}, w.plan.filterArgs, []any{missing}))
		if _, err := w.store.appendRows(w.ctx, w.query, w.page, query, queryArgs); err != nil {
			return false, err
		}
		if len(w.page.Assets) > w.query.Limit {
			return true, nil
		}
		if len(w.ranges) == 1 && (w.plan.inOrder == "" || len(w.page.Assets) >= w.query.Limit/5) {
			return false, nil // mostly there is more
		}
		walked, err := w.store.countRows(w.ctx, "SELECT COUNT(*) FROM (SELECT 1 AS one"+ordered, append(args, rows)...)
		if err != nil || walked >= int64(rows) {
			return false, err
		}
	}
	return true, nil
}

// readSorted reads the page by reading all that the list holds behind its cursor, and counts that on the way, where it is the
// whole list: to read all of it again for its count takes as long again.
func (w *assetWalk) readSorted() error {
	query, args := w.sortedQuery()
	rows, err := w.store.appendRows(w.ctx, w.query, w.page, query, args)
	if err == nil && w.counts() {
		n := int64(0)
		if len(rows) > 0 {
			n = rows[0].number
		}
		w.page.Count = &n
	}
	return err
}

// counts says whether the sorted query gives the number of its rows.
func (w *assetWalk) counts() bool { return w.query.Counted && w.query.After == nil }

func (w *assetWalk) sortedQuery() (string, []any) {
	var parts []string
	args := slices.Clone(w.plan.scopeArgs)
	for _, r := range w.ranges {
		if r.sql != "" {
			parts, args = append(parts, "("+r.sql+")"), append(args, r.args...)
		}
	}
	behind := ""
	if len(parts) > 0 {
		behind = "(" + strings.Join(parts, " OR ") + ")"
	}
	where := w.plan.scope + and(behind) + and(w.plan.filter)
	return w.store.pageQuery("assets", where, w.store.withoutIndex(w.keys), pageOptions{many: !w.plan.few, counted: w.counts()}, slices.Concat(args, w.plan.filterArgs, []any{w.query.Limit + 1}))
}

// pageOptions say how a page is read.
type pageOptions struct {
	// many are sorted: only what they are sorted by is taken along, for whole rows cost as much again as to read them.
	many bool
	// counted has each row begin with how many there are.
	counted bool
}

// pageQuery is the SQL of the first rows that meet a condition, in the order of the keys. The last argument is their number.
func (s *Store) pageQuery(from, where string, keys []orderKey, o pageOptions, args []any) (string, []any) {
	if where == "" {
		where = "1 = 1"
	}
	taken, assets, number := "assets.*", "p", "0"
	if o.many {
		taken, assets = "assets.id", "f JOIN assets p ON p.id = f.id"
	}
	if o.counted {
		taken, number = taken+", COUNT(*) OVER () AS counted", "counted"
	}
	return "SELECT " + number + ", " + s.assetColumns() + " FROM (SELECT " + taken + " FROM " + from + " WHERE " + where + " ORDER BY " + orderBy(keys, false) +
		" LIMIT ?) " + assets + " LEFT JOIN asset_details d ON d.asset_id = p.id ORDER BY " + orderBy(keys, true), args
}

var plannedCost = regexp.MustCompile(`cost=[0-9.]+\.\.([0-9.]+) `)

// costly says whether PostgreSQL expects much of reading a page sorted.
func (w *assetWalk) costly() (bool, error) {
	query, args := w.sortedQuery()
	rows, err := w.store.assetRows(w.ctx, "EXPLAIN "+query, args...)
	lines, err := scanAll(rows, err, scanText)
	if err != nil {
		return false, err
	}
	cost, found := 0.0, false
	for i, line := range lines {
		m := plannedCost.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		part, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return false, err
		}
		switch {
		case !found:
			cost, found = part, true
		case strings.Contains(lines[i-1], "InitPlan"):
			cost -= part // for ids that are known to be few, whatever PostgreSQL expects of them
		}
	}
	if found {
		return cost > planLimits.costly, nil
	}
	return false, fmt.Errorf("no cost in the plan %q", lines)
}

// withoutIndex is the same order, for which the database takes no index.
func (s *Store) withoutIndex(keys []orderKey) []orderKey {
	keys = slices.Clone(keys)
	for i, k := range keys {
		keys[i].expression = "+" + k.column
		if s.dialect == PostgreSQL {
			keys[i].expression = "COALESCE(" + k.column + ", " + k.column + ")"
		}
	}
	return keys
}

// and puts AND before a condition, unless there is none.
func and(condition string) string {
	if condition == "" {
		return ""
	}
	return " AND " + condition
}
