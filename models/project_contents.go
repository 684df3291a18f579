package models

import "context"

// DeleteProjectContents removes a project and all that is in it: environments with their deployments, builds, jobs,
// pipelines and repositories. Its namespaces stay, with their releases, and belong to the organization alone from then
// on. It returns an ActiveError while an execution in the project has not ended; the rows of executions and the audit
// log stay.
func (s *Store) DeleteProjectContents(ctx context.Context, projectID string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.takeRow(ctx, "projects", projectID); err != nil {
			return err
		}
		if err := tx.takeRows(ctx, "environments", "project_id", projectID); err != nil {
			return err
		}
		if err := tx.closeSubjects(ctx, `SELECT id, -1 FROM builds WHERE project_id = @p UNION ALL SELECT id, -1 FROM deployment_jobs WHERE project_id = @p
			UNION ALL SELECT id, -1 FROM pipelines WHERE project_id = @p`, map[string]any{"p": projectID}); err != nil {
			return err
		}
		if err := tx.refuseActive(ctx, "project_id = ?", projectID); err != nil {
			return err
		}
		for _, q := range []string{
			"DELETE FROM deployments WHERE environment_id IN (SELECT id FROM environments WHERE project_id = ?)",
			"DELETE FROM deployment_history WHERE environment_id IN (SELECT id FROM environments WHERE project_id = ?)",
			"DELETE FROM builds WHERE project_id = ?",
			"DELETE FROM deployment_jobs WHERE project_id = ?",
			"DELETE FROM pipeline_triggers WHERE pipeline_id IN (SELECT id FROM pipelines WHERE project_id = ?)",
			"DELETE FROM pipelines WHERE project_id = ?",
			"DELETE FROM repositories WHERE project_id = ?",
			"DELETE FROM environments WHERE project_id = ?",
			"DELETE FROM notifications WHERE project_id = ?",
			"DELETE FROM deliveries WHERE project_id = ?",
			"UPDATE namespaces SET project_id = NULL WHERE project_id = ?",
		} {
			if err := tx.writer(ctx).Exec(q, projectID).Error; err != nil {
				return err
			}
		}
		if err := tx.removeSchedules(ctx, "project_id = ?", projectID).Error; err != nil {
			return err
		}
		return tx.DeleteProject(ctx, projectID)
	})
}
