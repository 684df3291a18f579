package models

import (
	"slices"

	"slipway/internal/rsql"
)

// gainsByLookups says whether a filter has comparisons that only a thorough plan rewrites.
func gainsByLookups(n rsql.Node) bool {
	for c := range rsql.Comparisons(n) {
		if c.Operator.Negative() || slices.ContainsFunc(c.Values, isEmpty) || isTried(c) {
			return true
		}
	}
	return false
}

func isEmpty(v rsql.Value) bool { return v.Text == "" }

// present rewrites a comparison that an asset meets only if it has a digest of some kind, or an image label under a key: these
// stand in tables of their own, which are to be asked once. ok is false for others.
func (p *planning) present(c *rsql.Comparison, field, key string) (n rsql.Node, ok bool) {
	switch {
	case !c.Operator.Negative() || !slices.ContainsFunc(c.Values, isEmpty):
		return nil, false
	case field == "image_labels" && key != "":
		return p.imageLabels(c), true
	case field == "manifest_digest" || field == "index_digest":
		return p.andIDs(c, "SELECT "+p.store.idText("asset_id")+" FROM asset_digests WHERE kind = ?", []any{field[:1]}), true
	}
	return nil, false
}

// counted rewrites a comparison that selects what is left when others are taken away, or what has no value at all: with !=,
// =out= or an empty value. No index finds such, but the kept counts say how many they are, and of a field with a few
// values, which ones. ok is false where the comparison is better left as it is. It is for PostgreSQL.
func (p *planning) counted(c *rsql.Comparison, field, key string) (n rsql.Node, ok bool) {
	negative := c.Operator.Negative()
	empty := slices.ContainsFunc(c.Values, isEmpty)
	if !negative && (!empty || c.Operator != rsql.Equal && c.Operator != rsql.In) {
		return nil, false
	}
	switch {
	case field == "labels" && negative:
		return never, p.isOnAll(c)
	case field == "tags" && key != "", field == "class", field == "registry", field == "architecture", field == "os":
	default:
		return nil, false
	}
	l, ok := p.left(c, field, key)
	switch {
	case !ok:
		return nil, false
	case l.count == 0:
		return never, true
	case l.count > planLimits.fewRows || len(l.values) > planLimits.listed, field == "tags" && l.none:
		return nil, false
	case field == "tags":
		return p.fewOf(field, key, l.values, c), true
	}
	where := "x." + field + " = ANY(?)"
	if l.none && field == "class" {
		where = "(" + where + " OR x.class IS NULL)"
	} else if l.none {
		l.values = append(l.values, "")
	}
	return p.rareNode(where, l.values), true
}

// sorted turns a comparison of the field that the list is sorted by into one with the values that it selects and that there
// are: a walk in the list's order begins at the first of them, and not among what is excluded. ok is false where one value is
// named, where the values are too many, or where some assets have none. It is for PostgreSQL.
func (p *planning) sorted(c *rsql.Comparison) (n rsql.Node, ok bool) {
	if p.store.dialect != PostgreSQL || c.Field != p.sort || c.Field != "class" && c.Field != "registry" || c.Operator == rsql.Equal && len(c.Values[0].Wildcards) == 0 {
		return nil, false
	}
	l, ok := p.left(c, c.Field, "")
	switch {
	case !ok || l.none || len(l.values) > min(planLimits.listed, p.values):
		return nil, false
	case len(l.values) == 0:
		return never, true
	}
	p.values -= len(l.values)
	return compare(c.Field, rsql.In, l.values), true
}

// leftValues are what a comparison selects.
type leftValues struct {
	values []string
	count  int64 // how many assets there are of them, and without a value
	none   bool  // assets without a value are selected as well
}

// left gives the values that a comparison selects, of a field of which an asset has no more than one, as the kept counts tell.
// ok is false where the values are too many.
func (p *planning) left(c *rsql.Comparison, field, key string) (l leftValues, ok bool) {
	total, values := p.dictionary("type"), p.dictionary(field)
	if total == nil || values == nil {
		return l, false
	}
	without := total.count() // how many assets have no value
	l.values = []string{}
	for _, f := range values.values {
		if f.key != key || f.value == "" {
			continue
		}
		without -= f.n
		if names(c, f.value) != c.Operator.Negative() {
			l.values, l.count = append(l.values, f.value), l.count+f.n
		}
	}
	slices.Sort(l.values) // the same filter is the same SQL
	if l.none = without > 0 && slices.ContainsFunc(c.Values, isEmpty) != c.Operator.Negative(); l.none {
		l.count += without
	}
	return l, true
}

// isOnAll says whether all assets have one of the labels that a comparison names.
func (p *planning) isOnAll(c *rsql.Comparison) bool {
	total, labels := p.dictionary("type"), p.dictionary("labels")
	return total != nil && labels != nil && slices.ContainsFunc(labels.values, func(f facetValue) bool {
		return f.value != "" && f.n == total.count() && names(c, f.value)
	})
}

// names says whether a comparison names a value, by itself or by a pattern.
func names(c *rsql.Comparison, value string) bool {
	pattern := c.Operator == rsql.Equal || c.Operator == rsql.NotEqual
	return slices.ContainsFunc(c.Values, func(v rsql.Value) bool {
		if pattern && len(v.Wildcards) > 0 {
			return matchOf(v).matches(rsql.Fold(value))
		}
		return v.Text == value
	})
}
