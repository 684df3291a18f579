package models

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migrations is the ordered list for both databases. A migration is written once and never changed after a release:
// it uses its own frozen structs or SQL, never the live models. The parts register theirs in files named
// migration_NNNN_what.go.
var migrations = []*gormigrate.Migration{
	migration0001Identity,
	migration0002Executions,
	migration0003Projects,
	migration0004Inventory,
	migration0005Assets,
	migration0006Packages,
	migration0007Steps,
	migration0008Limits,
	migration0009Schedules,
	migration0010Deliveries,
	migration0011ReleaseSearch,
	migration0012Assets,
	migration0013InstallationDeliveries,
	migration0014DeliverySteps,
	migration0014State,
	migration0015AssetIndexes,
	migration0016Quotas,
	migration0017ScanProgress,
	migration0018ImportChecksum,
}

// Migrate brings the database to the newest schema. Several processes may call it at once: on PostgreSQL an advisory
// lock lets one of them work while the others wait.
//
// There each migration is a transaction of its own. One for all would keep every lock on a table until the last has run:
// processes of the version before would wait for all of it, and one that changes two of the tables would be in a deadlock
// with it. Where a migration fails, those before it stay, and the next call goes on from there.
func (s *Store) Migrate(ctx context.Context) error {
	run := func(g *gorm.DB, list []*gormigrate.Migration) error {
		return gormigrate.New(g, &gormigrate.Options{TableName: "migrations", IDColumnName: "id", IDColumnSize: 100, UseTransaction: false}, list).Migrate()
	}
	if s.dialect == SQLite {
		if err := run(s.writer(ctx), migrations); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		return nil
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("slipway migrations"))
	for i, m := range migrations {
		err := s.writer(ctx).Transaction(func(g *gorm.DB) error {
			if err := g.Exec("SELECT pg_advisory_xact_lock(?)", int64(h.Sum64()>>1)).Error; err != nil {
				return err
			}
			return run(g, migrations[i:i+1])
		})
		if err != nil {
			return fmt.Errorf("migrate to %s: %w", m.ID, err)
		}
	}
	return nil
}

// ErrNotMigrated says that the schema is older than this program, or not there yet.
var ErrNotMigrated = errors.New("the database is empty, or its schema is older than this program: run 'slipway migrate' first")

// CheckMigrated returns ErrNotMigrated unless every migration has run.
func (s *Store) CheckMigrated(ctx context.Context) error {
	var done []string
	if !s.read.WithContext(ctx).Migrator().HasTable("migrations") {
		return ErrNotMigrated
	}
	if err := s.reader(ctx).Table("migrations").Pluck("id", &done).Error; err != nil {
		return err
	}
	have := map[string]bool{}
	for _, id := range done {
		have[id] = true
	}
	for _, m := range migrations {
		if !have[m.ID] {
			return ErrNotMigrated
		}
	}
	return nil
}

// createTables makes one table for each frozen struct, in order.
func createTables(tx *gorm.DB, tables ...any) error {
	for _, t := range tables {
		if err := tx.Migrator().CreateTable(t); err != nil {
			return err
		}
	}
	return nil
}
