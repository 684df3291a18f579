package models

import (
	"strconv"
	"strings"

	"slipway/internal/rsql"
)

// rareRows is a condition on the assets x, which few meet.
type rareRows struct {
	where string
	args  []any
	// driving says that what the whole filter selects is among these.
	driving bool
}

// rareNode makes a comparison of a condition on the assets x, which few meet.
func (p *planning) rareNode(where string, args ...any) rsql.Node {
	p.rare = append(p.rare, rareRows{where: where, args: args})
	return compare(fieldRare, rsql.Equal, []string{strconv.Itoa(len(p.rare) - 1)})
}

// rareOf is the condition of assets being among those that are rare: by their ids, or where these drive the whole query, by
// where they stand, so that no index on the ids has to be gone through.
//
// The inner query has no order and no limit, so that PostgreSQL takes the index of the condition, whatever it believes of the
// frequency: of arrays it keeps the frequencies of the most common elements and takes all others for half as frequent as the
// last of these. Where the organizations have next to nothing of all that there is, it takes theirs.
//
// It takes the index on the ids for an array of them. To try an array on each asset costs as much as it is long, so what is
// tried on all asks a hash of the ids.
func (p *planning) rareOf(r rareRows) (string, []any) {
	in, list := p.store.among("x.organization_id", p.query.Organizations)
	row := "id"
	if r.driving {
		row = "ctid"
	}
	ids, end := "= ANY(ARRAY(", "))"
	if p.scanned && !p.few {
		ids, end = "IN (", ")"
	}
	return "assets." + row + " " + ids + "SELECT x." + row + " FROM assets x WHERE " + in + " AND " + r.where + end, append([]any{list}, r.args...)
}

// drive marks the conditions that what a whole filter selects must meet.
func (p *planning) drive(n rsql.Node) {
	for c := range rsql.Required(n) {
		if c.Field != fieldRare {
			continue
		}
		if i, err := strconv.Atoi(c.Values[0].Text); err == nil && i < len(p.rare) {
			p.rare[i].driving = true
		}
	}
}

// findRare makes the condition of fieldRare.
func (p *planning) findRare(index string) (string, []any) {
	i, err := strconv.Atoi(index)
	if err != nil || i >= len(p.rare) {
		return noAsset(index)
	}
	return p.rareOf(p.rare[i])
}

// timed turns a comparison of a time that few assets have into one of their ids. Where the list is sorted by that time, its
// index finds them anyway.
func (p *planning) timed(c *rsql.Comparison) (n rsql.Node, ok bool) {
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
	switch count := p.countUpTo(planLimits.early+1, where, args); {
	case p.err != nil || count > int64(planLimits.early):
		return nil, false
	case count == 0:
		return never, true
	}
	return p.rareNode(strings.ReplaceAll(where, "assets.", "x."), args...), true
}
