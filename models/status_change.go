package models

import (
	"context"
	"slices"
	"time"
)

// StatusChange says that an execution of a project with notifications has changed its status. A trigger of the database
// writes it in the transaction of the change (see the migration), and whoever turns it into deliveries removes it in
// the transaction that makes them.
type StatusChange struct {
	ID          int64 `gorm:"primaryKey"`
	ExecutionID string
	ProjectID   string
	Status      Status
	// At is when the execution ended, nil where it has not.
	At *time.Time
}

// TakeStatusChanges removes up to limit changes and gives them, oldest first. It belongs in the transaction that makes the
// deliveries.
func (s *Store) TakeStatusChanges(ctx context.Context, limit int) ([]StatusChange, error) {
	var list []StatusChange
	err := s.writer(ctx).Raw(s.takeStatusChangesSQL(), limit).Scan(&list).Error
	slices.SortFunc(list, func(a, b StatusChange) int { return int(a.ID - b.ID) })
	return list, err
}

// HasStatusChanges says whether there is anything to take, without a transaction.
func (s *Store) HasStatusChanges(ctx context.Context) (bool, error) {
	n, err := s.countRows(ctx, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM status_changes LIMIT 1) x")
	return n > 0, err
}

// FailedBefore says whether the execution before this one, of the same build, job or pipeline, that ended in ok, failed or
// abandoned, did not end in ok. Cancelled and skipped ones say nothing about whether it works.
func (s *Store) FailedBefore(ctx context.Context, e *Execution) (bool, error) {
	var last []Execution
	err := s.reader(ctx).Select("status").Where("subject_id = ? AND id < ? AND status IN ?", e.SubjectID, e.ID, []Status{StatusOK, StatusFailed, StatusAbandoned}).
		Order("id DESC").Limit(1).Find(&last).Error
	return len(last) == 1 && last[0].Status != StatusOK, err
}
