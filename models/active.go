package models

import (
	"context"
	"fmt"
)

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
