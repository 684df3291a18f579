package models

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/rsql"
)

// textMatch is what a value must be, as SQL and in memory.
type textMatch struct {
	pattern string // for LIKE
	pieces  []string
}

// holding matches texts that hold a folded term.
func holding(term string) textMatch {
	return textMatch{pattern: rsql.ContainsPattern(term), pieces: []string{"", term, ""}}
}

// matchOf is the match of a value with wildcards.
func matchOf(v rsql.Value) textMatch {
	m := textMatch{pattern: rsql.LikePattern(v)}
	start := 0
	for _, end := range append(slices.Clone(v.Wildcards), len(v.Text)) {
		m.pieces = append(m.pieces, rsql.Fold(v.Text[start:end]))
		start = end + 1
	}
	return m
}

// matches says what LIKE says of a folded text: it begins with the first piece, ends with the last, and holds the others in
// between, in order.
func (m textMatch) matches(text string) bool {
	first, last := m.pieces[0], m.pieces[len(m.pieces)-1]
	if len(m.pieces) == 1 {
		return text == first
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok || len(text) < len(last) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[:len(text)-len(last)]
	for _, piece := range m.pieces[1 : len(m.pieces)-1] {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}

// longest is the longest piece.
func (m textMatch) longest() string {
	return slices.MaxFunc(m.pieces, func(a, b string) int { return len(a) - len(b) })
}

// countLookups says how many values a filter asks for.
func countLookups(n rsql.Node) int {
	count := 0
	for c := range rsql.Comparisons(n) {
		if field, _, _ := strings.Cut(c.Field, "."); field == "q" || isFacet(field) {
			count++
		}
	}
	return count
}

// dictionary holds all values of a field.
type dictionary struct {
	values []facetValue
	joined string // what they are folded to, to see at once that none of them holds a text
}

// count adds up how many assets have each of the values.
func (d *dictionary) count() int64 {
	n := int64(0)
	for _, f := range d.values {
		n += f.n
	}
	return n
}

// dictionary gives all values of a field that the organizations have, or nil where they are too many.
func (p *planning) dictionary(field string) *dictionary {
	if d, ok := p.dictionaries[field]; ok || p.err != nil {
		return d
	}
	var d *dictionary
	if found, ok := p.allFacets(field); ok {
		var joined strings.Builder
		for i, f := range found {
			found[i].folded = facetKey{field: f.field, key: f.key, value: f.value}.folded()
			joined.WriteString(found[i].folded)
			joined.WriteByte('\n')
		}
		d = &dictionary{found, joined.String()}
	}
	p.dictionaries[field] = d
	return d
}

// What separates the values of allFacets, and their members. No value holds control characters, see plainText.
const facetSeparator, memberSeparator = "\n", "\x1f"

// allFacets reads all values of a field, as one text: to read them row by row takes five times as long. ok is false where
// they are too many.
func (p *planning) allFacets(field string) (found []facetValue, ok bool) {
	in, list := p.store.among("organization_id", p.query.Organizations)
	aggregate := map[Dialect]string{PostgreSQL: "string_agg", SQLite: "group_concat"}[p.store.dialect]
	query := "SELECT " + aggregate + "(key || ? || value || ? || CAST(n AS text), ?) FROM (SELECT key, value, n FROM asset_facets WHERE " + in + " AND field = ? LIMIT ?) f"
	rows, err := p.store.assetRows(p.ctx, query, memberSeparator, memberSeparator, facetSeparator, list, field, planLimits.dictionary+1)
	texts, err := scanAll(rows, err, func(rows *sql.Rows, t *sql.NullString) error { return rows.Scan(t) })
	if p.err = err; err != nil || len(texts) != 1 {
		return nil, false
	}
	if !texts[0].Valid {
		return nil, true
	}
	lines := strings.Split(texts[0].String, facetSeparator)
	if len(lines) > planLimits.dictionary {
		return nil, false
	}
	found = make([]facetValue, 0, len(lines))
	at := make(map[[2]string]int, len(lines))
	for _, line := range lines {
		key, rest, _ := strings.Cut(line, memberSeparator)
		value, count, _ := strings.Cut(rest, memberSeparator)
		n, err := strconv.ParseInt(count, 10, 64)
		if p.err = err; err != nil {
			return nil, false
		}
		if i, there := at[[2]string{key, value}]; there { // in another organization
			found[i].n += n
			continue
		}
		at[[2]string{key, value}] = len(found)
		found = append(found, facetValue{field: field, key: key, value: value, n: n})
	}
	return found, true
}

// find gives the values of some fields that match, of tags those under a key unless that is "". Of tags without a key the
// whole key=value must match. ok is false where they are too many, or too many lookups.
func (p *planning) find(m textMatch, key string, fields ...string) (found []facetValue, ok bool) {
	if !p.many {
		where, args := "field IN ('"+strings.Join(fields, "', '")+"') AND "+p.store.like("folded"), []any{m.pattern}
		if key != "" {
			where, args = "field = 'tags' AND key = ? AND "+p.store.like(p.store.folded("value")), []any{key, m.pattern}
		}
		return p.lookup(where, args...)
	}
	limit := min(planLimits.listed, p.values)
	for _, field := range fields {
		d := p.dictionary(field)
		if d == nil {
			return nil, false
		}
		if !strings.Contains(d.joined, m.longest()) {
			continue
		}
		for _, f := range d.values {
			text := f.folded
			if key != "" {
				if f.key != key {
					continue
				}
				text = text[len(key)+len("="):]
			}
			if !m.matches(text) {
				continue
			}
			if found = append(found, f); len(found) > limit {
				return nil, false
			}
		}
	}
	p.values -= len(found)
	return found, true
}

// findExact gives those of some values, of tags under a key, that any asset has.
func (p *planning) findExact(field, key string, values []string) (found []facetValue, ok bool) {
	if !p.many {
		in, list := p.store.among("value", values)
		return p.lookup("field = ? AND key = ? AND "+in, field, key, list)
	}
	d := p.dictionary(field)
	if d == nil {
		return nil, false
	}
	asked := make(map[string]bool, len(values))
	for _, v := range values {
		asked[v] = true
	}
	for _, f := range d.values {
		if f.key == key && asked[f.value] {
			found = append(found, f)
		}
	}
	return found, true
}
