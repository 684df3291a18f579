package models

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/rsql"
)

// AssetQuery says which assets a list holds and in which order.
type AssetQuery struct {
	// Organizations are the ids of the organizations whose assets are listed. None gives nothing.
	Organizations []string
	// Filter, where not nil, narrows the list.
	Filter rsql.Node
	// Search, where not "", is the search whose kept results are listed instead of all assets.
	Search string
	// Sort is any of AssetSorts and SortOrdinal. The id breaks ties, in the direction of the first field.
	Sort rsql.Sort
	// After, where not nil, is where the page begins: behind this row, or, with Backward, before it.
	After    *rsql.Cursor
	Backward bool
	// Limit is the number of assets on a page.
	Limit int
	// Counted says that the whole list is to be counted as well, whatever its cursor and limit.
	Counted bool
}

// SortOrdinal sorts the results of a search in the order in which they were found.
const SortOrdinal = "ordinal"

// assetSortColumns are the columns behind the fields of orders. Fields that an image does not have sort as NULL, that is:
// not at all.
var assetSortColumns = map[string]string{
	"created_at": "assets.created_at", "updated_at": "assets.updated_at", "class": "assets.class", "registry": "assets.registry", "name": "assets.name",
	SortOrdinal: "r.ordinal", "type": "", "url": "", "scm": "",
}

// AssetPage is a page of a list, in the order of the list also when it was read backward.
type AssetPage struct {
	Assets []Asset
	// Ordinals are the places of the assets in a search's results, where it is one.
	Ordinals []int64
	// More says that the list goes on behind the page (before it, where it was read backward).
	More bool
	// Count is how many assets the whole list has; nil where that was not asked for.
	Count *int64
}

// Cursor gives the place of the page's i-th asset under an order.
func (p *AssetPage) Cursor(sort rsql.Sort, i int) rsql.Cursor {
	a := &p.Assets[i]
	c := rsql.Cursor{ID: a.ID}
	for _, k := range sort {
		var v any
		switch k.Field {
		case "created_at":
			v = a.CreatedAt
		case "updated_at":
			v = a.UpdatedAt
		case "class":
			if a.Class != nil {
				v = *a.Class
			}
		case "registry":
			v = a.Registry
		case "name":
			v = a.Name
		case SortOrdinal:
			v = p.Ordinals[i]
		}
		c.Values = append(c.Values, v)
	}
	return c
}

// ListAssets gives one page.
//
// A page deep in the list costs what the first costs: it begins at the cursor's place in an index. Where the order has
// several fields, or one that can be NULL, no single comparison says "behind this row" in a way that an index serves, so
// the rows behind it are read as several ranges, one after another: those equal in all fields but the last, then those
// equal in all but the last two, and so on. Mostly the first two fill the page.
func (s *Store) ListAssets(ctx context.Context, q AssetQuery) (*AssetPage, error) {
	page := &AssetPage{}
	if len(q.Organizations) > 0 {
		if err := s.readPage(ctx, q, page); err != nil {
			return nil, err
		}
	}
	if page.More = len(page.Assets) > q.Limit; page.More {
		page.Assets = page.Assets[:q.Limit]
		if q.Search != "" {
			page.Ordinals = page.Ordinals[:q.Limit]
		}
	}
	if q.Backward {
		slices.Reverse(page.Assets)
		slices.Reverse(page.Ordinals)
	}
	switch {
	case !q.Counted || page.Count != nil:
	case q.After == nil && !page.More:
		n := int64(len(page.Assets))
		page.Count = &n
	default:
		n, err := s.CountAssets(ctx, q)
		if err != nil {
			return nil, err
		}
		page.Count = &n
	}
	return page, nil
}

// readPage reads the rows of a page and, where there are more, one more.
func (s *Store) readPage(ctx context.Context, q AssetQuery, page *AssetPage) error {
	walked := q.Filter != nil || !s.hasOrderedIndex(q)
	if s.dialect == PostgreSQL && q.Filter != nil && countLookups(q.Filter) > planLimits.planned {
		walked = false // to plan such a filter is what takes longest
	}
	if q.Search == "" && walked {
		return s.readWalking(ctx, q, page)
	}
	base, args, err := s.assetCondition(ctx, q)
	if err != nil {
		return err
	}
	keys := orderOf(q)
	ranges, err := rangesAfter(keys, q)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		missing := q.Limit + 1 - len(page.Assets)
		if missing <= 0 {
			break
		}
		if err := s.listRange(ctx, q, page, keys, base, args, r, missing); err != nil {
			return fmt.Errorf("list assets: %w", err)
		}
	}
	return nil
}

// listRange appends the first rows of a range to the page.
func (s *Store) listRange(ctx context.Context, q AssetQuery, page *AssetPage, keys []orderKey, base string, args []any, r keyRange, limit int) error {
	args = append(slices.Clone(args), r.args...)
	where := base
	if r.sql != "" {
		where += " AND " + r.sql
	}
	from, ordinal := "assets", "0"
	if s.mergesOrganizations(q) {
		return s.listMerged(ctx, q, page, keys, r, limit)
	}
	if q.Search != "" {
		from, ordinal = "asset_search_results r JOIN assets ON assets.id = r.asset_id", "r.ordinal"
	}
	inner, outer := orderBy(keys, false), orderBy(keys, true)
	query := "SELECT p.ordinal, " + s.assetColumns() + " FROM (SELECT assets.*, " + ordinal + " AS ordinal FROM " + from + " WHERE " + where +
		" ORDER BY " + inner + " LIMIT ?) p LEFT JOIN asset_details d ON d.asset_id = p.id ORDER BY " + outer
	_, err := s.appendRows(ctx, q, page, query, append(args, limit))
	return err
}

// hasOrderedIndex says that an index has the whole list of each organization in order. In other orders, those of others
// stand between.
func (s *Store) hasOrderedIndex(q AssetQuery) bool {
	return s.dialect == SQLite || len(q.Organizations) == 1 && byTime(q.Sort) || s.mergesOrganizations(q)
}

// byTime says that a list is sorted by when assets were added or changed.
func byTime(sort rsql.Sort) bool {
	return len(sort) == 1 && (sort[0].Field == "created_at" || sort[0].Field == "updated_at")
}

// mergesOrganizations says that the whole list of several organizations is asked for by time. An index has that order for
// each of them, so the first rows of each are enough; one walk through all assets could meet those of others for
// a long time. Where there are many organizations, the walk is the better way again.
func (s *Store) mergesOrganizations(q AssetQuery) bool {
	const many = 100
	return s.dialect == PostgreSQL && q.Filter == nil && q.Search == "" && len(q.Organizations) > 1 && len(q.Organizations) <= many && byTime(q.Sort)
}

// listMerged appends the first rows of a range, taken from the first rows of each organization.
func (s *Store) listMerged(ctx context.Context, q AssetQuery, page *AssetPage, keys []orderKey, r keyRange, limit int) error {
	where := "assets.organization_id = o.id"
	if r.sql != "" {
		where += " AND " + r.sql
	}
	args := append(append([]any{q.Organizations}, r.args...), limit, limit)
	outer := orderBy(keys, true)
	query := "SELECT p.ordinal, " + s.assetColumns() + " FROM (SELECT a.*, 0 AS ordinal FROM unnest(?::text[]) AS o(id) CROSS JOIN LATERAL (SELECT assets.* FROM assets WHERE " + where +
		" ORDER BY " + orderBy(keys, false) + " LIMIT ?) a ORDER BY " + strings.ReplaceAll(outer, "p.", "a.") + " LIMIT ?) p LEFT JOIN asset_details d ON d.asset_id = p.id ORDER BY " + outer
	_, err := s.appendRows(ctx, q, page, query, args)
	return err
}

// numberedAsset is an asset that was read with a number before its columns: its place in a search's results, or how many there
// are of its list.
type numberedAsset struct {
	number int64
	asset  Asset
}

// appendRows runs a query for assets with a number before each and appends the assets to the page, with the numbers as their
// ordinals where they are of a search.
func (s *Store) appendRows(ctx context.Context, q AssetQuery, page *AssetPage, query string, args []any) ([]numberedAsset, error) {
	rows, err := s.assetRows(ctx, query, args...)
	list, err := scanAll(rows, err, func(rows *sql.Rows, v *numberedAsset) error { return scanAsset(rows, &v.asset, &v.number) })
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		page.Assets = append(page.Assets, v.asset)
		if q.Search != "" {
			page.Ordinals = append(page.Ordinals, v.number)
		}
	}
	return list, nil
}

// scanAsset reads what assetColumns lists, behind further columns.
func scanAsset(rows *sql.Rows, a *Asset, before ...any) error {
	var labels, tags, imageTags string
	var digests, document sql.NullString
	var built sql.NullTime
	into := append(before, &a.ID, &a.OrganizationID, &a.Registry, &a.Repository, &a.Name, &a.ConfigDigest, &a.Architecture, &a.OS, &a.Class, &a.ClassLocked,
		&labels, &tags, &imageTags, &a.TotalImageTags, &a.SizeBytes, &built, &a.LastSeenAt, &a.CreatedAt, &a.UpdatedAt, &digests, &document)
	if err := rows.Scan(into...); err != nil {
		return err
	}
	a.Labels, a.Tags, a.ImageTags = json.RawMessage(labels), json.RawMessage(tags), json.RawMessage(imageTags)
	a.Digests, a.Document = json.RawMessage(digests.String), json.RawMessage(document.String)
	for _, t := range []*time.Time{&a.LastSeenAt, &a.CreatedAt, &a.UpdatedAt} {
		*t = t.UTC()
	}
	if built.Valid {
		t := built.Time.UTC()
		a.BuiltAt = &t
	}
	return nil
}

// CountAssets counts the assets of a list, whatever its cursor and limit. Without a filter it reads the count that is
// kept, else it counts.
func (s *Store) CountAssets(ctx context.Context, q AssetQuery) (int64, error) {
	if len(q.Organizations) == 0 {
		return 0, nil
	}
	if q.Filter == nil && q.Search == "" {
		return s.countAll(ctx, q.Organizations)
	}
	where, args, err := s.assetCondition(ctx, q)
	if err != nil {
		return 0, err
	}
	from := "assets"
	if q.Search != "" {
		from = "asset_search_results r JOIN assets ON assets.id = r.asset_id"
	}
	return s.countRows(ctx, "SELECT COUNT(*) FROM "+from+" WHERE "+where, args...)
}

// countAll reads how many assets the organizations have.
func (s *Store) countAll(ctx context.Context, organizations []string) (int64, error) {
	in, list := s.among("organization_id", organizations)
	return s.countRows(ctx, "SELECT CAST(COALESCE(SUM(n), 0) AS bigint) FROM asset_facets WHERE field = 'type' AND "+in, list)
}

func (s *Store) countRows(ctx context.Context, query string, args ...any) (int64, error) {
	rows, err := s.assetRows(ctx, query, args...)
	list, err := scanAll(rows, err, scanNumber)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0], nil
}

// AssetByID finds an asset of one of the organizations; ErrNotFound where there is none.
func (s *Store) AssetByID(ctx context.Context, organizations []string, id string) (*Asset, error) {
	list, err := s.AssetsByID(ctx, organizations, []string{id})
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// AssetsByID finds those of the ids that are assets of one of the organizations, sorted by id.
func (s *Store) AssetsByID(ctx context.Context, organizations, ids []string) ([]Asset, error) {
	if len(organizations) == 0 || len(ids) == 0 {
		return nil, nil
	}
	in, list := s.among("p.organization_id", organizations)
	one, idList := s.amongIDs("p.id", ids)
	rows, err := s.assetRows(ctx, "SELECT "+s.assetColumns()+" FROM assets p LEFT JOIN asset_details d ON d.asset_id = p.id WHERE "+one+" AND "+in+" ORDER BY p.id", idList, list)
	return scanAll(rows, err, func(rows *sql.Rows, a *Asset) error { return scanAsset(rows, a) })
}

// orderKey is one column of an order, in the direction in which the page is read.
type orderKey struct {
	column     string
	expression string // where not "", what rows are sorted by instead, see withoutIndex
	field      int    // in q.Sort; -1 for the id
	descending bool
	nullable   bool
	nullsFirst bool // NULLs come last in a list, so first when it is read backward
}

func orderOf(q AssetQuery) []orderKey {
	var keys []orderKey
	for i, k := range q.Sort {
		column := assetSortColumns[k.Field]
		if column == "" {
			continue
		}
		nullable := k.Field == "class"
		keys = append(keys, orderKey{column: column, field: i, descending: k.Descending != q.Backward, nullable: nullable, nullsFirst: nullable && q.Backward})
	}
	down := q.Backward
	if len(keys) > 0 {
		down = keys[0].descending // so that one index, read either way, serves both the field and the id
	}
	return append(keys, orderKey{column: "assets.id", field: -1, descending: down})
}

// orderBy is the SQL of an order, of the assets or, outer, of the page made of them.
func orderBy(keys []orderKey, outer bool) string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = cmp.Or(k.expression, k.column)
		if outer {
			list[i] = "p." + k.column[strings.IndexByte(k.column, '.')+1:]
		}
		if k.descending {
			list[i] += " DESC"
		}
		// Said only where it is not the database's default, which differs: NULLs are the largest values on PostgreSQL and
		// the smallest on SQLite.
		if k.nullable && k.nullsFirst {
			list[i] += " NULLS FIRST"
		} else if k.nullable {
			list[i] += " NULLS LAST"
		}
	}
	return strings.Join(list, ", ")
}

// keyRange is a part of the rows behind a cursor.
type keyRange struct {
	sql  string
	args []any
}

// rangesAfter splits the rows behind the cursor into ranges, in the order of the list.
func rangesAfter(keys []orderKey, q AssetQuery) ([]keyRange, error) {
	if q.After == nil {
		return []keyRange{{}}, nil
	}
	if len(q.After.Values) != len(q.Sort) {
		return nil, fmt.Errorf("list assets: a cursor with %d values for %d fields", len(q.After.Values), len(q.Sort))
	}
	value := func(k orderKey) any {
		if k.field < 0 {
			return q.After.ID
		}
		return q.After.Values[k.field]
	}
	if simple(keys) {
		var columns, marks []string
		var args []any
		for _, k := range keys {
			columns, marks, args = append(columns, k.column), append(marks, "?"), append(args, value(k))
		}
		op := " > "
		if keys[0].descending {
			op = " < "
		}
		return []keyRange{{sql: "(" + strings.Join(columns, ", ") + ")" + op + "(" + strings.Join(marks, ", ") + ")", args: args}}, nil
	}
	var ranges []keyRange
	for i := len(keys) - 1; i >= 0; i-- {
		var parts []string
		var args []any
		for _, k := range keys[:i] {
			if v := value(k); v == nil {
				parts = append(parts, k.column+" IS NULL")
			} else {
				parts, args = append(parts, k.column+" = ?"), append(args, v)
			}
		}
		k, v := keys[i], value(keys[i])
		add := func(part string, more ...any) {
			ranges = append(ranges, keyRange{sql: strings.Join(append(slices.Clone(parts), part), " AND "), args: append(slices.Clone(args), more...)})
		}
		switch {
		case v == nil && k.nullsFirst:
			add(k.column + " IS NOT NULL")
		case v == nil: // nothing is behind NULL
		case k.descending:
			add(k.column+" < ?", v)
		default:
			add(k.column+" > ?", v)
		}
		if v != nil && k.nullable && !k.nullsFirst {
			add(k.column + " IS NULL")
		}
	}
	return ranges, nil
}

// simple says that one comparison of rows says what is behind a cursor.
func simple(keys []orderKey) bool {
	for _, k := range keys {
		if k.nullable || k.descending != keys[0].descending {
			return false
		}
	}
	return true
}
