package models

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Options tune Open. The zero value is right for a single process.
type Options struct {
	// MaxConnections bounds the pool on PostgreSQL, and the read pool on SQLite. 0 means 32.
	MaxConnections int
	// SlowQuery is how long a query may take before it is logged as slow; 0 means one second, negative never.
	SlowQuery time.Duration
	// Now replaces the clock, for tests.
	Now func() time.Time
	// Faults make statements fail, for tests.
	Faults *Faults
}

// Open connects to the database at address: postgres://user:password@host/name, or sqlite:PATH for a file (its folder
// is made with mode 0700). It does not migrate; see Migrate.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	if o.MaxConnections == 0 {
		o.MaxConnections = 32
	}
	if o.SlowQuery == 0 {
		o.SlowQuery = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{now: o.Now, url: address}
	cfg := func() *gorm.Config {
		return &gorm.Config{
			Logger:                 queryLog{slow: o.SlowQuery},
			SkipDefaultTransaction: true,
			PrepareStmt:            false,
			NowFunc:                s.Now,
			TranslateError:         false,
		}
	}
	switch {
	case strings.HasPrefix(address, "postgres://"), strings.HasPrefix(address, "postgresql://"):
		s.dialect = PostgreSQL
		db, err := sql.Open("pgx", address)
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", redact(err, address))
		}
		g, err := gorm.Open(postgres.New(postgres.Config{Conn: migratedPool{db}}), cfg())
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", redact(err, address))
		}
		if err := pool(g, o.MaxConnections); err != nil {
			return nil, err
		}
		s.write, s.read, s.joins = g, g, newDeploymentWrites()
	case strings.HasPrefix(address, "sqlite:"):
		s.dialect = SQLite
		path := strings.TrimPrefix(address, "sqlite:")
		if path == "" {
			return nil, errors.New("open SQLite: the address has no path, expected sqlite:PATH")
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("open SQLite: %w", err)
		}
		// One writer with immediate transactions: a deferred transaction that turns into a writer can fail at once
		// with SQLITE_BUSY, whatever the busy timeout.
		pragmas := "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(1)&_pragma=cache_size(-16000)&_pragma=temp_store(2)"
		w, err := gorm.Open(sqlite.Open(path+"?_txlock=immediate&"+pragmas), cfg())
		if err != nil {
			return nil, fmt.Errorf("open SQLite: %w", err)
		}
		if err := pool(w, 1); err != nil {
			return nil, err
		}
		r, err := gorm.Open(sqlite.Open(path+"?"+pragmas+"&_pragma=query_only(1)"), cfg())
		if err != nil {
			return nil, fmt.Errorf("open SQLite: %w", err)
		}
		if err := pool(r, min(o.MaxConnections, 8)); err != nil {
			return nil, err
		}
		s.write, s.read = w, r
	default:
		return nil, errors.New("the database address must start with postgres:// or sqlite:")
	}
	s.faults = o.Faults
	if err := errors.Join(o.Faults.install(s.write), faultsOfReads(o.Faults, s)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach the database: %w", redact(err, address)), s.Close())
	}
	return s, nil
}

// faultsOfReads installs the faults on the read pool, where that is another one.
func faultsOfReads(f *Faults, s *Store) error {
	if s.read == s.write {
		return nil
	}
	return f.install(s.read)
}

func pool(g *gorm.DB, max int) error {
	db, err := g.DB()
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(max)
	db.SetMaxIdleConns(max)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return nil
}

// redact removes the password of address from the text of err, since drivers like to quote what they could not parse.
func redact(err error, address string) error {
	u, perr := url.Parse(address)
	if perr != nil || u.User == nil {
		return err
	}
	// Where nobody answers the driver quotes user and database, of which the password may be a part, and never the password.
	var unreached *pgconn.ConnectError
	if errors.As(err, &unreached) {
		return err
	}
	pw, ok := u.User.Password()
	if !ok || pw == "" || !strings.Contains(err.Error(), pw) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), pw, "***"))
}

// isRetryable says whether a whole transaction may be tried again: PostgreSQL's serialization failure and deadlock,
// SQLite's busy writer.
func isRetryable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	t := err.Error()
	return errors.Is(err, errRowBusy) || strings.Contains(t, "SQLITE_BUSY") || strings.Contains(t, "database is locked")
}

func isUniqueViolation(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	return strings.Contains(err.Error(), "UNIQUE constraint failed")
}

// Unavailable says whether err means that the database cannot be reached or refuses work for now, so that the caller
// may answer "try again later" instead of "internal error".
func Unavailable(err error) bool {
	if err == nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// 57P0x: the server is shutting down or starting; 53xxx: out of resources; 25006: read-only.
		return strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "53") || pg.Code == "25006"
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) || pgconn.SafeToRetry(err) {
		return true
	}
	t := err.Error()
	for _, m := range []string{"SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "database is locked", "disk is full",
		"connection refused", "connection reset", "broken pipe", "unexpected EOF", "driver: bad connection", "conn closed"} {
		if strings.Contains(t, m) {
			return true
		}
	}
	return false
}

// queryLog reports slow and failed statements with their SQL but without their values, which may be secret.
type queryLog struct{ slow time.Duration }

func (l queryLog) LogMode(logger.LogLevel) logger.Interface      { return l }
func (l queryLog) Info(context.Context, string, ...interface{})  {}
func (l queryLog) Warn(context.Context, string, ...interface{})  {}
func (l queryLog) Error(context.Context, string, ...interface{}) {}

// ParamsFilter keeps values out of what Trace sees.
func (l queryLog) ParamsFilter(_ context.Context, sql string, _ ...interface{}) (string, []interface{}) {
	return sql, nil
}

// literals are quoted values in a statement. GORM asks no ParamsFilter for Scan and puts the values into the text.
var literals = regexp.MustCompile(`'(?:[^']|'')*'|"(?:[^"]|"")*"`)

// withoutValues takes the values out of a statement; identifiers in quotes go with them, which is a small loss.
func withoutValues(sql string) string { return literals.ReplaceAllString(sql, "?") }

func (l queryLog) Trace(ctx context.Context, begin time.Time, fc func() (string, int64), err error) {
	took := time.Since(begin)
	switch {
	case err != nil && !errors.Is(err, gorm.ErrRecordNotFound) && !errors.Is(err, context.Canceled) && !isUniqueViolation(err):
		q, _ := fc()
		slog.WarnContext(ctx, "query failed", "error", err, "took", took, "sql", withoutValues(q))
	case l.slow > 0 && took > l.slow:
		q, rows := fc()
		slog.WarnContext(ctx, "slow query", "took", took, "rows", rows, "sql", withoutValues(q))
	}
}
