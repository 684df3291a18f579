package models

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// walkedRows is how many rows SQLite walks in the list's order before it reads all. It is a variable for tests alone.
var walkedRows = 2000

// readPageSQLite reads a page of a filtered list.
//
// SQLite knows too little of the frequencies of values to choose between walking an index in the list's order, which stops
// once the page is full, and reading all rows and sorting what it found. A walk through everything fetches each row from
// another place and takes six times as long as reading them as they lie. So it walks a little first: what is frequent
// fills the page with that. Else it reads all.
func (s *Store) readPageSQLite(ctx context.Context, q AssetQuery, page *AssetPage) error {
	c, err := s.compileAssetFilter(ctx, q.Organizations, q.Filter)
	if err != nil {
		return err
	}
	filter, filterArgs := c.Question()
	in, list := s.among("+assets.organization_id", q.Organizations) // see inOrganizations
	keys := orderOf(q)
	ranges, err := rangesAfter(keys, q)
	if err != nil {
		return err
	}
	if len(keys) <= 2 { // more have no index that gives their order
		r := ranges[0]
		from := "(SELECT * FROM assets WHERE " + in + and(r.sql) + " ORDER BY " + orderBy(keys, false) + " LIMIT ?) AS assets"
		args := slices.Concat([]any{list}, r.args, []any{walkedRows}, filterArgs, []any{q.Limit + 1})
		if err := s.listFrom(ctx, q, page, from, filter, keys, args); err != nil || len(page.Assets) > q.Limit {
			return err
		}
	}
	keys = withoutIndex(keys)
	if ranges, err = rangesAfter(keys, q); err != nil {
		return err
	}
	var parts []string
	args := []any{list}
	for _, r := range ranges {
		if r.sql != "" {
			parts, args = append(parts, "("+r.sql+")"), append(args, r.args...)
		}
	}
	behind := ""
	if len(parts) > 0 {
		behind = "(" + strings.Join(parts, " OR ") + ")"
	}
	page.Assets = nil
	return s.listFrom(ctx, q, page, "assets", in+and(behind)+" AND "+filter, keys, append(append(args, filterArgs...), q.Limit+1))
}

// listFrom appends the first rows that meet a condition to the page. The last argument is their number.
func (s *Store) listFrom(ctx context.Context, q AssetQuery, page *AssetPage, from, where string, keys []orderKey, args []any) error {
	query := "SELECT p.ordinal, " + s.assetColumns() + " FROM (SELECT assets.*, 0 AS ordinal FROM " + from + " WHERE " + where +
		" ORDER BY " + orderBy(keys, false) + " LIMIT ?) p LEFT JOIN asset_details d ON d.asset_id = p.id ORDER BY " + orderBy(keys, true)
	if err := s.appendRows(ctx, q, page, query, args); err != nil {
		return fmt.Errorf("list assets: %w", err)
	}
	return nil
}

// withoutIndex is the same order, for which SQLite takes no index.
func withoutIndex(keys []orderKey) []orderKey {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].column = "+" + keys[i].column
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
