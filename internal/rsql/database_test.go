package rsql

import (
	"database/sql"
	"testing"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
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
		CREATE TABLE asset_digests (n integer, digest text);
		CREATE TABLE asset_notes (n integer, notes text)`)
	require.NoError(t, err)
	return testDatabase{db, SQLite}
}

// openPostgreSQL makes a database of the test's own. Column risk_score is an int4 on
// purpose: filters compare it with numbers of 64 bits.
func openPostgreSQL(t testing.TB) testDatabase {
	db, err := sql.Open("pgx", testenv.Postgres(t))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`
		CREATE TEMPORARY TABLE assets (n integer PRIMARY KEY, id uuid, name text, registry text, created_at timestamptz,
			built_at timestamptz, size_bytes bigint, risk_score integer, locked boolean, labels text[], features jsonb,
			tags jsonb, search_text text);
		CREATE TEMPORARY TABLE asset_digests (n integer, digest text);
		CREATE TEMPORARY TABLE asset_notes (n integer, notes jsonb)`)
	require.NoError(t, err)
	return testDatabase{db, PostgreSQL}
}
