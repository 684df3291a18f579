package models

import (
	"context"
	"fmt"
)

// ErrDeleted says that a build, deployment job or pipeline was deleted while somebody triggered it. It is an ErrNotFound.
var ErrDeleted = fmt.Errorf("it was deleted: %w", ErrNotFound)

// closeSubjects keeps builds, deployment jobs and pipelines from being triggered from now on, in the transaction that
// deletes them. The counter that numbers executions says so: whoever triggers one draws a number first, so that either
// waits for the other, and a trigger that nobody deletes under pays nothing. It must come before refuseActive. query
// selects ids and ends with a condition, which SQLite wants to see before ON CONFLICT.
func (s *Store) closeSubjects(ctx context.Context, query string, args ...any) error {
	return s.writer(ctx).Exec("INSERT INTO execution_counters (subject_id, last) "+query+" ON CONFLICT (subject_id) DO UPDATE SET last = -1", args...).Error
}

// ActiveError says that a thing cannot be deleted, because an execution that needs it has not ended.
type ActiveError struct {
	Kind, Name string
	Number     int64
	Status     Status
}

func (e *ActiveError) Error() string {
	return fmt.Sprintf("execution %d of %s '%s' is %s: cancel it or wait for its end first", e.Number, kindName(e.Kind), e.Name, e.Status)
}

func kindName(kind string) string {
	if kind == KindDeployment {
		return "deployment job"
	}
	return kind
}

// refuseActive returns an ActiveError for the newest execution that the condition matches and that has not ended.
func (s *Store) refuseActive(ctx context.Context, where string, args ...any) error {
	var e struct {
		Kind, SubjectName string
		Number            int64
		Status            Status
	}
	q := s.writer(ctx).Table("executions").Select("kind, subject_name, number, status").
		Where("status IN ?", openStatuses).Where(where, args...).Order("id DESC").Limit(1).Scan(&e)
	if q.Error != nil || q.RowsAffected == 0 {
		return q.Error
	}
	return &ActiveError{Kind: e.Kind, Name: e.SubjectName, Number: e.Number, Status: e.Status}
}
