package models_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// R16: a newer version migrates the schema while this one runs. Statements that were prepared before go on: none fails,
// in a transaction or outside of one.
func TestR16MigrationUnderARunningProcess(t *testing.T) {
	url := testenv.PostgresTemplate(t, "models", func(url string) error {
		s, err := models.Open(context.Background(), url, models.Options{})
		if err != nil {
			return err
		}
		if err := s.Migrate(context.Background()); err != nil {
			return err
		}
		return s.Close()
	})
	s, err := models.Open(t.Context(), url, models.Options{MaxConnections: 3})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	u := &models.User{Name: "ann"}
	require.NoError(t, s.CreateUser(t.Context(), u))
	use := func() {
		t.Helper()
		// Three connections, each with the statements prepared.
		var open func(n int)
		open = func(n int) {
			if n == 0 {
				return
			}
			require.NoError(t, s.Tx(t.Context(), func(tx *models.Store) error {
				if _, err := tx.UserByName(t.Context(), "ann"); err != nil {
					return err
				}
				open(n - 1)
				return nil
			}))
		}
		open(3)
		for range 3 {
			_, err := s.UserByName(t.Context(), "ann")
			require.NoError(t, err)
			require.NoError(t, s.SetDisabled(t.Context(), u.ID, false))
			_, err = s.TakeUnchecked(t.Context(), s.Now(), 10) // UPDATE ... RETURNING *
			require.NoError(t, err)
		}
	}
	use()
	other, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close(context.WithoutCancel(t.Context()))) }()
	for _, column := range []string{"later", "latest"} {
		for _, table := range []string{"users", "executions"} {
			_, err = other.Exec(t.Context(), "ALTER TABLE "+table+" ADD COLUMN "+column+" text NOT NULL DEFAULT ''")
			require.NoError(t, err)
		}
		use()
	}
}
