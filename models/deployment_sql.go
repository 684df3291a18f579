package models

import "context"

// putDeployment upserts one row of deployments. The sequence orders writes to different places: on PostgreSQL it comes
// from the column's own sequence, which the insert draws even when it turns into an update; on SQLite there is one
// writer, so the highest number plus one will do.
//
// A root replaces what is below it. Older rows below would not show any more, but need not stay either: PostgreSQL drops
// them in the same statement, SQLite, which has no deleting subqueries, in a second one of the caller's transaction.
func (s *Store) putDeployment(ctx context.Context, r deployment) error {
	isRoot := r.RootStage == ""
	values := []any{r.EnvironmentID, r.Root, r.RootStage, r.Path, r.Content, r.UpdatedBy, r.UpdatedAt}
	if s.dialect == PostgreSQL {
		q := `INSERT INTO deployments (environment_id, root, root_stage, path, content, updated_by, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
			SET sequence = EXCLUDED.sequence, content = EXCLUDED.content, updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at`
		if isRoot {
			q = "WITH put AS (" + q + ` RETURNING sequence)
				DELETE FROM deployments d USING put WHERE d.environment_id = ? AND d.root = ? AND d.root_stage <> '' AND d.sequence < put.sequence`
			values = append(values, r.EnvironmentID, r.Root)
		}
		return s.writer(ctx).Exec(q, values...).Error
	}
	err := s.writer(ctx).Exec(`INSERT INTO deployments (environment_id, root, root_stage, path, content, updated_by, updated_at, sequence)
			VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM deployments WHERE environment_id = ?))
			ON CONFLICT (environment_id, root, root_stage, path) DO UPDATE
			SET sequence = excluded.sequence, content = excluded.content, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
		append(values, r.EnvironmentID)...).Error
	if err != nil || !isRoot {
		return err
	}
	return s.writer(ctx).Exec("DELETE FROM deployments WHERE environment_id = ? AND root = ? AND root_stage <> ''", r.EnvironmentID, r.Root).Error
}
