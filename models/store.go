// Package models holds Slipway's entities, their pure state transitions, their queries and the migrations. GORM stays
// inside this package: callers see entities and methods of Store, never a *gorm.DB.
//
// Rules that every query here keeps:
//
//   - Explicit queries only: no GORM hooks, no preloads, no AutoMigrate of live models.
//   - Every state transition is conditional on the old status or a version column, because SQLite's dialect drops
//     FOR UPDATE without a word.
//   - No slow work (network, scripts, hashing of passwords) inside a transaction: SQLite has one writer.
//   - SQL that differs between the databases is chosen with Store.Dialect and lives in a file that ends in _sql.go.
package models

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"slipway/internal/periodic"
)

// Dialect names the database behind a Store.
type Dialect string

// The two supported databases. PostgreSQL is the real one, SQLite the embedded default.
const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
)

// Errors that queries return, to be tested with errors.Is.
var (
	// ErrNotFound says that no row matched.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a unique key is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict says that a row was not in the state that a transition requires: somebody else was first.
	ErrConflict = errors.New("conflict")
)

// Store gives access to the database. The zero value is not usable; see Open. A Store that Tx hands to its function is
// bound to that transaction. A Store is safe for concurrent use, one bound to a transaction is not.
type Store struct {
	dialect Dialect
	write   *gorm.DB
	read    *gorm.DB
	inTx    bool
	now     func() time.Time
	after   *[]func() // run after commit, see AfterCommit
	url     string
	secrets Encrypter // nil until UseEncrypter
	// joins is for the writes of clients' progress; nil on SQLite, which has one writer, and in transactions.
	joins *deploymentWrites
	// quotas says that there may be quotas on executions. It is not for stores in a transaction.
	quotas atomic.Bool
	// faults are those of tests, nil otherwise.
	faults *Faults
}

// Dialect tells which database this is.
func (s *Store) Dialect() Dialect { return s.dialect }

// URL returns the address the Store was opened with. It may hold a password: never log it.
func (s *Store) URL() string { return s.url }

// Now returns the current time in UTC, cut to microseconds, the precision that both databases keep.
func (s *Store) Now() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// reader returns the handle for queries that change nothing: the transaction where there is one, else the read pool.
func (s *Store) reader(ctx context.Context) *gorm.DB { return s.read.WithContext(ctx) }

// writer returns the handle for single statements that change something.
func (s *Store) writer(ctx context.Context) *gorm.DB { return s.write.WithContext(ctx) }

// Tx runs fn in one write transaction and commits if it returns nil. Inside a transaction it runs fn in the same one.
// fn may run more than once when the database reports a serialization failure or a busy writer, so it must keep its
// side effects to the Store it is given; see AfterCommit for the rest.
func (s *Store) Tx(ctx context.Context, fn func(tx *Store) error) error {
	if s.inTx {
		return fn(s)
	}
	const attempts = 5
	var err error
	for i, stale := 0, 0; i < attempts; i++ {
		var after []func()
		err = s.write.WithContext(ctx).Transaction(func(g *gorm.DB) error {
			return fn(&Store{dialect: s.dialect, write: g, read: g, inTx: true, now: s.now, after: &after, url: s.url, secrets: s.secrets})
		})
		if err == nil {
			err = s.faults.committed()
		}
		if err == nil {
			for _, f := range after {
				f()
			}
			return nil
		}
		if isStalePlan(err) && stale < maxStalePlans {
			stale++
			i--
			continue
		}
		if !isRetryable(err) || ctx.Err() != nil {
			return err
		}
		if periodic.Pause(ctx, time.Duration(1<<i)*5*time.Millisecond) != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("transaction gave up after %d attempts: %w", attempts, err)
}

// AfterCommit runs f once the surrounding transaction has committed, or at once outside of one. It is for wake-ups
// that must not be seen before the rows they speak of.
func (s *Store) AfterCommit(f func()) {
	if s.after == nil {
		f()
		return
	}
	*s.after = append(*s.after, f)
}

// Ping asks the database for an answer, for the readiness probe.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.read.DB()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}

// Close ends all connections.
func (s *Store) Close() error {
	var errs []error
	for _, g := range []*gorm.DB{s.read, s.write} {
		db, err := g.DB()
		if err == nil {
			err = db.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// one turns the result of a query for a single row into ErrNotFound where nothing matched.
func one(tx *gorm.DB) error {
	if errors.Is(tx.Error, gorm.ErrRecordNotFound) {
		return ErrNotFound
	}
	return tx.Error
}

// created turns the result of an insert into ErrExists where a unique key is taken.
func created(tx *gorm.DB) error {
	if tx.Error != nil && isUniqueViolation(tx.Error) {
		return ErrExists
	}
	return tx.Error
}

// changed turns the result of a conditional update or delete into ErrConflict where no row was in the required state.
func changed(tx *gorm.DB) error {
	if tx.Error != nil {
		if isUniqueViolation(tx.Error) {
			return ErrExists
		}
		return tx.Error
	}
	if tx.RowsAffected == 0 {
		return ErrConflict
	}
	return nil
}

// found is changed for updates and deletes by key, where no row means that there is no such thing.
func found(tx *gorm.DB) error {
	err := changed(tx)
	if errors.Is(err, ErrConflict) {
		return ErrNotFound
	}
	return err
}
