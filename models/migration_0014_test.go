package models

import (
	"path/filepath"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// migratedTo opens a database with the schema of an older version.
func migratedTo(t *testing.T, url, id string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, gormigrate.New(s.writer(t.Context()), &gormigrate.Options{TableName: "migrations", IDColumnName: "id", IDColumnSize: 100, UseTransaction: false}, migrations).MigrateTo(id))
	return s
}

// R16: what older versions have saved is as if this one had.
func TestR16RowsFromBeforeMigration0014(t *testing.T) {
	test := func(t *testing.T, s *Store) {
		ctx := t.Context()
		exec := func(query string, args ...any) {
			t.Helper()
			require.NoError(t, s.writer(ctx).Exec(query, args...).Error)
		}
		org, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
		require.NoError(t, err)
		for _, p := range []string{"shop", "tools"} {
			exec(`INSERT INTO projects (id, organization_id, name, description, org_url, created_at, updated_at) VALUES (?, ?, ?, '', '', ?, ?)`, p+"-id", org.ID, p, s.Now(), s.Now())
		}
		pipeline := func(id, phases string) {
			exec(`INSERT INTO pipelines (id, project_id, name, disabled, phases, service_account_name, created_at, updated_at) VALUES (?, 'shop-id', ?, ?, ?, '', ?, ?)`,
				id, id, false, phases, s.Now(), s.Now())
		}
		pipeline("listens", `[{"steps":[{"type":"build","environment":"dev","build":"web","trigger_pipeline_on_build":true},
			{"type":"run-smoke","project":"tools","environment":"ci","deployment":"db","trigger_pipeline_on_deploy":true},
			{"type":"deploy","environment":"dev","deployment":"app","trigger_pipeline_on_deploy":true},
			{"type":"deploy","project":"gone","environment":"dev","deployment":"app","trigger_pipeline_on_deploy":true},
			{"type":"deploy","environment":"dev","deployment":"quiet","trigger_pipeline_on_deploy":false}]}]`)
		exec(`INSERT INTO pipeline_listeners (pipeline_id, kind, project_id, environment, name) VALUES ('listens', 'deployment', 'shop-id', 'dev', 'app')`)
		pipeline("quiet", `[{"steps":[{"type":"build","environment":"dev","build":"web"}]}]`)
		pipeline("broken", `{"trigger_pipeline_on_build":`)
		execution := func(id, trigger string) {
			exec(`INSERT INTO executions (id, kind, project_id, environment_id, organization_id, subject_id, subject_name, number, status, reason, run_id, task_queue, parent_id, parent_phase, parent_step,
				root_id, retry_of, trigger, sequence, cancel_requested_by, created_at, checked_at, logs_archived)
				VALUES (?, 'pipeline', 'shop-id', '', '', ?, 'ship', 1, 'waiting', '', '', '', '', 0, 0, ?, '', ?, 0, '', ?, ?, ?)`, id, id, id, trigger, s.Now(), s.Now(), false)
			exec(`INSERT INTO confirmations (id, execution_id, phase, step, code_hash, "user", team, status, decided_by_kind, decided_by_id, decided_by_name, created_at, four_eyes)
				VALUES (?, ?, 0, 0, ?, '', '', 'pending', '', '', '', ?, ?)`, id, id, id, s.Now(), true)
		}
		execution("ann", `{"type":"api","subject_kind":"user","subject_id":"u","subject_name":"ann"}`)
		execution("hook", `{"type":"webhook","subject_kind":"pipeline","subject_id":"p","subject_name":"\"subject_kind\":\"user\""}`)
		execution("carl", `{"type":"api","subject_kind":"service-account","subject_id":"s"}`)
		exec(`UPDATE confirmations SET "user" = 'carl' WHERE id = 'carl'`)
		execution("team", `{"type":"api","subject_kind":"service-account","subject_id":"s"}`)
		exec(`UPDATE confirmations SET "user" = 'carl', team = 'managers' WHERE id = 'team'`)
		exec(`INSERT INTO execution_steps (execution_id, phase, step, name, type, status, reason, child_id, kept, delivery_id) VALUES ('ann', 0, 0, 'call', 'webhook-trigger', 'ok', '', '', ?, 'gone')`, false)

		require.NoError(t, s.Migrate(ctx))
		listeners, err := all[PipelineListener](s.reader(ctx).Order("name"))
		require.NoError(t, err)
		require.Equal(t, []PipelineListener{
			{PipelineID: "listens", Kind: KindDeployment, ProjectID: "shop-id", Environment: "dev", Name: "app"},
			{PipelineID: "listens", Kind: KindDeployment, ProjectID: "tools-id", Environment: "ci", Name: "db"},
			{PipelineID: "listens", Kind: KindBuild, ProjectID: "shop-id", Environment: "dev", Name: "web"}}, listeners)
		for id, approvals := range map[string]int{"ann": 1, "hook": 2, "carl": 1, "team": 2} {
			c, err := s.ConfirmationByID(ctx, id)
			require.NoError(t, err)
			require.Equal(t, approvals, c.Approvals, id)
		}
		steps, err := s.StepsOf(ctx, "ann")
		require.NoError(t, err)
		require.Equal(t, []string{"", "ok"}, []string{steps[0].DeliveryID, string(steps[0].Status)})
	}
	t.Run("sqlite", func(t *testing.T) {
		test(t, migratedTo(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), "0012_assets"))
	})
	t.Run("postgres", func(t *testing.T) { test(t, migratedTo(t, testenv.Postgres(t), "0012_assets")) })
}
