package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// ExecutionScript records that a script was begun and, later, that it ended. The row is committed before the process is
// spawned, so that after a crash it is known which scripts may have had an effect.
type ExecutionScript struct {
	ExecutionID string `gorm:"primaryKey"`
	// Key names the script within the execution; the same run again yields the same keys.
	Key        string `gorm:"primaryKey"`
	Attempt    int
	Step       string
	Release    string
	Repeatable bool
	Finished   bool
	// Result is the sealed result of a finished script: exit code and outputs.
	Result     []byte
	StartedAt  time.Time
	FinishedAt *time.Time
}

// ErrInterrupted says that a script which must not run twice was begun before and never ended.
var ErrInterrupted = errors.New("the script was interrupted")

// BeginScript records that a script is about to start. A script that had finished before and is not repeatable is given
// back with Finished set: it must not run again. One that had begun and not finished gives ErrInterrupted, with its row,
// unless it is repeatable.
func (s *Store) BeginScript(ctx context.Context, n ExecutionScript) (*ExecutionScript, error) {
	n.Attempt, n.StartedAt, n.Finished, n.Result, n.FinishedAt = 1, s.Now(), false, nil, nil
	// Not an insert that may fail: in PostgreSQL that would end the surrounding transaction.
	insert := s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&n)
	if insert.Error != nil || insert.RowsAffected == 1 {
		return &n, insert.Error
	}
	var old ExecutionScript
	if err := one(s.writer(ctx).Where("execution_id = ? AND key = ?", n.ExecutionID, n.Key).Take(&old)); err != nil {
		return nil, err
	}
	if !n.Repeatable {
		if !old.Finished {
			return &old, ErrInterrupted
		}
		return &old, nil
	}
	n.Attempt = old.Attempt + 1
	err := changed(s.writer(ctx).Model(&ExecutionScript{}).Where("execution_id = ? AND key = ? AND attempt = ?", n.ExecutionID, n.Key, old.Attempt).
		Updates(map[string]any{"attempt": n.Attempt, "started_at": n.StartedAt, "finished": false, "result": nil, "finished_at": nil}))
	return &n, err
}

// EndScript records the end of a script whose beginning was recorded.
func (s *Store) EndScript(ctx context.Context, executionID, key string, result []byte) error {
	return found(s.writer(ctx).Model(&ExecutionScript{}).Where("execution_id = ? AND key = ?", executionID, key).
		Updates(map[string]any{"finished": true, "result": result, "finished_at": s.Now()}))
}

// RecordScript records a script that has begun and ended: one that may be repeated and was too short to be seen running.
func (s *Store) RecordScript(ctx context.Context, n ExecutionScript) error {
	now := s.Now()
	n.Attempt, n.Finished, n.FinishedAt = 1, true, &now
	return s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "execution_id"}, {Name: "key"}}, DoUpdates: clause.Assignments(map[string]any{
		"attempt": gorm.Expr("execution_scripts.attempt + 1"), "finished": true, "result": n.Result, "started_at": n.StartedAt, "finished_at": now,
	})}).Create(&n).Error
}

// ScriptsOf lists the scripts of an execution in the order they began.
func (s *Store) ScriptsOf(ctx context.Context, executionID string) ([]ExecutionScript, error) {
	var list []ExecutionScript
	err := s.reader(ctx).Where("execution_id = ?", executionID).Order("started_at, key").Find(&list).Error
	return list, err
}
