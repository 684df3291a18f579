package models

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// R16: an upgrade beside running processes that waits for one of their transactions keeps none of them from another table:
// it would hold up what has nothing to do with it, or be in a ring with a transaction that changes both.
func TestR16MigrationsLockOneTableAtATime(t *testing.T) {
	for busy, other := range map[string]string{"execution_steps": "schedule_runs", "schedule_runs": "execution_steps"} {
		t.Run(busy, func(t *testing.T) {
			ctx := t.Context()
			url := testenv.Postgres(t)
			s := migratedTo(t, url, "0013_installation_deliveries")
			running, err := pgx.Connect(ctx, url)
			require.NoError(t, err)
			defer func() { require.NoError(t, running.Close(ctx)) }()
			exec := func(query string) {
				t.Helper()
				_, err := running.Exec(ctx, query)
				require.NoError(t, err)
			}
			exec("SET lock_timeout = '2s'")
			exec("BEGIN")
			exec("LOCK TABLE " + busy + " IN ROW EXCLUSIVE MODE") // what every change of a row takes
			migrated := make(chan error, 1)
			go func() { migrated <- s.Migrate(ctx) }()
			require.Eventually(t, func() bool {
				var waits bool
				err := running.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND NOT granted)", busy).Scan(&waits)
				return err == nil && waits
			}, time.Minute, time.Millisecond)
			exec("LOCK TABLE " + other + " IN ROW EXCLUSIVE MODE")
			exec("COMMIT")
			require.NoError(t, <-migrated)
			require.NoError(t, s.CheckMigrated(ctx))
		})
	}
}
