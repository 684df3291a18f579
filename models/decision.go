package models

import (
	"context"

	"gorm.io/gorm/clause"
)

// ExecutionDecision is something that an execution settled on grounds that may change, such as the version that a query
// resolved to, so that a repetition after a crash settles it alike.
type ExecutionDecision struct {
	ExecutionID string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	Value       string
}

// DecisionsOf gives what an execution has decided, by key.
func (s *Store) DecisionsOf(ctx context.Context, executionID string) (map[string]string, error) {
	var list []ExecutionDecision
	if err := s.writer(ctx).Where("execution_id = ?", executionID).Find(&list).Error; err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, d := range list {
		m[d.Key] = d.Value
	}
	return m, nil
}

// PutDecision records a decision. The first one stands.
func (s *Store) PutDecision(ctx context.Context, executionID, key, value string) error {
	return s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&ExecutionDecision{ExecutionID: executionID, Key: key, Value: value}).Error
}
