package models

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// isStalePlan says that PostgreSQL would not run a prepared statement, because a migration has changed what it gives
// since the connection prepared it. Nothing was executed, and the driver forgets the statement: the next try prepares it
// anew. The error's code is that of many others and its text depends on the server's language.
func isStalePlan(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "0A000" && pg.Routine == "RevalidateCachedQuery"
}

// maxStalePlans bounds the tries of one statement: each may meet another connection that has prepared it before.
const maxStalePlans = 50

// migratedPool is a pool whose single statements do not fail where a newer version of Slipway migrates the schema under a
// process that runs. Transactions begin again as a whole, see Store.Tx.
type migratedPool struct{ *sql.DB }

// GetDBConn gives GORM the pool itself.
func (p migratedPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// QueryContext is that of sql.DB.
func (p migratedPool) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	untilPlanned(func() error { rows, err = p.DB.QueryContext(ctx, query, args...); return err }) //nolint:rowserrcheck,sqlclosecheck // the caller reads the rows
	return rows, err
}

// QueryRowContext is that of sql.DB.
func (p migratedPool) QueryRowContext(ctx context.Context, query string, args ...any) (row *sql.Row) {
	untilPlanned(func() error { row = p.DB.QueryRowContext(ctx, query, args...); return row.Err() })
	return row
}

// ExecContext is that of sql.DB.
func (p migratedPool) ExecContext(ctx context.Context, query string, args ...any) (res sql.Result, err error) {
	untilPlanned(func() error { res, err = p.DB.ExecContext(ctx, query, args...); return err })
	return res, err
}

// untilPlanned runs a statement again while its plan is stale.
func untilPlanned(run func() error) {
	for range maxStalePlans {
		if !isStalePlan(run()) {
			return
		}
	}
}
