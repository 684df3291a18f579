package rsql

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// testDatabase is a database with the table of assets, in one connection.
type testDatabase struct {
	*sql.DB
	dialect Dialect
}

// where runs a condition and gives the numbers of the rows that meet it.
func (d testDatabase) where(t testing.TB, condition Condition) []int {
	t.Helper()
	text, args := condition.Question()
	query := "SELECT n FROM assets WHERE " + text + " ORDER BY n"
	if d.dialect == PostgreSQL {
		text, args = condition.Numbered(2)
		query = "SELECT n FROM assets WHERE n >= $1 AND " + text + " ORDER BY n"
		args = append([]any{0}, args...)
	}
	rows, err := d.Query(query, args...)
	require.NoError(t, err, "%s: %s\n%q", d.dialect, query, args)
	defer rows.Close()
	found := []int{}
	for rows.Next() {
		var n int
		require.NoError(t, rows.Scan(&n))
		found = append(found, n)
	}
	require.NoError(t, rows.Err(), "%s: %s", d.dialect, query)
	return found
}

// databases are the ones that every test of SQL runs on.
var databases = map[string]func(testing.TB) testDatabase{"SQLite": openSQLite, "PostgreSQL": openPostgreSQL}

func openSQLite(t testing.TB) testDatabase {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`
		CREATE TABLE assets (n integer PRIMARY KEY, id text, name text, registry text, created_at datetime,
			built_at datetime, size_bytes integer, risk_score integer, locked boolean, labels text, features text,
			tags text, search_text text);
		CREATE TABLE asset_digests (n integer, digest text)`)
	require.NoError(t, err)
	return testDatabase{db, SQLite}
}

// openPostgreSQL uses temporary tables, so that a given database is left as it was. Column risk_score is an int4 on
// purpose: filters compare it with numbers of 64 bits.
func openPostgreSQL(t testing.TB) testDatabase {
	db, err := sql.Open("pgx", postgresURL(t))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`
		CREATE TEMPORARY TABLE assets (n integer PRIMARY KEY, id uuid, name text, registry text, created_at timestamptz,
			built_at timestamptz, size_bytes bigint, risk_score integer, locked boolean, labels text[], features jsonb,
			tags jsonb, search_text text);
		CREATE TEMPORARY TABLE asset_digests (n integer, digest text)`)
	require.NoError(t, err)
	return testDatabase{db, PostgreSQL}
}

// postgresURL gives SLIPWAY_TEST_POSTGRES_URL or the one throw-away cluster of this run. Without PostgreSQL the test is
// skipped, in CI it fails.
func postgresURL(t testing.TB) string {
	if url := os.Getenv("SLIPWAY_TEST_POSTGRES_URL"); url != "" {
		return url
	}
	url, err := startPostgres()
	require.NoError(t, err)
	if url == "" && os.Getenv("CI") != "" {
		t.Fatal("CI needs PostgreSQL: set SLIPWAY_TEST_POSTGRES_URL or install its server")
	}
	if url == "" {
		t.Skip("needs PostgreSQL: set SLIPWAY_TEST_POSTGRES_URL or install its server")
	}
	return url
}

// stopPostgres stops the cluster that startPostgres started.
var stopPostgres = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopPostgres()
	os.Exit(code)
}

// startPostgres starts a cluster from the installed binaries, listening on a socket in its folder only. It gives an empty
// URL if there are none.
var startPostgres = sync.OnceValues(func() (string, error) {
	initdb, err := exec.LookPath("initdb")
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); err != nil && len(found) > 0 {
		initdb, err = found[len(found)-1], nil
	}
	if err != nil {
		return "", nil
	}
	directory, err := os.MkdirTemp("", "rsql")
	if err != nil {
		return "", err
	}
	stopPostgres = func() { os.RemoveAll(directory) }
	attributes := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // the server refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			return "", err
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		if err := os.Chown(directory, uid, gid); err != nil {
			return "", err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	run := func(name string, arguments ...string) error {
		command := exec.Command(filepath.Join(filepath.Dir(initdb), name), arguments...)
		command.Dir = directory
		command.SysProcAttr = attributes
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, output)
		}
		return nil
	}
	data := filepath.Join(directory, "data")
	if err := run("initdb", "--pgdata="+data, "--username=postgres", "--auth=trust", "--encoding=UTF8",
		"--locale=C.UTF-8", "--no-sync"); err != nil {
		return "", err
	}
	if err := run("pg_ctl", "start", "--wait", "--pgdata="+data, "--log="+filepath.Join(directory, "log"),
		"--options="+fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off", directory)); err != nil {
		return "", err
	}
	stopPostgres = func() {
		if err := run("pg_ctl", "stop", "--mode=immediate", "--pgdata="+data); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.RemoveAll(directory)
	}
	return "postgres:///postgres?host=" + directory + "&user=postgres", nil
})
