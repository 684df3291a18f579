package models

import (
	"slices"

	"slipway/internal/rsql"
)

// facet rewrites a comparison of a field whose values are counted: a pattern becomes the values that match it, and exact values
// of which hardly any asset has one become ids.
func (p *planning) facet(c *rsql.Comparison, field, key string) rsql.Node {
	negative, pattern := c.Operator.Negative(), hasPattern(c)
	// A pattern with three characters in a row is found by the index on the text.
	if field == "repository" && pattern && !p.many && len(matchOf(c.Values[0]).longest()) >= 3 {
		return c
	}
	column := field == "repository" || field == "name"
	var found []facetValue
	ok := true
	values := valueTexts(c)
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

// list is a comparison with one of several values.
func (p *planning) list(c *rsql.Comparison, field, key string, values []string, negative bool) rsql.Node {
	operator := rsql.In
	if negative {
		operator = rsql.NotIn
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
			return p.fewOf(field, key, values, compare(c.Field, operator, values))
		}
	}
	if field == "tags" && p.store.dialect == PostgreSQL {
		return compare(fieldTagLines, operator, linesUnder(key, values))
	}
	return compare(c.Field, operator, values)
}

// texts is a comparison with one of several values of a column that has many, of which those that were found exist. The
// database takes a value that no asset has for as frequent as the others, and walks through everything to fill a page.
func (p *planning) texts(c *rsql.Comparison, found []facetValue) rsql.Node {
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

// fewOf selects the few assets that have one of some labels, or of some tags under a key, by their ids. exact is the same as a
// plain comparison, which is as good on SQLite, where no index serves either.
func (p *planning) fewOf(field, key string, values []string, exact rsql.Node) rsql.Node {
	switch {
	case p.store.dialect == SQLite:
		return exact
	case field == "tags":
		return p.rareNode("x.tag_lines && ?::text[]", linesUnder(key, values))
	}
	return p.rareNode("x.labels && ?::text[]", values)
}

// linesUnder are tags under a key as assets keep them for filters: key=value.
func linesUnder(key string, values []string) []string {
	lines := make([]string, len(values))
	for i, v := range values {
		lines[i] = key + "=" + v
	}
	return lines
}

// matching gives the values of a field that match a pattern, or false where the pattern is better left as it is.
func (p *planning) matching(field, key string, v rsql.Value) ([]facetValue, bool) {
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
	// Where the list is sorted by them, they say where it begins.
	return found, (field != "name" && field != "repository") || field == p.sort || n <= planLimits.manyAssets
}

// platform is a comparison of the architecture or the operating system. Of these there are a handful, some of them rare.
func (p *planning) platform(c *rsql.Comparison, field string, values []string, negative bool, operator rsql.Operator) rsql.Node {
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
