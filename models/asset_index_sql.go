package models

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
)

// assetIndex is an index on the assets that a first import builds after the rows.
type assetIndex struct{ name, on string }

// createMissingIndex begins the statement that makes an index where it is not there yet.
const createMissingIndex = "CREATE INDEX IF NOT EXISTS"

// createAssetIndexes makes indexes, one after another. The first migration of assets begins its statements otherwise than
// those after it, and stays as it was.
func createAssetIndexes(tx *gorm.DB, statement string, indexes ...assetIndex) error {
	for _, x := range indexes {
		if err := tx.Exec(statement + " " + x.name + " ON " + x.on).Error; err != nil {
			return err
		}
	}
	return nil
}

// assetIndexes lists the indexes of the assets that the newest schema has.
func (s *Store) assetIndexes() []assetIndex {
	all := slices.Concat(assetIndexes0005["both"], assetIndexes0005[string(s.dialect)], assetIndexes0012[string(s.dialect)], assetIndexes0015[string(s.dialect)])
	return slices.DeleteFunc(all, func(x assetIndex) bool { return slices.Contains(replacedAssetIndexes0015, x.name) })
}

// EnsureAssetIndexes makes the indexes of the assets that are missing: after a first import, or after one that was
// interrupted before it came to that. Where all are there it costs one query.
func (s *Store) EnsureAssetIndexes(ctx context.Context) error {
	_, err := s.makeMissingAssetIndexes(ctx)
	return err
}

// makeMissingAssetIndexes says whether any was missing.
func (s *Store) makeMissingAssetIndexes(ctx context.Context) (bool, error) {
	have, err := s.indexNames(ctx)
	if err != nil {
		return false, err
	}
	// Two at a time on PostgreSQL: those for texts are built by one processor, and take longest. They come last in the list.
	var g errgroup.Group
	g.SetLimit(map[Dialect]int{PostgreSQL: 2, SQLite: 1}[s.dialect])
	missing := slices.DeleteFunc(s.assetIndexes(), func(x assetIndex) bool { return have[x.name] })
	slices.Reverse(missing)
	for _, x := range missing {
		g.Go(func() error {
			if err := s.makeAssetIndex(ctx, x); err != nil {
				return fmt.Errorf("make index %s: %w", x.name, err)
			}
			return nil
		})
	}
	return len(missing) > 0, g.Wait()
}

func (s *Store) makeAssetIndex(ctx context.Context, x assetIndex) error {
	return s.Tx(ctx, func(tx *Store) error {
		if tx.dialect == PostgreSQL {
			// For this transaction only. The default of 64 MB makes indexes on texts several times slower.
			if err := tx.writer(ctx).Exec("SET LOCAL maintenance_work_mem = '384MB'").Error; err != nil {
				return err
			}
		}
		return createAssetIndexes(tx.writer(ctx), createMissingIndex, x)
	})
}

// An import is a first one where there are hardly any assets and many come. How many come is known by the size of the file.
const (
	hardlyAnyAssets = 10_000
	largeImport     = 16 << 20
)

// BeginAssetImport takes the indexes of the assets away before a first import, of so many bytes: an index is built quicker than
// it grows, and what few assets there are can be read without. EndAssetImport makes the indexes again. It says whether it did.
func (s *Store) BeginAssetImport(ctx context.Context, size int64) (bool, error) {
	n, err := s.countRows(ctx, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM assets LIMIT ?) x", hardlyAnyAssets+1)
	if err != nil || n > hardlyAnyAssets || n > 0 && size < largeImport {
		return false, err
	}
	return true, s.dropAssetIndexes(ctx)
}

// dropAssetIndexes takes the indexes away before a first import.
func (s *Store) dropAssetIndexes(ctx context.Context) error {
	for _, x := range s.assetIndexes() {
		if err := s.writer(ctx).Exec("DROP INDEX IF EXISTS " + x.name).Error; err != nil {
			return fmt.Errorf("drop index %s: %w", x.name, err)
		}
	}
	return nil
}

func (s *Store) indexNames(ctx context.Context) (map[string]bool, error) {
	q := "SELECT name FROM sqlite_master WHERE type = 'index'"
	if s.dialect == PostgreSQL {
		q = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename IN ('assets', 'asset_details', 'asset_digests', 'asset_facets')"
	}
	var names []string
	if err := s.writer(ctx).Raw(q).Scan(&names).Error; err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, n := range names {
		have[n] = true
	}
	return have, nil
}

// EndAssetImport makes the indexes that are missing and lets the database look at its statistics: without them it does
// not know which terms are frequent, until it gets to it by itself. After a first import PostgreSQL also notes which pages
// everybody sees, so that an index can answer without its table.
func (s *Store) EndAssetImport(ctx context.Context) error {
	first, err := s.makeMissingAssetIndexes(ctx)
	if err != nil {
		return err
	}
	analyze := "ANALYZE "
	if first && s.dialect == PostgreSQL {
		analyze = "VACUUM (ANALYZE) "
	}
	for _, t := range []string{"assets", "asset_facets", "asset_digests", "asset_details"} {
		if err := s.writer(ctx).Exec(analyze + t).Error; err != nil {
			return err
		}
	}
	return nil
}
