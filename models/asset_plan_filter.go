package models

import (
	"cmp"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

// Fields that only rewritten filters name. Clients cannot: their filters are checked against publicAssetFields first.
const (
	fieldNever    = "0-never"     // matches nothing
	fieldTagLines = "0-tag-lines" // tags as an array of key=value
	fieldRare     = "0-rare"      // one of planning.rare
)

var (
	never  = &rsql.Comparison{Field: fieldNever, Operator: rsql.Equal, Values: []rsql.Value{{Text: "-"}}}
	always = &rsql.Comparison{Field: "type", Operator: rsql.Equal, Values: []rsql.Value{{Text: AssetTypeContainerImage}}}
)

func (p *planning) node(n rsql.Node) rsql.Node {
	switch n := n.(type) {
	case rsql.And:
		planned := allOf(p.nodes(n))
		if parts, ok := planned.(rsql.And); ok && p.store.dialect == SQLite { // it tries them in their order
			slices.SortStableFunc(parts, func(a, b rsql.Node) int { return cmp.Compare(tables(a), tables(b)) })
		}
		return planned
	case rsql.Or:
		return oneOf(p.nodes(n))
	case *rsql.Comparison:
		return p.comparison(n)
	}
	return n
}

func (p *planning) nodes(list []rsql.Node) []rsql.Node {
	planned := make([]rsql.Node, len(list))
	for i, n := range list {
		planned[i] = p.node(n)
	}
	return planned
}

// tables is how many comparisons of a filter look into another table than that of the assets.
func tables(n rsql.Node) int {
	count := 0
	for c := range rsql.Comparisons(n) {
		switch field, _, _ := strings.Cut(c.Field, "."); field {
		case "manifest_digest", "index_digest", "image_labels":
			count++
		}
	}
	return count
}

// allOf joins parts that must all be met, and those of groups of such, without those that say nothing: what is left may say
// where the list begins.
func allOf(list []rsql.Node) rsql.Node {
	if slices.Contains(list, rsql.Node(never)) {
		return never
	}
	var parts rsql.And
	for _, n := range list {
		if group, ok := n.(rsql.And); ok {
			parts = append(parts, group...)
		} else if n != always {
			parts = append(parts, n)
		}
	}
	switch len(parts) {
	case 0:
		return always
	case 1:
		return parts[0]
	}
	return parts
}

// oneOf joins parts of which one must be met, without those that nothing meets.
func oneOf(parts []rsql.Node) rsql.Node {
	if slices.Contains(parts, rsql.Node(always)) {
		return always
	}
	parts = slices.DeleteFunc(parts, func(n rsql.Node) bool { return n == never })
	switch len(parts) {
	case 0:
		return never
	case 1:
		return parts[0]
	}
	return rsql.Or(parts)
}

// whole rewrites a whole filter. Of parts that must all be met, it plans last what has to be looked for in everything: where
// another part selects few assets, that is tried on those.
func (p *planning) whole(filter rsql.Node) rsql.Node {
	all, ok := filter.(rsql.And)
	if !ok || p.store.dialect == SQLite {
		return p.node(filter)
	}
	parts := make([]rsql.Node, len(all))
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
	return allOf(parts)
}

// comparison rewrites one comparison.
func (p *planning) comparison(c *rsql.Comparison) rsql.Node {
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
	if p.leavesDear() && isTried(c) {
		return c
	}
	if n, ok := p.timed(c); ok {
		return n
	}
	if n, ok := p.sorted(c); ok {
		return n
	}
	switch c.Operator {
	case rsql.Equal, rsql.NotEqual, rsql.In, rsql.NotIn:
	default:
		return c
	}
	if slices.ContainsFunc(c.Values, isEmpty) {
		return c
	}
	switch field {
	case "type": // there is one
		return outcome(names(c, AssetTypeContainerImage) == c.Operator.Negative())
	case "config_digest", "manifest_digest", "index_digest":
		return p.digest(c, field)
	case "image_labels":
		if !c.Operator.Negative() { // most assets are without the value: a page of them is found at once
			return p.imageLabels(c)
		}
	case "image_tag":
		if hasPattern(c) && p.store.dialect == PostgreSQL {
			return p.imageTags(c)
		}
	case "class", "registry", "repository", "name", "labels", "tags", "architecture", "os":
		return p.facet(c, field, key)
	}
	return c
}

// hasPattern says whether a comparison has a value with wildcards. In lists an asterisk is one.
func hasPattern(c *rsql.Comparison) bool {
	return (c.Operator == rsql.Equal || c.Operator == rsql.NotEqual) && len(c.Values[0].Wildcards) > 0
}

// valueTexts gives the values of a comparison as they are written.
func valueTexts(c *rsql.Comparison) []string {
	texts := make([]string, len(c.Values))
	for i, v := range c.Values {
		texts[i] = v.Text
	}
	return texts
}

// outcome is a filter that selects nothing, or everything.
func outcome(nothing bool) rsql.Node {
	if nothing {
		return never
	}
	return always
}

func compare(field string, operator rsql.Operator, values []string) *rsql.Comparison {
	c := &rsql.Comparison{Field: field, Operator: operator, Values: make([]rsql.Value, len(values))}
	for i, v := range values {
		c.Values[i] = rsql.Value{Text: v}
	}
	return c
}
