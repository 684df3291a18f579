package models

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// S9: a statement that fails is logged without its values, whichever way GORM took to run it.
func TestS9QueryLogHoldsNoValues(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		var out bytes.Buffer
		old := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		t.Cleanup(func() { slog.SetDefault(old) })
		var x []struct{ A string }
		const secret = `hunter'"2`
		require.Error(t, s.reader(t.Context()).Raw("SELECT a FROM no_such_table WHERE b = ?", secret).Scan(&x).Error)
		require.Error(t, s.reader(t.Context()).Table("no_such_table").Where("b = ?", secret).Find(&x).Error)
		require.Error(t, s.writer(t.Context()).Exec("UPDATE no_such_table SET b = ?", secret).Error)
		require.Contains(t, out.String(), "query failed")
		require.NotContains(t, out.String(), "hunter")
	})
}

// A password that is also the name of the user or of the database must not make the error of a database that is away
// unreadable; what could not be parsed keeps its password to itself.
func TestS9PasswordsInErrorsOfOpen(t *testing.T) {
	_, err := Open(t.Context(), "postgres://slipway:slipway@127.0.0.1:1/slipway?sslmode=disable", Options{})
	require.ErrorContains(t, err, "user=slipway database=slipway")
	require.ErrorContains(t, err, "connection refused")
	require.EqualError(t, redact(errors.New("cannot parse secret"), "postgres://u:secret@h/d"), "cannot parse ***")
}
