package models

import (
	"slices"

	"slipway/internal/rsql"
)

// imageLabels turns a comparison of an image's label into one of ids, where few images have the value: the labels stand
// in another table, which is to be asked once and not for each asset.
func (p *planning) imageLabels(c *rsql.Comparison) rsql.Node {
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
func (p *planning) imageTags(c *rsql.Comparison) rsql.Node {
	where, args, found := imageTagsLike(c.Values[0])
	if !found {
		piece := matchOf(c.Values[0]).longest()
		if piece == "" {
			return c
		}
		where, args = `lower(array_to_string(image_tags, ',') COLLATE "C") LIKE ?`, []any{rsql.ContainsPattern(piece)}
	}
	query := "SELECT id::text FROM assets WHERE " + where
	if !c.Operator.Negative() {
		return p.andIDs(c, query, args)
	}
	ids := p.byIDs(c, query, args, true)
	if n, ok := ids.(*rsql.Comparison); ok && n != c && n.Field == "id" {
		return rsql.Or{ids, c}
	}
	return ids
}

// andIDs narrows a comparison down to the ids that a query gives, where they are few: all that meet it are among them.
func (p *planning) andIDs(c *rsql.Comparison, query string, args []any) rsql.Node {
	ids := p.byIDs(c, query, args, false)
	if n, ok := ids.(*rsql.Comparison); ok && n != c && n.Field == "id" {
		return rsql.And{ids, c}
	}
	return ids
}

// digest turns a comparison of digests into one of ids.
func (p *planning) digest(c *rsql.Comparison, field string) rsql.Node {
	switch {
	case !hasPattern(c):
		in, list := p.store.among("digest", valueTexts(c))
		return p.byIDs(c, "SELECT "+p.store.idText("asset_id")+" FROM asset_digests WHERE kind = ? AND "+in, []any{field[:1], list}, c.Operator.Negative())
	case field == "config_digest" && p.store.dialect == SQLite:
		return c // is read with the asset
	}
	return p.digestPattern(c, field[:1])
}

// digestPattern turns a comparison of digests with a pattern into one of ids, where few match. A pattern that begins
// with a part of the digest is found by the index.
func (p *planning) digestPattern(c *rsql.Comparison, kind string) rsql.Node {
	v := c.Values[0]
	where, args := p.store.like("digest"), []any{rsql.LikePattern(v)}
	if start := v.Text[:v.Wildcards[0]]; start != "" {
		start = rsql.Fold(start)
		where, args = where+" AND digest >= ? AND digest < ?", append(args, start, start+"~") // digits and a to f are below ~
	} else if piece := matchOf(v).longest(); piece != "" {
		where, args = p.holds("digest"), []any{piece, rsql.LikePattern(v)}
	}
	where, args = "kind = ? AND "+where, append([]any{kind}, args...)
	return p.byIDs(c, "SELECT "+p.store.idText("asset_id")+" FROM asset_digests WHERE "+where, args, c.Operator.Negative())
}

// holds is the SQL of a text holding a piece of a pattern and matching it, where all rows are read: to look for the piece is
// quicker than the pattern. The planner puts what it takes for cheap first, so the pattern is written as one of something
// that has to be computed; and it must be there, for the planner believes that every third row holds the piece, and would
// not read such a table with several processes.
func (p *planning) holds(column string) string {
	if p.store.dialect == PostgreSQL {
		return "strpos(" + column + ", ?) > 0 AND (" + column + " || '') LIKE ?"
	}
	return "instr(" + column + ", ?) > 0 AND " + p.store.like(column)
}

// byIDs turns a comparison into one of the ids that a query gives, or leaves it as it is where they are many: a page of
// those is found by walking the list's order.
func (p *planning) byIDs(c *rsql.Comparison, query string, args []any, negative bool) rsql.Node {
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
func (p *planning) ids(limit int, query string, args []any) (ids []string, ok bool) {
	if p.lookups <= 0 || p.err != nil {
		return nil, false
	}
	p.lookups--
	limit = min(limit, p.values)
	ids = ask(p, scanText, query+" LIMIT ?", append(slices.Clone(args), limit+1)...)
	if p.err != nil || len(ids) > limit {
		return nil, false
	}
	p.values -= len(ids)
	return slices.Compact(slices.Sorted(slices.Values(ids))), true // an image may be known by several that match
}
