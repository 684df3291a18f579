package models

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// putDeployment upserts one row of deployments. The sequence orders writes to different places: on PostgreSQL it comes
// from the column's own sequence, which the insert draws even when it turns into an update; on SQLite there is one
// writer, so the highest number plus one will do. ErrNotFound where there is no such environment.
func (s *Store) putDeployment(ctx context.Context, r deployment) error {
	values := []any{r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt}
	columns, places := "environment_id, root, root_stage, path, content, updated_by, updated_at", "?, ?, ?, ?, ?, ?, ?"
	if s.dialect == SQLite {
		columns, places = columns+", sequence", places+", (SELECT COALESCE(MAX(sequence), 0) + 1 FROM deployments WHERE environment_id = ?)"
		values = append(values, r.EnvironmentID)
	}
	err := s.writer(ctx).Exec("INSERT INTO deployments ("+columns+") VALUES ("+places+`)
		ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
		SET sequence = excluded.sequence, content = excluded.content, updated_by = excluded.updated_by, updated_at = excluded.updated_at`, values...).Error
	if isForeignKeyViolation(err) {
		return ErrNotFound
	}
	return err
}

// dropCovered removes the rows below a root that were written before the root itself: they cannot show any more.
func (s *Store) dropCovered(ctx context.Context, r deployment) error {
	return s.writer(ctx).Exec(`DELETE FROM deployments WHERE environment_id = ? AND root = ? AND root_stage <> ''
		AND sequence < (SELECT sequence FROM deployments WHERE environment_id = ? AND root = ? AND root_stage = '' AND path = ?)`,
		r.EnvironmentID, r.Root, r.EnvironmentID, r.Root, r.Path).Error
}

func isForeignKeyViolation(err error) bool {
	if err == nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23503"
	}
	return strings.Contains(err.Error(), "FOREIGN KEY constraint failed")
}
