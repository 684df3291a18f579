package models

import (
	"slices"

	"slipway/internal/rsql"
)

// isCounted says whether a filter has comparisons that counted may rewrite.
func isCounted(n rsql.Node) bool {
	for c := range rsql.Comparisons(n) {
		if c.Operator.Negative() || slices.ContainsFunc(c.Values, isEmpty) {
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
	total, values := p.dictionary("type"), p.dictionary(field)
	if total == nil || values == nil {
		return nil, false
	}
	without := total.count() // how many assets have no value
	var selected []string
	count := int64(0)
	for _, f := range values.values {
		if f.key != key || f.value == "" {
			continue
		}
		without -= f.n
		if names(c, f.value) != negative {
			selected, count = append(selected, f.value), count+f.n
		}
	}
	none := empty != negative && without > 0 // those without a value are selected
	if none {
		count += without
	}
	slices.Sort(selected) // the same filter is the same SQL
	switch {
	case count == 0:
		return never, true
	case count > planLimits.fewRows || len(selected) > planLimits.listed, field == "tags" && none:
		return nil, false
	case field == "tags":
		return p.fewOf(field, key, selected, c), true
	}
	where := "x." + field + " = ANY(?)"
	if none && field == "class" {
		where = "(" + where + " OR x.class IS NULL)"
	} else if none {
		selected = append(selected, "")
	}
	return p.rareNode(where, append([]string{}, selected...)), true
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
