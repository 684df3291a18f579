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

func TestLoadNamesEveryVariableThatCannotBeRead(t *testing.T) {
	t.Setenv("SLIPWAY_AUTH", "maybe")
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:/tmp/a.db")
	t.Setenv("SLIPWAY_SCRIPT_GRACE", "soon")
	t.Setenv("SLIPWAY_SCRIPTS", "many")
	t.Setenv("SLIPWAY_DEVELOPMENT", "perhaps")
	_, err := Load("")
	require.Error(t, err)
	require.Equal(t, `SLIPWAY_DEVELOPMENT is "perhaps", expected true or false
SLIPWAY_SCRIPTS is "many", expected a whole number
SLIPWAY_SCRIPT_GRACE is "soon", expected a time such as 90s, 10m or 2h
SLIPWAY_AUTH is "maybe", expected token, basic or none`, err.Error())
}

func TestLoadRefusesTimesBelowZero(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:/tmp/a.db")
	t.Setenv("SLIPWAY_SCRIPT_GRACE", "-1s")
	t.Setenv("SLIPWAY_SOURCE_TIMEOUT", "0s")
	_, err := Load("")
	require.ErrorContains(t, err, "SLIPWAY_SCRIPT_GRACE")
	require.ErrorContains(t, err, "SLIPWAY_SOURCE_TIMEOUT")
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

func TestWebHookIsChecked(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:/tmp/a.db")
	t.Setenv("SLIPWAY_WEB_HOOK_SECRET", "hunter2")
	_, err := Load("")
	require.ErrorContains(t, err, "SLIPWAY_WEB_HOOK, which is not set")
	t.Setenv("SLIPWAY_WEB_HOOK", "events.example.com/hunter2")
	_, err = Load("")
	require.EqualError(t, err, "SLIPWAY_WEB_HOOK is no absolute http or https URL")
	t.Setenv("SLIPWAY_WEB_HOOK", "https://events.example.com/hunter2")
	c, err := Load("")
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v", *c, c), "hunter2")
}

// Whoever starts a server on an SQLite file needs to name no other folder: what goes with the database lies beside it.
func TestDataLiesBesideAnSQLiteFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:"+filepath.Join(dir, "a.db"))
	c, err := Load("")
	require.NoError(t, err)
	require.Equal(t, dir, c.DataDir)
	require.Equal(t, filepath.Join(dir, "keyset.json"), c.KeyPath())
	require.Equal(t, "file://"+filepath.Join(dir, "files"), c.StorageURL)
	t.Setenv("SLIPWAY_DATA_DIR", "/srv/slipway")
	c, err = Load("")
	require.NoError(t, err)
	require.Equal(t, "/srv/slipway", c.DataDir)
	t.Setenv("SLIPWAY_DATA_DIR", "")
	t.Setenv("SLIPWAY_DATABASE_URL", "postgres://h/db")
	c, err = Load("")
	require.NoError(t, err)
	require.Equal(t, "/var/lib/slipway", c.DataDir)
}

// What an installation has in the system's folder is not left behind by an upgrade, whatever else is configured.
func TestDataOfAnInstallationStaysInTheSystemFolder(t *testing.T) {
	beside := t.TempDir()
	c := &Config{DatabaseURL: Secret("sqlite:" + filepath.Join(beside, "a.db")), KeyFile: "/etc/slipway/keyset.json"}
	require.Equal(t, beside, c.defaultDataDir(filepath.Join(t.TempDir(), "none")))
	empty := t.TempDir()
	require.Equal(t, beside, c.defaultDataDir(empty), "a folder that a package made holds nothing yet")
	for _, name := range []string{"files", "known_hosts", "keyset.json"} {
		system := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(system, name), 0o700))
		require.Equal(t, system, c.defaultDataDir(system), name)
	}
	// What cannot be looked at may be there: better to fail over it than to begin anew somewhere else.
	blocked := filepath.Join(t.TempDir(), "blocked")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	require.Equal(t, filepath.Join(blocked, "slipway"), c.defaultDataDir(filepath.Join(blocked, "slipway")))
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
