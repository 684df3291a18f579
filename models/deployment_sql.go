package models

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// putDeployment upserts one row of deployments. The sequence orders writes to different places: on PostgreSQL it comes
// from the column's own sequence, which the insert draws even when it turns into an update; on SQLite there is one
// writer, so the highest number plus one will do. ErrNotFound where there is no such environment.
func (s *Store) putDeployment(ctx context.Context, r deployment) error {
	values := []any{r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt}
	if s.dialect == PostgreSQL {
		return foreignKeyNotFound(s.execRaw(ctx, putDeploymentPostgres, values))
	}
	columns, places := "environment_id, root, root_stage, path, content, updated_by, updated_at", "?, ?, ?, ?, ?, ?, ?"
	columns, places = columns+", sequence", places+", (SELECT COALESCE(MAX(sequence), 0) + 1 FROM deployments WHERE environment_id = ?)"
	values = append(values, r.EnvironmentID)
	return foreignKeyNotFound(s.writer(ctx).Exec("INSERT INTO deployments ("+columns+") VALUES ("+places+`)
		ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
		SET sequence = excluded.sequence, content = excluded.content, updated_by = excluded.updated_by, updated_at = excluded.updated_at`, values...).Error)
}

// putDeploymentPostgres is the statement that clients wait for most often.
const (
	putDeploymentPostgres = putDeploymentInto + "($1, $2, $3, $4, $5, $6, $7)" + putDeploymentOver
	putDeploymentInto     = `INSERT INTO deployments (environment_id, root, root_stage, path, content, updated_by, updated_at) VALUES `
	putDeploymentOver     = ` ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
	SET sequence = excluded.sequence, content = excluded.content, updated_by = excluded.updated_by, updated_at = excluded.updated_at`
)

// execRaw runs a statement that is written as the database takes it, without having GORM read it: for long statements
// that run often. Faults of tests and the log of slow queries see it all the same.
func (s *Store) execRaw(ctx context.Context, query string, values []any) error {
	g := s.writer(ctx).Session(&gorm.Session{})
	g.Statement.SQL.WriteString(query)
	g.Statement.Vars = values
	return g.Callback().Raw().Execute(g).Error
}

func foreignKeyNotFound(err error) error {
	if isForeignKeyViolation(err) {
		return ErrNotFound
	}
	return err
}

// finishDeployment does on PostgreSQL in one statement what PutDeployment and Audit do in several: a client waits for
// each of its writes, and a transaction of single statements costs six round trips.
func (s *Store) finishDeployment(ctx context.Context, r deployment, history []DeploymentHistory, line *AuditEntry) error {
	q := "WITH written AS (" + putDeploymentPostgres + " RETURNING sequence)"
	values := []any{r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt}
	if r.RootStage == "" { // as dropCovered, which sees the new sequence in the table
		q += ", dropped AS (DELETE FROM deployments d USING written WHERE d.environment_id = $1 AND d.root = $2 AND d.root_stage <> '' AND d.sequence < written.sequence)"
	}
	list := func(more ...any) string {
		b := []byte{'('}
		for i := range more {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, '$'), int64(len(values)+i+1), 10)
		}
		values = append(values, more...)
		return string(append(b, ')'))
	}
	for i, h := range history {
		if i == 0 {
			q += ", history AS (INSERT INTO deployment_history (id, environment_id, root, root_stage, path, stage, status_at, status, release, version, changed_by, created_at) VALUES "
		} else {
			q += ","
		}
		q += list(h.ID, h.EnvironmentID, h.Root, h.RootStage, h.Path, h.Stage, h.StatusAt, string(h.Status), h.Release, h.Version, h.ChangedBy, h.CreatedAt)
	}
	if len(history) > 0 {
		q += " ON CONFLICT DO NOTHING)"
	}
	if line != nil {
		if err := line.prepare(s.Now()); err != nil {
			return err
		}
		detail, err := json.Marshal(line.Detail)
		if err != nil {
			return err
		}
		q += ", audited AS (INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_name, action, resource_kind, resource_id, resource_name, project_id, result, detail) VALUES " +
			list(line.ID, line.At, line.ActorKind, line.ActorID, line.ActorName, line.Action, line.ResourceKind, line.ResourceID, line.ResourceName, line.ProjectID, line.Result, string(detail)) + ")"
	}
	return foreignKeyNotFound(s.execRaw(ctx, q+" SELECT 1", values))
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
