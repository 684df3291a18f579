package models

import (
	"context"
	"slices"
	"time"
)

// AssetSearch is a search that runs apart from the request that began it. Its results are a snapshot: the ids that were
// found, in order.
type AssetSearch struct {
	ID string `gorm:"primaryKey"`
	// ScopeID is the organization at whose assets, and those below it, the search looks.
	ScopeID   string
	CreatedBy string // id of the subject
	// RequestID and RequestHash let a request that is repeated, with its id, find the search it began.
	RequestID, RequestHash string
	Filter, Sort           string // as the client sent them
	PageSize               int
	WithCount, OnlyCount   bool
	ExecutionID            string
	Status                 Status // new, ok or failed
	Reason                 string
	Found                  int64 // assets that met the filter
	Kept                   int64 // of those, how many are in the results
	CreatedAt              time.Time
	FinishedAt             *time.Time
	ExpiresAt              time.Time
}

// CreateAssetSearch records a search and sets its time and, where it has none yet, its id.
func (s *Store) CreateAssetSearch(ctx context.Context, a *AssetSearch) error {
	if a.ID == "" {
		a.ID = NewID()
	}
	a.CreatedAt, a.Status = s.Now(), StatusNew
	return created(s.writer(ctx).Create(a))
}

// AssetSearchByID finds a search of a scope that has not expired; else ErrNotFound.
func (s *Store) AssetSearchByID(ctx context.Context, scopeID, id string) (*AssetSearch, error) {
	return take[AssetSearch](s.reader(ctx).Where("id = ? AND scope_id = ? AND expires_at > ?", id, scopeID, s.Now()))
}

// AssetSearchByRequest finds the search that a request began; else ErrNotFound.
func (s *Store) AssetSearchByRequest(ctx context.Context, scopeID, createdBy, requestID, requestHash string) (*AssetSearch, error) {
	return take[AssetSearch](s.writer(ctx).Where("scope_id = ? AND created_by = ? AND request_id = ? AND request_hash = ? AND expires_at > ?",
		scopeID, createdBy, requestID, requestHash, s.Now()).Order("id DESC"))
}

// RunAssetSearch finds what a search looks for and keeps the first maxKept ids, in one transaction, and marks it as done.
// A search that is done already, or is not there, is left alone: the activity that runs it can be repeated.
func (s *Store) RunAssetSearch(ctx context.Context, id string, q AssetQuery, maxKept int64) error {
	// What the filter names is looked up before the transaction; SQLite has one writer.
	where, args, err := s.assetCondition(ctx, q)
	if err != nil {
		return err
	}
	results, err := s.assetSearchResults(ctx, q, where, args, maxKept)
	if err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		n, err := tx.assetExec(ctx, "UPDATE asset_searches SET status = ? WHERE id = ? AND status = ?", string(StatusRunning), id, string(StatusNew))
		if err != nil || n == 0 {
			return err
		}
		kept := int64(0)
		if results.sql != "" {
			kept, err = tx.assetExec(ctx, "INSERT INTO asset_search_results (search_id, ordinal, asset_id) SELECT CAST(? AS varchar(36)), f.ordinal, f.id FROM ("+results.sql+") f", append([]any{id}, results.args...)...)
			if err != nil {
				return err
			}
		}
		count := max(kept, results.found)
		if kept == maxKept && results.found == 0 {
			if count, err = tx.countRows(ctx, "SELECT COUNT(*) FROM assets WHERE "+where, args...); err != nil {
				return err
			}
		}
		return tx.finishAssetSearch(ctx, id, StatusOK, "", count, kept)
	})
}

// assetSearchRows is SQL that gives the ordinals and ids of what a search keeps, "" for nothing.
type assetSearchRows struct {
	sql   string
	args  []any
	found int64 // how many there are, 0 where that is not known yet
}

// assetSearchResults says what a search keeps: on PostgreSQL by the query that finds it. On SQLite that would hold its one
// writer for as long as the search takes, so what is kept is found first, and written as it was found.
func (s *Store) assetSearchResults(ctx context.Context, q AssetQuery, where string, args []any, maxKept int64) (assetSearchRows, error) {
	if len(q.Organizations) == 0 {
		return assetSearchRows{}, nil
	}
	if s.dialect == PostgreSQL {
		order := orderBy(orderOf(q), false)
		return assetSearchRows{sql: "SELECT ROW_NUMBER() OVER (ORDER BY " + order + ") AS ordinal, assets.id FROM assets WHERE " + where + " ORDER BY " + order + " LIMIT ?",
			args: append(slices.Clone(args), maxKept)}, nil
	}
	order := orderBy(s.withoutIndex(orderOf(q)), false) // all are read: no page is full early
	rows, err := s.assetRows(ctx, "SELECT assets.id FROM assets WHERE "+where+" ORDER BY "+order+" LIMIT ?", append(slices.Clone(args), maxKept)...)
	ids, err := scanAll(rows, err, scanText)
	found := int64(len(ids))
	if err == nil && found == maxKept {
		found, err = s.countRows(ctx, "SELECT COUNT(*) FROM assets WHERE "+where, args...)
	}
	return assetSearchRows{sql: "SELECT key + 1 AS ordinal, value AS id FROM json_each(?)", args: []any{mustJSON(ids, "[]")}, found: found}, err
}

// FailAssetSearch ends a search that could not be run.
func (s *Store) FailAssetSearch(ctx context.Context, id, reason string) error {
	return s.finishAssetSearch(ctx, id, StatusFailed, clip(reason, 4000), 0, 0)
}

func (s *Store) finishAssetSearch(ctx context.Context, id string, status Status, reason string, count, kept int64) error {
	return s.writer(ctx).Model(&AssetSearch{}).Where("id = ? AND status IN ?", id, []Status{StatusNew, StatusRunning}).
		Updates(map[string]any{"status": status, "reason": reason, "found": count, "kept": kept, "finished_at": s.Now()}).Error
}

// DeleteExpiredAssetSearches removes searches that have expired, with their results, and gives their number. Each takes a
// transaction of its own.
func (s *Store) DeleteExpiredAssetSearches(ctx context.Context) (int, error) {
	rows, err := s.assetRows(ctx, "SELECT id FROM asset_searches WHERE expires_at <= ? ORDER BY expires_at LIMIT 1000", s.Now())
	ids, err := scanAll(rows, err, scanText)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		err := s.Tx(ctx, func(tx *Store) error {
			if err := tx.writer(ctx).Exec("DELETE FROM asset_search_results WHERE search_id = ?", id).Error; err != nil {
				return err
			}
			return tx.writer(ctx).Exec("DELETE FROM asset_searches WHERE id = ?", id).Error
		})
		if err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// AssetSearchToRun finds a search by its id alone, for the worker that runs it.
func (s *Store) AssetSearchToRun(ctx context.Context, id string) (*AssetSearch, error) {
	return take[AssetSearch](s.writer(ctx).Where("id = ?", id))
}

// AssetSearchDefinition is what an execution of the kind asset-search runs.
type AssetSearchDefinition struct {
	SearchID string `json:"search_id"`
}

// AssetScanDefinition is what an execution of the kind asset-scan runs.
type AssetScanDefinition struct {
	RegistryID string `json:"registry_id"`
}
