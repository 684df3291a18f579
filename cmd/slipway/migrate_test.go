package main

import (
	"bytes"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// Without Temporal the database is migrated all the same, and the command says what is done and what is not.
func TestMigrateWithoutTemporal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	database := "sqlite:" + filepath.Join(t.TempDir(), "slipway.db")
	t.Setenv("SLIPWAY_DATABASE_URL", database)
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", l.Addr().String())
	temporalPatience = time.Millisecond
	t.Cleanup(func() { temporalPatience = 10 * time.Second })
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		c := newRootCommand()
		c.SetArgs(append([]string{"migrate"}, args...))
		c.SetOut(&out)
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run()
	require.Equal(t, "The database schema is up to date.\n", out)
	require.ErrorContains(t, err, "the database is done, but Slipway's search attributes are not registered, because Temporal at "+l.Addr().String())
	require.ErrorContains(t, err, "--no-temporal")
	require.Equal(t, exitUnreachable, exitCode(err))
	s, err := models.Open(t.Context(), database, models.Options{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.CheckMigrated(t.Context()))
	_, err = run("--no-temporal")
	require.NoError(t, err)
}
