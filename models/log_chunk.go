package models

import (
	"context"
	"errors"
	"time"
)

// LogChunk is a run of log lines of one execution: JSON items, one a line, at most 64 KiB, masked already.
type LogChunk struct {
	ExecutionID string `gorm:"primaryKey"`
	FirstLine   int64  `gorm:"primaryKey;autoIncrement:false"`
	Count       int
	Data        []byte
	CreatedAt   time.Time
}

// AppendLogs adds lines after the last ones and returns the number of the first. Writers that meet on one execution (a
// remote worker's POST and the worker itself) try again with the next free number.
func (s *Store) AppendLogs(ctx context.Context, executionID string, count int, data []byte) (int64, error) {
	for range 20 {
		next, err := s.NextLogLine(ctx, executionID)
		if err != nil {
			return 0, err
		}
		err = s.PutLogs(ctx, executionID, next, count, data)
		if err == nil || !errors.Is(err, ErrExists) {
			return next, err
		}
	}
	return 0, ErrConflict
}

// PutLogs writes a chunk whose place is known, as it is to the one worker that runs the execution.
func (s *Store) PutLogs(ctx context.Context, executionID string, firstLine int64, count int, data []byte) error {
	return created(s.writer(ctx).Create(&LogChunk{ExecutionID: executionID, FirstLine: firstLine, Count: count, Data: data, CreatedAt: s.Now()}))
}

// NextLogLine gives the number of the line that would be written next; 0 where there is none yet.
func (s *Store) NextLogLine(ctx context.Context, executionID string) (int64, error) {
	var c LogChunk
	err := one(s.writer(ctx).Select("first_line", "count").Where("execution_id = ?", executionID).Order("first_line DESC").Take(&c))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return c.FirstLine + int64(c.Count), err
}

// LogChunks gives chunks that hold lines from fromLine on, in order, at most limit.
func (s *Store) LogChunks(ctx context.Context, executionID string, fromLine int64, limit int) ([]LogChunk, error) {
	var list []LogChunk
	// The chunk that holds fromLine is the last one that does not begin after it: asked for in that way, the primary key
	// answers, however long the log is.
	err := s.reader(ctx).Where(`execution_id = ? AND first_line >= COALESCE((SELECT MAX(first_line) FROM log_chunks WHERE execution_id = ? AND first_line <= ?), 0)`,
		executionID, executionID, fromLine).Order("first_line").Limit(limit).Find(&list).Error
	if len(list) > 0 && list[0].FirstLine+int64(list[0].Count) <= fromLine {
		list = list[1:]
	}
	return list, err
}

// UnarchivedLogs gives executions that ended before the time given and whose chunks have not moved to blob storage.
func (s *Store) UnarchivedLogs(ctx context.Context, before time.Time, limit int) ([]string, error) {
	var ids []string
	err := s.reader(ctx).Model(&Execution{}).Where("NOT logs_archived AND finished_at IS NOT NULL AND finished_at < ?", before).Order("finished_at").Limit(limit).Pluck("id", &ids).Error
	return ids, err
}

// LogsArchived records that an execution's log is one object in blob storage, and drops the chunks.
func (s *Store) LogsArchived(ctx context.Context, executionID string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.writer(ctx).Model(&Execution{}).Where("id = ?", executionID).Update("logs_archived", true).Error; err != nil {
			return err
		}
		return tx.writer(ctx).Where("execution_id = ?", executionID).Delete(&LogChunk{}).Error
	})
}
