package app_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/app"
	"slipway/internal/config"
	"slipway/internal/testenv"
)

// open puts a process together over SQLite, with no Temporal behind it.
func open(t *testing.T) *app.App {
	t.Helper()
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	t.Setenv("SLIPWAY_DATA_DIR", t.TempDir())
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", "127.0.0.1:1")
	cfg, err := config.Load("")
	require.NoError(t, err)
	a, err := app.Open(t.Context(), cfg, app.Options{Migrate: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// The whole table, as `slipway routes` prints it, and the document of each surface.
func TestGoldenTableAndDocuments(t *testing.T) {
	s, err := open(t).API()
	require.NoError(t, err)
	testenv.Golden(t, "../docs/api/routes.tsv", api.Routes(s.Groups()))
	for _, g := range s.Groups() {
		doc, err := api.OpenAPI(g)
		require.NoError(t, err, g.Surface.Name)
		testenv.Golden(t, "../docs/api/openapi-"+g.Surface.Name+".json", doc)
	}
}

// S26: what is built without a migrated database says so, and what to do.
func TestOpenRefusesAnOldSchema(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	t.Setenv("SLIPWAY_DATA_DIR", t.TempDir())
	cfg, err := config.Load("")
	require.NoError(t, err)
	_, err = app.Open(t.Context(), cfg, app.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.ErrorContains(t, err, "slipway migrate")
}
