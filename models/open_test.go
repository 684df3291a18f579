package models

import (
	"bytes"
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
