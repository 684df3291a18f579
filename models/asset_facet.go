package models

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

// facetKey is a value of a field of an organization's assets. Key is set for tags only.
type facetKey struct{ organization, field, key, value string }

// folded is what the value is searched by.
func (k facetKey) folded() string {
	if k.field == "tags" {
		return rsql.Fold(k.key + "=" + k.value)
	}
	return rsql.Fold(k.value)
}

// facetDeltas collects by how much counts change. Every transaction that changes assets writes them at its end, sorted:
// the rows of assets are locked before, those of facets in one order, so that no two transactions wait for each other.
type facetDeltas map[facetKey]int64

func (d facetDeltas) add(organization, field, key, value string, n int64) {
	if value == "" && field != "tags" {
		return
	}
	d[facetKey{organization, field, key, value}] += n
}

// image counts what a new asset is found by.
func (d facetDeltas) image(organization string, i *Image) {
	d.add(organization, "type", "", AssetTypeContainerImage, 1)
	d.add(organization, "registry", "", i.Registry, 1)
	d.add(organization, "repository", "", i.Repository, 1)
	d.add(organization, "name", "", i.name(), 1)
	d.platform(organization, i, 1)
	d.edited(organization, i.Class, i.Labels, i.Tags, 1)
}

// platform counts, or with n = -1 no longer counts, what a later report of an image may bring.
func (d facetDeltas) platform(organization string, i *Image, n int64) {
	d.add(organization, "architecture", "", i.Architecture, n)
	d.add(organization, "os", "", i.OS, n)
}

// edited counts, or with n = -1 no longer counts, what people can change of an asset.
func (d facetDeltas) edited(organization, class string, labels []string, tags map[string]string, n int64) {
	d.add(organization, "class", "", class, n)
	for _, l := range labels {
		d.add(organization, "labels", "", l, n)
	}
	for k, v := range tags {
		d.add(organization, "tags", k, v, n)
	}
}

func (d facetDeltas) sorted() []facetKey {
	keys := make([]facetKey, 0, len(d))
	for k, n := range d {
		if n != 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b facetKey) int {
		return cmp.Or(strings.Compare(a.organization, b.organization), strings.Compare(a.field, b.field), strings.Compare(a.key, b.key), strings.Compare(a.value, b.value))
	})
	return keys
}

// FacetQuery asks for the distinct values of a field.
type FacetQuery struct {
	Organizations []string
	Field         string
	// Filter, where not nil, narrows the assets that count.
	Filter rsql.Node
	// Key limits the values of tags to those under a key; KeysOnly gives the keys instead of the values.
	Key      string
	KeysOnly bool
	// Term is a part of the value (of the key, with KeysOnly), without case.
	Term string
	// Sort is "value" or "count". Equal counts are sorted by value. Descending turns both around.
	Sort       string
	Descending bool
	// After, where set, is where the page begins; Backward reads the one before it.
	After    *FacetValue
	Backward bool
	Limit    int
	// NoCounts leaves the counts out, for those who ask for the first values only.
	NoCounts bool
}

// FacetValue is a distinct value with the number of assets that have it.
type FacetValue struct {
	Key   string
	Value string
	Count int64
}

// ListFacets gives distinct values and whether there are more. Without a filter it reads the counts that are kept, else it
// counts.
func (s *Store) ListFacets(ctx context.Context, q FacetQuery) ([]FacetValue, bool, error) {
	if len(q.Organizations) == 0 {
		return nil, false, nil
	}
	source, args, err := s.facetSource(ctx, q)
	if err != nil {
		return nil, false, err
	}
	if q.NoCounts && s.dialect == PostgreSQL {
		return s.firstFacets(ctx, q)
	}
	descending := q.Descending != q.Backward
	direction, op := "", " > "
	if descending {
		direction, op = " DESC", " < "
	}
	columns := []string{"key", "value"}
	if q.Sort == "count" {
		columns = []string{"n", "key", "value"}
	}
	query := "SELECT key, value, n FROM (" + source + ") f"
	if q.After != nil {
		values := []any{q.After.Key, q.After.Value}
		if q.Sort == "count" {
			values = append([]any{q.After.Count}, values...)
		}
		query += " WHERE (" + strings.Join(columns, ", ") + ")" + op + "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
		args = append(args, values...)
	}
	query += " ORDER BY " + strings.Join(columns, direction+", ") + direction + " LIMIT ?"
	rows, err := s.assetRows(ctx, query, append(args, q.Limit+1)...)
	list, err := scanAll(rows, err, func(rows *sql.Rows, v *FacetValue) error { return rows.Scan(&v.Key, &v.Value, &v.Count) })
	if err != nil {
		return nil, false, err
	}
	more := len(list) > q.Limit
	if more {
		list = list[:q.Limit]
	}
	if q.Backward {
		slices.Reverse(list)
	}
	return list, more, nil
}

// firstFacets gives the first values of each organization and, of those, the first of all: the index of the counts has them
// in order, so that nothing is counted and little is read.
func (s *Store) firstFacets(ctx context.Context, q FacetQuery) ([]FacetValue, bool, error) {
	where, args, value := s.facetCondition(q)
	columns := "key, value"
	if q.KeysOnly {
		columns = "key"
	}
	query := "SELECT DISTINCT f.key, f.value, CAST(0 AS bigint) FROM unnest(?::text[]) AS o(id) CROSS JOIN LATERAL (SELECT DISTINCT key, " + value + " AS value FROM asset_facets WHERE organization_id = o.id AND " +
		where + " ORDER BY " + columns + " LIMIT ?) f ORDER BY f.key, f.value LIMIT ?"
	rows, err := s.assetRows(ctx, query, append(append([]any{q.Organizations}, args...), q.Limit+1, q.Limit+1)...)
	list, err := scanAll(rows, err, func(rows *sql.Rows, v *FacetValue) error { return rows.Scan(&v.Key, &v.Value, &v.Count) })
	more := len(list) > q.Limit
	if more {
		list = list[:q.Limit]
	}
	return list, more, err
}

// facetSource is the SQL that gives key, value and n.
func (s *Store) facetSource(ctx context.Context, q FacetQuery) (string, []any, error) {
	if c, ok := q.Filter.(*rsql.Comparison); ok && c.Operator.Negative() {
		return s.restSource(ctx, q, c)
	}
	if q.Filter != nil {
		return s.countedSource(ctx, q, q.Filter)
	}
	in, list := s.among("organization_id", q.Organizations)
	where, args, value := s.facetCondition(q)
	group := "key, value"
	if q.KeysOnly {
		group = "key"
	}
	return "SELECT key, " + value + " AS value, CAST(SUM(n) AS bigint) AS n FROM asset_facets WHERE " + in + " AND " + where + " GROUP BY " + group, append([]any{list}, args...), nil
}

// countedSource counts the values of what a filter selects.
func (s *Store) countedSource(ctx context.Context, q FacetQuery, filter rsql.Node) (string, []any, error) {
	where, args, err := s.assetCondition(ctx, AssetQuery{Organizations: q.Organizations, Filter: filter})
	if err != nil {
		return "", nil, err
	}
	from, value := s.groupSource(q.Field)
	return "SELECT '' AS key, " + value + " AS value, COUNT(*) AS n FROM " + from + " WHERE " + where + " AND " + value + " IS NOT NULL AND " + value + " <> '' GROUP BY " + value, args, nil
}

// restSource takes what a comparison excludes away from the counts that are kept: mostly that is little, and what is left would
// have to be sorted.
func (s *Store) restSource(ctx context.Context, q FacetQuery, c *rsql.Comparison) (string, []any, error) {
	excluded := *c
	excluded.Operator = c.Operator.Complement()
	counted, args, err := s.countedSource(ctx, q, &excluded)
	if err != nil {
		return "", nil, err
	}
	in, list := s.among("organization_id", q.Organizations)
	return "SELECT '' AS key, value, CAST(SUM(n) AS bigint) AS n FROM (SELECT value, n FROM asset_facets WHERE " + in + " AND field = ? AND value <> '' UNION ALL SELECT value, -n FROM (" + counted +
		") c) u GROUP BY value HAVING SUM(n) > 0", append([]any{list, q.Field}, args...), nil
}

// facetCondition selects the counts of a field in any organization. value is the SQL of what is asked for.
func (s *Store) facetCondition(q FacetQuery) (where string, args []any, value string) {
	where, args = "field = ?", []any{q.Field}
	if q.Key != "" {
		where, args = where+" AND key = ?", append(args, q.Key)
	}
	value = "value"
	searched := s.folded("value")
	if q.KeysOnly {
		value, searched = "''", s.folded("key")
	} else if q.Field != "tags" {
		searched = "folded" // has an index
	}
	if q.Term != "" {
		where, args = where+" AND "+s.like(searched), append(args, rsql.ContainsPattern(q.Term))
	}
	return where, args, value
}

// mergeFacets writes changes of counts and drops what no asset has any more.
func (s *Store) mergeFacets(ctx context.Context, d facetDeltas) error {
	keys := d.sorted()
	if len(keys) == 0 {
		return nil
	}
	type row struct {
		organization, field, key, value, folded []string
		n                                       []int64
	}
	var all, gone row
	for _, k := range keys {
		for _, to := range []*row{&all, &gone} {
			if to == &gone && d[k] > 0 {
				continue
			}
			to.organization, to.field, to.key, to.value = append(to.organization, k.organization), append(to.field, k.field), append(to.key, k.key), append(to.value, k.value)
			to.folded, to.n = append(to.folded, k.folded()), append(to.n, d[k])
		}
	}
	insert := "INSERT INTO asset_facets (organization_id, field, key, value, folded, n) "
	merge := " ON CONFLICT (organization_id, field, key, value) DO UPDATE SET n = asset_facets.n + excluded.n"
	if s.dialect == PostgreSQL {
		_, err := s.assetExec(ctx, insert+"SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[])"+merge,
			all.organization, all.field, all.key, all.value, all.folded, all.n)
		if err != nil || len(gone.n) == 0 {
			return err
		}
		_, err = s.assetExec(ctx, `DELETE FROM asset_facets f USING unnest(?::text[], ?::text[], ?::text[], ?::text[]) AS x(organization_id, field, key, value)
			WHERE f.organization_id = x.organization_id AND f.field = x.field AND f.key = x.key AND f.value = x.value AND f.n <= 0`, gone.organization, gone.field, gone.key, gone.value)
		return err
	}
	list := make([][6]any, len(all.n))
	for i := range list {
		list[i] = [6]any{all.organization[i], all.field[i], all.key[i], all.value[i], all.folded[i], all.n[i]}
	}
	b, _ := json.Marshal(list) // texts and numbers always marshal
	_, err := s.assetExec(ctx, insert+`SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, CAST(value ->> 5 AS integer) FROM json_each(?) WHERE true`+merge, string(b))
	if err != nil || len(gone.n) == 0 {
		return err
	}
	_, err = s.assetExec(ctx, `DELETE FROM asset_facets WHERE n <= 0 AND (organization_id, field, key, value) IN (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?))`, string(b))
	return err
}
