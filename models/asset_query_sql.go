package models

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// assetRows runs a query over assets with "?" for each parameter.
//
// On PostgreSQL it is planned anew each time, with the parameters in sight: which plan is right depends on how frequent a
// term is, and after five executions a prepared statement gets one plan for all terms. Slices are arrays there, so
// nothing but this file's callers goes by GORM, which would spread them.
func (s *Store) assetRows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s.dialect == PostgreSQL {
		query = numbered(query)
	}
	if watch, ok := ctx.Value(watchKey{}).(func(string, []any)); ok {
		watch(query, args)
	}
	if s.dialect == PostgreSQL {
		args = append([]any{pgx.QueryExecModeCacheDescribe}, args...)
	}
	return s.read.Statement.ConnPool.QueryContext(ctx, query, args...)
}

type watchKey struct{}

// WatchAssetQueries gives a context under which watch sees the SQL of each query over assets before it runs, for those who
// want to know its plan.
func WatchAssetQueries(ctx context.Context, watch func(query string, args []any)) context.Context {
	return context.WithValue(ctx, watchKey{}, watch)
}

// assetExec is assetRows for statements, in the surrounding transaction where there is one. It gives the number of rows
// that changed.
func (s *Store) assetExec(ctx context.Context, query string, args ...any) (int64, error) {
	if s.dialect == PostgreSQL {
		query, args = numbered(query), append([]any{pgx.QueryExecModeCacheDescribe}, args...)
	}
	r, err := s.write.Statement.ConnPool.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// numbered writes $1, $2 ... for the question marks of a query whose texts hold no others.
func numbered(query string) string {
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// scanAll reads all rows and closes them.
func scanAll[T any](rows *sql.Rows, err error, scan func(*sql.Rows, *T) error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// scanText and scanNumber read rows of one column, for scanAll.
func scanText(rows *sql.Rows, text *string) error { return rows.Scan(text) }

func scanNumber(rows *sql.Rows, n *int64) error { return rows.Scan(n) }

// among is the SQL of a column being one of a list of texts, and the list as its parameter.
func (s *Store) among(column string, list []string) (string, any) {
	if len(list) == 1 {
		return column + " = ?", list[0]
	}
	if s.dialect == PostgreSQL {
		return column + " = ANY(?)", list
	}
	b, _ := json.Marshal(list) // texts always marshal
	return column + " IN (SELECT value FROM json_each(?))", string(b)
}

// amongIDs is among for columns of the type uuid.
func (s *Store) amongIDs(column string, list []string) (string, any) {
	if s.dialect == PostgreSQL {
		return column + " = ANY(?::text[]::uuid[])", list
	}
	b, _ := json.Marshal(list)
	return column + " IN (SELECT value FROM json_each(?))", string(b)
}

// like is the SQL of a folded text matching a pattern.
func (s *Store) like(column string) string {
	if s.dialect == PostgreSQL {
		return column + " LIKE ?"
	}
	return column + ` LIKE ? ESCAPE '\'`
}

// folded is the SQL of a text with A to Z in lower case.
func (s *Store) folded(column string) string {
	if s.dialect == PostgreSQL {
		return "lower(" + column + ` COLLATE "C")`
	}
	return "lower(" + column + ")"
}

// assetColumns are what lists read of an asset, in the order of scanAsset. p is the asset, d its details.
func (s *Store) assetColumns() string {
	columns := "p.id, p.organization_id, p.registry, p.repository, p.name, p.config_digest, p.architecture, p.os, p.class, p.class_locked, " +
		"p.labels, p.tags, p.image_tags, p.total_image_tags, p.size_bytes, p.built_at, p.last_seen_at, p.created_at, p.updated_at, d.digests, d.document"
	if s.dialect == PostgreSQL {
		columns = strings.NewReplacer("p.id,", "p.id::text,", "p.labels", "array_to_json(p.labels)::text", "p.tags", "p.tags::text",
			"p.image_tags", "array_to_json(p.image_tags)::text").Replace(columns)
	}
	return columns
}

// idText is the SQL of an id as text.
func (s *Store) idText(column string) string {
	if s.dialect == PostgreSQL {
		return column + "::text"
	}
	return column
}

// groupSource is the SQL of the rows that assets are grouped in when a filter is given, and of the value they are grouped
// by. Labels give a row each.
func (s *Store) groupSource(field string) (from, value string) {
	switch {
	case field == "type":
		return "assets", "CAST('" + AssetTypeContainerImage + "' AS text)" // PostgreSQL groups by no constant
	case field == "labels" && s.dialect == PostgreSQL:
		return "assets CROSS JOIN LATERAL unnest(assets.labels) AS x(value)", "x.value"
	case field == "labels":
		return "assets, json_each(assets.labels) AS x", "x.value"
	}
	if s.dialect == SQLite {
		// The plus sign keeps SQLite from walking the field's index for the order of the groups: it would fetch each row from
		// another place, which takes five times as long as to read all rows and sort what they have.
		return "assets", "+assets." + field
	}
	return "assets", "assets." + field
}
