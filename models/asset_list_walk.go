package models

import (
	"context"
	"database/sql"
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

// readWalking reads a page of a list by walking the list's order a little way, and where that does not fill the page, by
// reading what the list holds and sorting it.
//
// A walk along an index in the list's order stops once the page is full. What is frequent fills it at once; for what is rare,
// or stands at the other end of the order, the walk goes through everything and fetches each row from another place. No
// database chooses well between the two: SQLite knows too little of the frequencies of values, and PostgreSQL takes the
// values of one field for independent of those of another, which times, names and repositories are not. So what fills a
// page early is found out by trying.
func (s *Store) readWalking(ctx context.Context, q AssetQuery, page *AssetPage) error {
	p := s.newAssetPlanner(ctx, q.Organizations)
	plan, err := p.plan(q)
	if err != nil {
		return err
	}
	plan = s.endInTime(ctx, q, plan)
	keys := orderOf(q)
	ranges, err := rangesAfter(keys, q)
	if err != nil {
		return err
	}
	if plan.few && s.dialect == PostgreSQL {
		return s.readSorted(ctx, q, page, plan, keys, ranges)
	}
	walks := walkedRows[s.dialect]
	if len(keys) > 2 {
		walks = nil // no index has the order
	}
	weighed := s.dialect == SQLite
	for i, rows := range walks {
		if !weighed && (i == 0 && hasExactImageTag(q.Filter) || i > 0 && len(page.Assets) < q.Limit/5) {
			weighed = true
			var costly bool
			if plan, costly, err = s.weigh(ctx, p, q, plan, keys, ranges); err != nil {
				return err
			}
			if !costly {
				break
			}
		}
		page.Assets = nil
		if whole, err := s.walk(ctx, q, page, plan, keys, ranges, rows); err != nil || whole {
			return err
		}
	}
	if !weighed {
		if plan, _, err = s.weigh(ctx, p, q, plan, keys, ranges); err != nil {
			return err
		}
	}
	page.Assets = nil
	return s.readSorted(ctx, q, page, plan, keys, ranges)
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
func (s *Store) weigh(ctx context.Context, p *assetPlanner, q AssetQuery, plan assetPlan, keys []orderKey, ranges []keyRange) (assetPlan, bool, error) {
	var err error
	if p.thorough = isCounted(q.Filter); p.thorough {
		if plan, err = p.plan(q); err != nil || plan.few {
			return plan, false, err
		}
	}
	costly, err := s.costly(ctx, q, plan, keys, ranges)
	if err != nil || !costly || len(p.rare) == 0 {
		return plan, costly, err
	}
	p.scanned = true
	plan, err = p.plan(q)
	return plan, true, err
}

// walk reads a page from the first rows of each range, up to one that is longer, and says whether it is whole.
func (s *Store) walk(ctx context.Context, q AssetQuery, page *AssetPage, plan assetPlan, keys []orderKey, ranges []keyRange, rows int) (bool, error) {
	for _, r := range ranges {
		where, args := plan.scope+and(r.sql)+and(plan.inOrder), slices.Concat(plan.scopeArgs, r.args, plan.inOrderArgs)
		from := "(SELECT * FROM assets WHERE " + where + " ORDER BY " + orderBy(keys, false) + " LIMIT ?) AS assets"
		query, queryArgs := s.pageQuery(from, plan.filter, keys, false, slices.Concat(args, []any{rows}, plan.filterArgs, []any{q.Limit + 1 - len(page.Assets)}))
		if err := s.appendRows(ctx, q, page, query, queryArgs); err != nil {
			return false, fmt.Errorf("list assets: %w", err)
		}
		if len(page.Assets) > q.Limit {
			return true, nil
		}
		if len(ranges) == 1 {
			return false, nil
		}
		walked, err := s.countRows(ctx, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM assets WHERE "+where+" ORDER BY "+orderBy(keys, false)+" LIMIT ?) x", append(args, rows)...)
		if err != nil || walked >= int64(rows) {
			return false, err
		}
	}
	return true, nil
}

// readSorted reads a page by reading all that the list holds behind its cursor.
func (s *Store) readSorted(ctx context.Context, q AssetQuery, page *AssetPage, plan assetPlan, keys []orderKey, ranges []keyRange) error {
	query, args := s.sortedQuery(q, plan, keys, ranges)
	if err := s.appendRows(ctx, q, page, query, args); err != nil {
		return fmt.Errorf("list assets: %w", err)
	}
	return nil
}

func (s *Store) sortedQuery(q AssetQuery, plan assetPlan, keys []orderKey, ranges []keyRange) (string, []any) {
	var parts []string
	args := slices.Clone(plan.scopeArgs)
	for _, r := range ranges {
		if r.sql != "" {
			parts, args = append(parts, "("+r.sql+")"), append(args, r.args...)
		}
	}
	behind := ""
	if len(parts) > 0 {
		behind = "(" + strings.Join(parts, " OR ") + ")"
	}
	return s.pageQuery("assets", plan.scope+and(behind)+and(plan.filter), s.withoutIndex(keys), !plan.few, append(append(args, plan.filterArgs...), q.Limit+1))
}

// pageQuery is the SQL of the first rows that meet a condition, in the order of the keys. The last argument is their number.
// Where many are sorted, only what they are sorted by is taken along: whole rows cost as much again as to read them.
func (s *Store) pageQuery(from, where string, keys []orderKey, many bool, args []any) (string, []any) {
	if where == "" {
		where = "1 = 1"
	}
	taken, assets := "*", "p"
	if many {
		taken, assets = "id", "f JOIN assets p ON p.id = f.id"
	}
	return "SELECT 0, " + s.assetColumns() + " FROM (SELECT assets." + taken + " FROM " + from + " WHERE " + where + " ORDER BY " + orderBy(keys, false) +
		" LIMIT ?) " + assets + " LEFT JOIN asset_details d ON d.asset_id = p.id ORDER BY " + orderBy(keys, true), args
}

var plannedCost = regexp.MustCompile(`cost=[0-9.]+\.\.([0-9.]+) `)

// costly says whether PostgreSQL expects much of reading a page sorted.
func (s *Store) costly(ctx context.Context, q AssetQuery, plan assetPlan, keys []orderKey, ranges []keyRange) (bool, error) {
	query, args := s.sortedQuery(q, plan, keys, ranges)
	rows, err := s.assetRows(ctx, "EXPLAIN "+query, args...)
	lines, err := scanAll(rows, err, func(rows *sql.Rows, line *string) error { return rows.Scan(line) })
	if err != nil {
		return false, fmt.Errorf("plan a list of assets: %w", err)
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
	return false, fmt.Errorf("plan a list of assets: no cost in %q", lines)
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
