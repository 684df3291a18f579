package config

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoadPrefersTheEnvironmentOverTheFileOverDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	require.NoError(t, os.WriteFile(file, []byte("database_url: sqlite:/tmp/a.db\nlisten: 127.0.0.1:1\nlog_level: debug\n"), 0o600))
	t.Setenv("SLIPWAY_LISTEN", "127.0.0.1:2")
	c, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:2", c.Listen)
	require.Equal(t, "debug", c.LogLevel)
	require.Equal(t, "default", c.TemporalNamespace)
	require.Equal(t, Secret("sqlite:/tmp/a.db"), c.DatabaseURL)
}

func TestLoadListsAllMistakes(t *testing.T) {
	t.Setenv("SLIPWAY_AUTH", "maybe")
	t.Setenv("SLIPWAY_DATABASE_URL", "mysql://x")
	t.Setenv("SLIPWAY_LISTEN", "nowhere")
	t.Setenv("SLIPWAY_LOG_LEVEL", "loud")
	_, err := Load("")
	require.Error(t, err)
	for _, name := range []string{"SLIPWAY_AUTH", "SLIPWAY_DATABASE_URL", "SLIPWAY_LISTEN", "SLIPWAY_LOG_LEVEL"} {
		require.Contains(t, err.Error(), name)
	}
}

// S26: what wipes data is never on by accident.
func TestS26DevelopmentIsRefusedWithAuthentication(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:/tmp/a.db")
	t.Setenv("SLIPWAY_DEVELOPMENT", "true")
	_, err := Load("")
	require.ErrorContains(t, err, "SLIPWAY_DEVELOPMENT")
	t.Setenv("SLIPWAY_AUTH", "none")
	_, err = Load("")
	require.NoError(t, err)
}

func TestUnknownMembersOfTheFileAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	require.NoError(t, os.WriteFile(file, []byte("database: x\n"), 0o600))
	_, err := Load(file)
	require.ErrorContains(t, err, "database")
}

func TestSecretsPrintAsRedacted(t *testing.T) {
	c := Config{DatabaseURL: "postgres://u:hunter2@h/db"}
	require.NotContains(t, fmt.Sprintf("%v %+v %s", c, &c, c.DatabaseURL), "hunter2")
}
