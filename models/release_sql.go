package models

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// insertSearchText makes the text of a release searchable.
func (s *Store) insertSearchText(ctx context.Context, r *Release, namespaceID, text string) error {
	if s.dialect == PostgreSQL {
		return s.writer(ctx).Exec("INSERT INTO release_texts (release_id, application_id, namespace_id, text, grams) VALUES (?, ?, ?, ?, CAST(? AS integer[]))",
			r.ID, r.ApplicationID, namespaceID, text, arrayOf(searchGrams(text))).Error
	}
	return s.writer(ctx).Exec("INSERT INTO release_texts (release_id, application_id, namespace_id, text) VALUES (?, ?, ?, ?)",
		r.ID, r.ApplicationID, namespaceID, text).Error
}

// containsText is the condition that the text of a release, the row t of release_texts, contains another one in lower
// case.
func (s *Store) containsText(text string) (string, []any) {
	if s.dialect == PostgreSQL {
		return "strpos(t.text, ?) > 0", []any{text}
	}
	return "instr(t.text, ?) > 0", []any{text}
}

// indexedText is the condition that the index of n-grams knows for a text; "" where it knows none. It holds also for some
// rows that do not contain the text.
func (s *Store) indexedText(text string) (string, []any) {
	grams := queryGrams(text)
	if s.dialect == PostgreSQL {
		if len(grams) == 0 {
			return "", nil
		}
		numbers := make([]int32, 0, len(grams))
		for _, g := range grams {
			numbers = append(numbers, gram([]rune(g)))
		}
		return "t.grams @> CAST(? AS integer[])", []any{arrayOf(numbers)}
	}
	// FTS5 keeps triples only.
	var quoted []string
	for _, g := range grams {
		if len([]rune(g)) == 3 {
			quoted = append(quoted, `"`+strings.ReplaceAll(g, `"`, `""`)+`"`)
		}
	}
	if len(quoted) == 0 {
		return "", nil
	}
	return "t.number IN (SELECT rowid FROM release_texts_index WHERE release_texts_index MATCH ?)", []any{strings.Join(quoted, " AND ")}
}

// plannedIDs reads the ids that a query for rows t of release_texts selects. On PostgreSQL it is planned for its values:
// after a few times a prepared statement gets one plan for all values, and which plan is good depends on nothing else.
func (s *Store) plannedIDs(ctx context.Context, q *gorm.DB) ([]string, error) {
	var out []string
	if s.dialect != PostgreSQL {
		return out, q.Pluck("t.release_id", &out).Error
	}
	statement := q.Session(&gorm.Session{DryRun: true}).Select("t.release_id").Find(&out).Statement
	rows, err := s.read.Statement.ConnPool.QueryContext(ctx, statement.SQL.String(), append([]any{pgx.QueryExecModeCacheDescribe}, statement.Vars...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// unindexedID is the id of the row t of release_texts as something that no index is ordered by.
func (s *Store) unindexedID() string {
	if s.dialect == PostgreSQL {
		return "(t.release_id || '')"
	}
	return "+t.release_id"
}
