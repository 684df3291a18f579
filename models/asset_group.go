package models

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"slipway/internal/rsql"
)

// maxGroupTexts is how many labels and how many tags are told of a group.
const maxGroupTexts = 1000

// GroupDetailQuery asks what the assets of some groups have, beyond their number.
type GroupDetailQuery struct {
	Organizations []string
	// Field is one of AssetGroups, Values are the groups.
	Field  string
	Values []string
	// Filter, where not nil, narrows the assets that count.
	Filter rsql.Node
	// Labels, Tags and Times say what is asked for.
	Labels, Tags, Times bool
	// BuiltAt says whose built_at is told: last (the default) that of the asset which was updated last, first that of the one
	// updated first; max and min are the latest and the earliest.
	BuiltAt string
}

// GroupDetail is what the assets of a group have. Labels and tags are sorted, the first thousand of each.
type GroupDetail struct {
	Labels []string
	Tags   []FacetValue // Count is not set
	// Of the asset that was updated last; BuiltAt as its query says.
	BuiltAt, LastSeenAt, UpdatedAt *time.Time
}

// GroupDetails tells of groups what is asked for, by their values. It reads all their assets.
func (s *Store) GroupDetails(ctx context.Context, q GroupDetailQuery) (map[string]*GroupDetail, error) {
	details := make(map[string]*GroupDetail, len(q.Values))
	for _, v := range q.Values {
		details[v] = &GroupDetail{}
	}
	if len(q.Values) == 0 || len(q.Organizations) == 0 {
		return details, nil
	}
	where, args, err := s.assetCondition(ctx, AssetQuery{Organizations: q.Organizations, Filter: q.Filter})
	if err != nil {
		return nil, err
	}
	from, value := s.groupSource(q.Field)
	in, list := s.among(value, q.Values)
	g := groupRows{store: s, from: from, value: value, where: where + " AND " + in, args: append(args, list), details: details}
	if q.Labels {
		err = g.texts(ctx, "labels", func(d *GroupDetail, text string) { d.Labels = append(d.Labels, text) })
	}
	if err == nil && q.Tags {
		err = g.texts(ctx, "tag_lines", func(d *GroupDetail, text string) {
			key, value, _ := strings.Cut(text, "=")
			d.Tags = append(d.Tags, FacetValue{Key: key, Value: value})
		})
	}
	if err == nil && q.Times {
		err = g.times(ctx, q.BuiltAt)
	}
	if err != nil {
		return nil, fmt.Errorf("read what groups have: %w", err)
	}
	return details, nil
}

// groupRows are the assets of some groups.
type groupRows struct {
	store              *Store
	from, value, where string
	args               []any
	details            map[string]*GroupDetail
}

// texts tells of each group which texts its assets have in a column of several.
func (g *groupRows) texts(ctx context.Context, column string, add func(d *GroupDetail, text string)) error {
	each := " CROSS JOIN LATERAL unnest(assets." + column + ") AS y(value)"
	if g.store.dialect == SQLite {
		each = ", json_each(assets." + column + ") AS y"
	}
	query := "SELECT value, element FROM (SELECT value, element, ROW_NUMBER() OVER (PARTITION BY value ORDER BY element) AS place FROM (SELECT DISTINCT " + g.value + " AS value, y.value AS element FROM " +
		g.from + each + " WHERE " + g.where + ") d) e WHERE place <= ? ORDER BY value, element"
	return g.read(ctx, query, append(g.args[:len(g.args):len(g.args)], maxGroupTexts), func(rows *sql.Rows) error {
		var value, element string
		if err := rows.Scan(&value, &element); err != nil {
			return err
		}
		add(g.details[value], element)
		return nil
	})
}

// times tells of each group when it was built, seen and updated.
func (g *groupRows) times(ctx context.Context, built string) error {
	orders := map[string]string{"first": "assets.updated_at, assets.id", "max": "assets.built_at DESC NULLS LAST, assets.id", "min": "assets.built_at NULLS LAST, assets.id"}
	err := g.foremost(ctx, "assets.updated_at DESC, assets.id DESC", func(d *GroupDetail, built, seen, updated *time.Time) {
		d.BuiltAt, d.LastSeenAt, d.UpdatedAt = built, seen, updated
	})
	if order := orders[built]; err == nil && order != "" {
		err = g.foremost(ctx, order, func(d *GroupDetail, built, _, _ *time.Time) { d.BuiltAt = built })
	}
	return err
}

// foremost gives the times of the asset of each group that comes first in an order.
func (g *groupRows) foremost(ctx context.Context, order string, set func(d *GroupDetail, built, seen, updated *time.Time)) error {
	query := "SELECT e.value, a.built_at, a.last_seen_at, a.updated_at FROM (SELECT " + g.value + " AS value, assets.id AS id, ROW_NUMBER() OVER (PARTITION BY " + g.value + " ORDER BY " + order + ") AS place FROM " +
		g.from + " WHERE " + g.where + ") e JOIN assets a ON a.id = e.id WHERE e.place = 1"
	return g.read(ctx, query, g.args, func(rows *sql.Rows) error {
		var value string
		var times [3]sql.NullTime
		if err := rows.Scan(&value, &times[0], &times[1], &times[2]); err != nil {
			return err
		}
		var list [3]*time.Time
		for i, t := range times {
			if t.Valid {
				utc := t.Time.UTC()
				list[i] = &utc
			}
		}
		set(g.details[value], list[0], list[1], list[2])
		return nil
	})
}

func (g *groupRows) read(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := g.store.assetRows(ctx, query, args...)
	_, err = scanAll(rows, err, func(rows *sql.Rows, _ *struct{}) error { return row(rows) })
	return err
}
