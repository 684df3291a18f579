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

// assetPlanner rewrites a filter into one that selects the same assets and that an index serves.
//
// Patterns and short terms cannot use an index, but the distinct values of most fields are few: they are looked up in
// asset_facets first, and the pattern becomes a list of the values that match it. The database also estimates a list of
// values well, and so knows when to walk the list's order and stop early instead.
type assetPlanner struct {
	store         *Store
	ctx           context.Context
	organizations []string
	lookups       int                    // how many more queries may be asked
	values        int                    // how many more values may be written into the filter
	many          bool                   // more than planLimits.lookups
	dictionaries  map[string]*dictionary // by field, nil where there are too many
	found         map[string][]string    // the ids that queries gave, by query and arguments
	rare          []rareRows
	// thorough says that it is worth a few more lookups to know that little is selected: a page was not filled at once, or
	// all is read anyway.
	thorough bool
	// scanned says that all assets are read and the condition is tried on each.
	scanned   bool
	selective bool   // the filter is known to select few
	sort      string // the field that the list is sorted by first
	err       error
}

func (s *Store) newAssetPlanner(ctx context.Context, organizations []string) *assetPlanner {
	return &assetPlanner{store: s, ctx: ctx, organizations: organizations, dictionaries: map[string]*dictionary{}, found: map[string][]string{}}
}

// plan checks a query's filter and plans it for the database. The error is an *rsql.Error where the client is wrong.
func (p *assetPlanner) plan(q AssetQuery) (assetPlan, error) {
	var plan assetPlan
	var err error
	if plan.scope, plan.scopeArgs, err = p.store.inOrganizations(p.ctx, q); err != nil || q.Filter == nil {
		return plan, err
	}
	if err := CheckAssetFilter(q.Filter); err != nil {
		return plan, err
	}
	p.lookups, p.values, p.many, p.rare = p.store.maxLookups(), p.store.maxPlannedValues(), countLookups(q.Filter) > planLimits.lookups, nil
	if p.sort = ""; len(q.Sort) > 0 {
		p.sort = q.Sort[0].Field
	}
	planned := p.whole(q.Filter)
	plan.few = selectsFew(planned)
	p.selective = plan.few && p.store.dialect == PostgreSQL
	p.drive(planned)
	fields := plannedAssetFields(p.search, p.findRare)
	c, err := fields.Compile(planned, p.store.rsqlDialect())
	if p.err != nil {
		return plan, fmt.Errorf("look up what a filter names: %w", p.err)
	}
	if err != nil {
		return plan, err
	}
	plan.filter, plan.filterArgs = c.Question()
	if parts := p.inOrder(planned); len(parts) > 0 {
		if c, err = fields.Compile(parts, p.store.rsqlDialect()); err != nil {
			return plan, err
		}
		plan.inOrder, plan.inOrderArgs = c.Question()
	}
	return plan, nil
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

// inOrder gives the parts of a filter that say where in a list's order its assets stand, so that a walk begins there. They
// are such as the order's index on PostgreSQL serves.
func (p *assetPlanner) inOrder(n rsql.Node) rsql.And {
	if p.store.dialect != PostgreSQL {
		return nil
	}
	var parts rsql.And
	for c := range rsql.Required(n) {
		if c.Field == p.sort && len(c.Values) == 1 && c.Values[0].Text != "" && len(c.Values[0].Wildcards) == 0 && !c.Operator.Negative() {
			parts = append(parts, c)
		}
	}
	return parts
}

// rareRows is the condition that selects assets which are few.
type rareRows struct {
	sql  string
	args []any
	// driving says that what the whole filter selects is among these.
	driving bool
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

// Fields that only rewritten filters name. Clients cannot: their filters are checked against publicAssetFields first.
const (
	fieldNever    = "0-never"     // matches nothing
	fieldTagLines = "0-tag-lines" // tags as an array of key=value
	fieldRare     = "0-rare"      // one of assetPlanner.rare
)

// maxPlannedValues bounds the parameters: SQLite takes 32,766, and long lists of values cost it more than a scan.
func (s *Store) maxPlannedValues() int {
	if s.dialect == SQLite {
		return 1000
	}
	return 10_000
}

var (
	never  = &rsql.Comparison{Field: fieldNever, Operator: rsql.Equal, Values: []rsql.Value{{Text: "-"}}}
	always = &rsql.Comparison{Field: "type", Operator: rsql.Equal, Values: []rsql.Value{{Text: AssetTypeContainerImage}}}
)

func (p *assetPlanner) node(n rsql.Node) rsql.Node {
	switch n := n.(type) {
	case rsql.And:
		parts := make(rsql.And, len(n))
		for i, part := range n {
			parts[i] = p.node(part)
		}
		return parts
	case rsql.Or:
		parts := make(rsql.Or, len(n))
		for i, part := range n {
			parts[i] = p.node(part)
		}
		return parts
	case *rsql.Comparison:
		return p.comparison(n)
	}
	return n
}

// whole rewrites a whole filter. Of parts that must all be met, it plans last what has to be looked for in everything: where
// another part selects few assets, that is tried on those.
func (p *assetPlanner) whole(filter rsql.Node) rsql.Node {
	all, ok := filter.(rsql.And)
	if !ok || p.store.dialect == SQLite {
		return p.node(filter)
	}
	parts := make(rsql.And, len(all))
	few := false
	for _, last := range []bool{false, true} {
		for i, part := range all {
			c, ok := part.(*rsql.Comparison)
			if dear := ok && isTried(c); dear != last {
				continue
			}
			if parts[i] = part; !last || !few {
				parts[i] = p.whole(part)
				few = few || selectsFew(parts[i])
			}
		}
	}
	return parts
}

func (p *assetPlanner) comparison(c *rsql.Comparison) rsql.Node {
	if p.err != nil {
		return c
	}
	field, key, _ := strings.Cut(c.Field, ".")
	if p.thorough || p.store.dialect == SQLite {
		if n, ok := p.present(c, field, key); ok {
			return n
		}
	}
	if p.thorough {
		if n, ok := p.counted(c, field, key); ok {
			return n
		}
	}
	if n, ok := p.timed(c); ok {
		return n
	}
	var values []string
	pattern := false
	for _, v := range c.Values {
		if v.Text == "" {
			return c // asks for what is empty
		}
		pattern = pattern || len(v.Wildcards) > 0 && (c.Operator == rsql.Equal || c.Operator == rsql.NotEqual)
		values = append(values, v.Text)
	}
	switch c.Operator {
	case rsql.Equal, rsql.NotEqual, rsql.In, rsql.NotIn:
	default:
		return c
	}
	negative := c.Operator.Negative()
	switch field {
	case "config_digest", "manifest_digest", "index_digest":
		if pattern && field == "config_digest" && p.store.dialect == SQLite {
			return c // is read with the asset
		}
		if pattern {
			return p.digestPattern(c, field[:1], negative)
		}
		return p.digests(c, field[:1], values, negative)
	case "image_labels":
		if negative {
			return c // most assets are without the value: a page of them is found at once
		}
		return p.imageLabels(c)
	case "image_tag":
		if pattern && p.store.dialect == PostgreSQL {
			return p.imageTags(c, negative)
		}
		return c
	case "repository":
		// A pattern with three characters in a row is found by the index on the text.
		if pattern && !p.many && len(matchOf(c.Values[0]).longest()) >= 3 {
			return c
		}
	case "class", "registry", "name", "labels", "tags", "architecture", "os":
	default:
		return c
	}
	column := field == "repository" || field == "name"
	var found []facetValue
	ok := true
	switch {
	case pattern:
		if found, ok = p.matching(field, key, c.Values[0]); ok && len(found) == 0 {
			return outcome(!negative)
		}
		values = values[:0]
		for _, f := range found {
			values = append(values, f.value)
		}
		slices.Sort(values) // the same filter is the same SQL
	case column && !negative:
		found, ok = p.findExact(field, "", values)
	}
	switch {
	case !ok:
		return c
	case column && !negative:
		return p.texts(c, found)
	case column:
		return compare(c.Field, rsql.NotIn, values)
	}
	return p.list(c, field, key, values, negative)
}

// outcome is a filter that selects nothing, where a list of no values was to match, or everything, where it was not to.
func outcome(positive bool) rsql.Node {
	if positive {
		return never
	}
	return always
}

// list is a comparison with one of several values.
func (p *assetPlanner) list(c *rsql.Comparison, field, key string, values []string, negative bool) rsql.Node {
	operator := rsql.In
	if negative {
		operator = rsql.NotIn
	}
	lines := values
	if field == "tags" {
		lines = make([]string, len(values))
		for i, v := range values {
			lines[i] = key + "=" + v
		}
	}
	if field == "architecture" || field == "os" {
		return p.platform(c, field, values, negative, operator)
	}
	if field != "labels" && field != "tags" {
		return compare(c.Field, operator, values)
	}
	if !negative {
		if n, known := p.count(field, key, values); known && n == 0 {
			return never
		} else if known && n <= planLimits.fewRows {
			return p.few(field, lines, compare(c.Field, operator, values))
		}
	}
	if field == "tags" && p.store.dialect == PostgreSQL {
		return compare(fieldTagLines, operator, lines)
	}
	return compare(c.Field, operator, values)
}

// texts is a comparison with one of several values of a column that has many, of which those that were found exist. The
// database takes a value that no asset has for as frequent as the others, and walks through everything to fill a page.
func (p *assetPlanner) texts(c *rsql.Comparison, found []facetValue) rsql.Node {
	var values []string
	var n int64
	for _, f := range found {
		values, n = append(values, f.value), n+f.n
	}
	slices.Sort(values)
	switch {
	case len(values) == 0:
		return never
	case n <= planLimits.fewRows && p.store.dialect == PostgreSQL:
		return p.rareNode("x."+c.Field+" = ANY(?)", values)
	}
	return compare(c.Field, rsql.In, values)
}

// few selects the few assets that have one of some labels or tags (as lines) by their ids. exact is the same as a plain
// comparison, which is as good on SQLite, where no index serves either.
func (p *assetPlanner) few(field string, lines []string, exact rsql.Node) rsql.Node {
	if p.store.dialect == SQLite {
		return exact
	}
	return p.rareNode("x."+map[string]string{"labels": "labels", "tags": "tag_lines"}[field]+" && ?::text[]", lines)
}

// rareNode makes a comparison of a condition on the assets x, which few meet.
func (p *assetPlanner) rareNode(where string, args ...any) rsql.Node {
	p.rare = append(p.rare, rareRows{sql: where, args: args})
	return compare(fieldRare, rsql.Equal, []string{strconv.Itoa(len(p.rare) - 1)})
}

// rareOf selects the assets x that meet a condition by their ids, or by another column that tells rows apart. The inner query has no order and no limit, so that
// PostgreSQL takes the index of the condition, whatever it believes of the frequency: of arrays it keeps the frequencies of
// the most common elements and takes all others for half as frequent as the last of these. Where the organizations have next
// to nothing of all that there is, it takes theirs.
//
// It takes the index on the ids for an array of them. To try an array on each asset costs as much as it is long, so what is
// tried on all asks a hash of the ids.
func (p *assetPlanner) rareOf(row, where string, args ...any) rareRows {
	in, list := p.store.among("x.organization_id", p.organizations)
	ids, end := "= ANY(ARRAY(", "))"
	if p.scanned && !p.selective {
		ids, end = "IN (", ")"
	}
	return rareRows{sql: "assets." + row + " " + ids + "SELECT x." + row + " FROM assets x WHERE " + in + " AND " + where + end, args: append([]any{list}, args...)}
}

// drive marks the conditions that what a whole filter selects must meet.
func (p *assetPlanner) drive(n rsql.Node) {
	for c := range rsql.Required(n) {
		if c.Field != fieldRare {
			continue
		}
		if i, err := strconv.Atoi(c.Values[0].Text); err == nil && i < len(p.rare) {
			p.rare[i].driving = true
		}
	}
}

// hasAlternatives says whether a filter joins comparisons by or.
func hasAlternatives(n rsql.Node) bool {
	all, required := 0, 0
	for range rsql.Comparisons(n) {
		all++
	}
	for range rsql.Required(n) {
		required++
	}
	return all > required
}

func compare(field string, operator rsql.Operator, values []string) *rsql.Comparison {
	c := &rsql.Comparison{Field: field, Operator: operator, Values: make([]rsql.Value, len(values))}
	for i, v := range values {
		c.Values[i] = rsql.Value{Text: v}
	}
	return c
}

// facetValue is a value that a lookup found, with the number of assets that have it.
type facetValue struct {
	field, key, value string
	n                 int64
	folded            string // in a dictionary: what patterns are tried on
}

// lookup finds values of facets in the organizations. ok is false where there are too many, or too many lookups.
func (p *assetPlanner) lookup(where string, args ...any) (found []facetValue, ok bool) {
	if p.err != nil || p.lookups <= 0 {
		return nil, false
	}
	p.lookups--
	limit := min(planLimits.listed, p.values)
	in, list := p.store.among("organization_id", p.organizations)
	query := "SELECT field, key, value, CAST(SUM(n) AS bigint) FROM asset_facets WHERE " + in + " AND " + where + " GROUP BY field, key, value LIMIT ?"
	rows, err := p.store.assetRows(p.ctx, query, append(append([]any{list}, args...), limit+1)...)
	found, p.err = scanAll(rows, err, func(rows *sql.Rows, v *facetValue) error { return rows.Scan(&v.field, &v.key, &v.value, &v.n) })
	if p.err != nil || len(found) > limit {
		return nil, false
	}
	p.values -= len(found)
	return found, true
}

// count gives how many assets have one of some values, those with two of them counted twice.
func (p *assetPlanner) count(field, key string, values []string) (n int64, known bool) {
	found, ok := p.findExact(field, key, values)
	for _, f := range found {
		n += f.n
	}
	return n, ok
}

// findRare makes the condition of fieldRare.
func (p *assetPlanner) findRare(index string) (string, []any) {
	i, err := strconv.Atoi(index)
	if err != nil || i >= len(p.rare) {
		return noAsset(index)
	}
	row := "id"
	if p.rare[i].driving {
		row = "ctid" // where they stand: no index on the ids has to be gone through
	}
	rare := p.rareOf(row, p.rare[i].sql, p.rare[i].args...)
	return rare.sql, rare.args
}

// matching gives the values of a field that match a pattern, or false where the pattern is better left as it is.
func (p *assetPlanner) matching(field, key string, v rsql.Value) ([]facetValue, bool) {
	found, ok := p.find(matchOf(v), key, field)
	if !ok {
		return nil, false
	}
	var n int64
	for _, f := range found {
		if f.value == "" { // in a list it would mean that the tag is absent
			return nil, false
		}
		n += f.n
	}
	return found, (field != "name" && field != "repository") || n <= planLimits.manyAssets
}

// platform is a comparison of the architecture or the operating system. Of these there are a handful, some of them rare.
func (p *assetPlanner) platform(c *rsql.Comparison, field string, values []string, negative bool, operator rsql.Operator) rsql.Node {
	exact := compare(c.Field, operator, values)
	if negative {
		return exact
	}
	n, known := p.count(field, "", values)
	switch {
	case known && n == 0:
		return never
	case known && n <= planLimits.fewRows && p.store.dialect == PostgreSQL:
		return p.rareNode("x."+field+" = ANY(?)", values)
	}
	return exact
}

// timed turns a comparison of a time that few assets have into one of their ids. Where the list is sorted by that time, its
// index finds them anyway.
func (p *assetPlanner) timed(c *rsql.Comparison) (n rsql.Node, ok bool) {
	switch {
	case c.Field != "created_at" && c.Field != "updated_at" && c.Field != "built_at", c.Field == p.sort, c.Operator.Negative(),
		c.Values[0].Text == "", p.store.dialect == SQLite, p.lookups <= 0:
		return nil, false
	}
	condition, err := publicAssetFields.Compile(c, p.store.rsqlDialect())
	if err != nil {
		return nil, false // the whole filter is refused for it
	}
	p.lookups--
	where, args := condition.Question()
	count, err := p.store.countRows(p.ctx, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM assets WHERE "+where+" LIMIT ?) x", append(slices.Clone(args), planLimits.early+1)...)
	if p.err = err; err != nil || count > int64(planLimits.early) {
		return nil, false
	}
	if count == 0 {
		return never, true
	}
	return p.rareNode(strings.ReplaceAll(where, "assets.", "x."), args...), true
}

// imageLabels turns a comparison of an image's label into one of ids, where few images have the value: the labels stand
// in another table, which is to be asked once and not for each asset.
func (p *assetPlanner) imageLabels(c *rsql.Comparison) rsql.Node {
	condition, err := imageLabelFields.Compile(c, p.store.rsqlDialect())
	if err != nil {
		return c // the whole filter is refused for it
	}
	where, args := condition.Question()
	return p.byIDs(c, "SELECT "+p.store.idText("d.asset_id")+" FROM asset_details d WHERE "+where, args, false)
}

// imageTags narrows a pattern on image tags down to ids, where few images have a tag like it. What is found is tried exactly.
//
// A pattern that no index serves reads all assets, by several processes: PostgreSQL does that only for a condition on the
// row alone, which is that all its tags, as one text, hold a piece of the pattern.
func (p *assetPlanner) imageTags(c *rsql.Comparison, negative bool) rsql.Node {
	where, args, found := imageTagsLike(c.Values[0])
	if !found {
		piece := matchOf(c.Values[0]).longest()
		if piece == "" {
			return c
		}
		where, args = `lower(array_to_string(image_tags, ',') COLLATE "C") LIKE ?`, []any{rsql.ContainsPattern(piece)}
	}
	query := "SELECT id::text FROM assets WHERE " + where
	if !negative {
		return p.andIDs(c, query, args)
	}
	ids := p.byIDs(c, query, args, true)
	if n, ok := ids.(*rsql.Comparison); ok && n != c && n.Field == "id" {
		return rsql.Or{ids, c}
	}
	return ids
}

// andIDs narrows a comparison down to the ids that a query gives, where they are few: all that meet it are among them.
func (p *assetPlanner) andIDs(c *rsql.Comparison, query string, args []any) rsql.Node {
	ids := p.byIDs(c, query, args, false)
	if n, ok := ids.(*rsql.Comparison); ok && n != c && n.Field == "id" {
		return rsql.And{ids, c}
	}
	return ids
}

// digests turns a comparison of whole digests into one of ids.
func (p *assetPlanner) digests(c *rsql.Comparison, kind string, values []string, negative bool) rsql.Node {
	in, list := p.store.among("digest", values)
	return p.byIDs(c, "SELECT "+p.store.idText("asset_id")+" FROM asset_digests WHERE kind = ? AND "+in, []any{kind, list}, negative)
}

// digestPattern turns a comparison of digests with a pattern into one of ids, where few match. A pattern that begins
// with a part of the digest is found by the index.
func (p *assetPlanner) digestPattern(c *rsql.Comparison, kind string, negative bool) rsql.Node {
	v := c.Values[0]
	where, args := p.store.like("digest"), []any{rsql.LikePattern(v)}
	if start := v.Text[:v.Wildcards[0]]; start != "" {
		start = rsql.Fold(start)
		where, args = where+" AND digest >= ? AND digest < ?", append(args, start, start+"~") // digits and a to f are below ~
	} else if piece := matchOf(v).longest(); piece != "" {
		where, args = p.holds("digest"), []any{piece, rsql.LikePattern(v)}
	}
	where, args = "kind = ? AND "+where, append([]any{kind}, args...)
	return p.byIDs(c, "SELECT "+p.store.idText("asset_id")+" FROM asset_digests WHERE "+where, args, negative)
}

// holds is the SQL of a text holding a piece of a pattern and matching it, where all rows are read: to look for the piece is
// quicker than the pattern. The planner puts what it takes for cheap first, so the pattern is written as one of something
// that has to be computed; and it must be there, for the planner believes that every third row holds the piece, and would
// not read such a table with several processes.
func (p *assetPlanner) holds(column string) string {
	if p.store.dialect == PostgreSQL {
		return "strpos(" + column + ", ?) > 0 AND (" + column + " || '') LIKE ?"
	}
	return "instr(" + column + ", ?) > 0 AND " + p.store.like(column)
}

// byIDs turns a comparison into one of the ids that a query gives, or leaves it as it is where they are many: a page of
// those is found by walking the list's order.
func (p *assetPlanner) byIDs(c *rsql.Comparison, query string, args []any, negative bool) rsql.Node {
	ids, ok := p.ids(planLimits.listed, query, args)
	switch {
	case !ok:
		return c
	case len(ids) == 0:
		return outcome(!negative)
	}
	operator := rsql.In
	if negative {
		operator = rsql.NotIn
	}
	return compare("id", operator, ids)
}

// ids gives the ids that a query finds, sorted. ok is false where they are more than a limit, or too many lookups.
func (p *assetPlanner) ids(limit int, query string, args []any) (ids []string, ok bool) {
	if p.lookups <= 0 || p.err != nil {
		return nil, false
	}
	p.lookups--
	limit = min(limit, p.values)
	asked := fmt.Sprintf("%s %q %d", query, args, limit)
	ids, known := p.found[asked]
	if !known {
		rows, err := p.store.assetRows(p.ctx, query+" LIMIT ?", append(slices.Clone(args), limit+1)...)
		if ids, p.err = scanAll(rows, err, func(rows *sql.Rows, id *string) error { return rows.Scan(id) }); p.err != nil {
			return nil, false
		}
		p.found[asked] = ids
	}
	if len(ids) > limit {
		return nil, false
	}
	p.values -= len(ids)
	return slices.Compact(slices.Sorted(slices.Values(ids))), true // an image may be known by several that match
}

var digestTerm = regexp.MustCompile(`^(sha256:|sha512:)?[0-9a-f]*$`)

// search makes the condition of q: a term anywhere in the registry, the repository (whose last element is the name), a
// label or a tag (key=value), without case; or in a digest, see searchDigests.
func (p *assetPlanner) search(term string) (string, []any) {
	term = rsql.Fold(term)
	// No text that is searched has control characters. On SQLite lines end in one.
	if !plainText(term) {
		return noAsset(term)
	}
	var parts []string
	var args []any
	add := func(sql string, more ...any) { parts, args = append(parts, sql), append(args, more...) }
	switch {
	case p.store.dialect == PostgreSQL:
		p.searchPostgres(term, add)
	case !p.many || p.mayBeFound(term):
		add(p.store.like("assets.search_text"), rsql.ContainsPattern(term))
	}
	p.searchDigests(term, add)
	if len(parts) == 0 {
		return noAsset(term)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// searchPostgres looks for the term in the few distinct registries, labels and tags, so that only the repository is
// searched as text. It has a trigram index, which serves terms of three characters and more. A shorter term is either so
// frequent that a page is found by walking the order, or the repositories are looked up as well.
func (p *assetPlanner) searchPostgres(term string, add func(string, ...any)) {
	pattern := rsql.ContainsPattern(term)
	found, ok := p.find(holding(term), "", "registry", "labels", "tags")
	if p.err != nil {
		return
	}
	if !ok {
		add("assets.repository LIKE ?", pattern)
		add(`lower(assets.registry COLLATE "C") LIKE ?`, pattern)
		add(`EXISTS (SELECT 1 FROM unnest(assets.labels) AS x(value) WHERE lower(x.value COLLATE "C") LIKE ?)`, pattern)
		add(`EXISTS (SELECT 1 FROM unnest(assets.tag_lines) AS x(value) WHERE lower(x.value COLLATE "C") LIKE ?)`, pattern)
		return
	}
	values, counts := map[string][]string{}, map[string]int64{}
	for _, f := range found {
		v := f.value
		if f.field == "tags" {
			v = f.key + "=" + f.value
		}
		values[f.field] = append(values[f.field], v)
		counts[f.field] += f.n
	}
	for _, list := range values {
		slices.Sort(list) // the same filter is the same SQL
	}
	switch {
	case !inRepositories(term):
	case !p.many && len(term) >= 3:
		add("assets.repository LIKE ?", pattern)
	default:
		p.searchRepositories(term, counts["registry"]+counts["labels"]+counts["tags"], add)
	}
	if list := values["registry"]; list != nil {
		add("assets.registry = ANY(?)", list)
	}
	for field, column := range map[string]string{"labels": "labels", "tags": "tag_lines"} {
		list := values[field]
		switch {
		case list == nil:
		case counts[field] <= planLimits.fewRows:
			rare := p.rareOf("id", "x."+column+" && ?::text[]", list)
			add(rare.sql, rare.args...)
		default:
			add("assets."+column+" && ?::text[]", list)
		}
	}
}

// inRepositories says that a term is of characters that repositories are of, and no longer than they are: see Image.Check.
func inRepositories(term string) bool {
	return len(term) <= maxAssetName && !strings.ContainsFunc(term, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	})
}

// mayBeFound says whether any value holds a term.
func (p *assetPlanner) mayBeFound(term string) bool {
	found, ok := p.find(holding(term), "", "registry", "repository", "labels", "tags")
	p.values += len(found) // they are not written into the filter
	return !ok || len(found) > 0
}

// searchRepositories adds the repositories with a term that is too short for their index, or one of many. elsewhere is how
// many assets have the term in another field.
func (p *assetPlanner) searchRepositories(term string, elsewhere int64, add func(string, ...any)) {
	pattern := rsql.ContainsPattern(term)
	if elsewhere > planLimits.manyAssets || !p.many && p.frequent(pattern) {
		add("assets.repository LIKE ?", pattern)
		return
	}
	found, ok := p.find(holding(term), "", "repository")
	var list []string
	var n int64
	for _, f := range found {
		list, n = append(list, f.value), n+f.n
	}
	switch {
	case p.err != nil:
	case !ok || n > planLimits.manyAssets:
		add("assets.repository LIKE ?", pattern)
	case n > 0:
		slices.Sort(list)
		add("assets.repository = ANY(?)", list)
	}
}

// sampleSize is how many assets are looked at to see whether a term is frequent.
const sampleSize = 300

// frequent says whether many repositories have a term, as far as the first assets tell.
func (p *assetPlanner) frequent(pattern string) bool {
	if p.err != nil {
		return false
	}
	in, list := p.store.among("organization_id", p.organizations)
	n, err := p.store.countRows(p.ctx, "SELECT COUNT(*) FROM (SELECT repository FROM assets WHERE "+in+" ORDER BY created_at, id LIMIT ?) x WHERE x.repository LIKE ?", list, sampleSize, pattern)
	p.err = err
	return n >= planLimits.frequentHits
}

// insideDigits is from how many hexadecimal digits on q looks inside digests too. Any shorter term of these digits is in
// many digests by chance.
const insideDigits = 8

// searchDigests adds the assets that have a digest which begins with the term, from three hexadecimal digits on, or which
// holds it, from eight on.
func (p *assetPlanner) searchDigests(term string, add func(string, ...any)) {
	m := digestTerm.FindStringSubmatch(term)
	if m == nil || m[1] == "" && len(term) < 3 || p.err != nil || p.lookups <= 0 {
		return
	}
	var match string
	var args []any
	switch {
	case m[1] == "" && len(term) >= insideDigits:
		match, args = p.holds("d.digest"), []any{term, rsql.ContainsPattern(term)}
	default:
		starts := []string{term}
		if m[1] == "" {
			starts = []string{"sha256:" + term, "sha512:" + term}
		}
		var where []string
		for _, s := range starts {
			where, args = append(where, "d.digest >= ? AND d.digest < ?"), append(args, s, s+"~") // digits and a to f are below ~
		}
		match = strings.Join(where, " OR ")
	}
	match = "(" + match + ")"
	if p.selective {
		add("EXISTS (SELECT 1 FROM asset_digests d WHERE d.asset_id = assets.id AND "+match+")", args...)
		return
	}
	ids, ok := p.ids(planLimits.digests, "SELECT "+p.store.idText("d.asset_id")+" FROM asset_digests d WHERE "+match, args)
	switch {
	case p.err != nil:
	case !ok:
		add("EXISTS (SELECT 1 FROM asset_digests d WHERE d.asset_id = assets.id AND "+match+")", args...)
	case len(ids) > 0:
		in, list := p.store.amongIDs("assets.id", ids)
		add(in, list)
	}
}
