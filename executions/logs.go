package executions

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"slipway/internal/logs"
	"slipway/internal/problem"
)

// logLimits of what callers may append at once.
const (
	maxAppendItems = 1000
	chunkBytes     = 64 << 10
	// followPoll is how often a follower looks by itself, should a notification have been lost.
	followPoll = 2 * time.Second
)

func logTopic(executionID string) string { return "log:" + executionID }
func logKey(executionID string) string   { return "logs/" + executionID + ".jsonl" }

// LogWritten wakes the followers of an execution's log.
func (s *Service) LogWritten(ctx context.Context, executionID string) {
	s.bus.Publish(ctx, logTopic(executionID))
}

// ReadLogs gives the log from line from on (0 is the first), at most limit items, and the line to go on from.
func (s *Service) ReadLogs(ctx context.Context, executionID string, from int64, limit int) ([]logs.Item, int64, error) {
	items := []logs.Item{}
	next := from
	err := s.readLines(ctx, executionID, from, func(line int64, text []byte) (bool, error) {
		var it logs.Item
		if err := json.Unmarshal(text, &it); err != nil {
			return false, fmt.Errorf("line %d of the log of %s: %w", line, executionID, err)
		}
		items = append(items, it)
		next = line + 1
		return len(items) < limit, nil
	})
	return items, next, err
}

// readLines calls f for each stored line from the given one on until f says to stop, or the log ends for now.
func (s *Service) readLines(ctx context.Context, executionID string, from int64, f func(line int64, text []byte) (bool, error)) error {
	// A follower holds as many chunks of 64 KiB in memory while it sends their lines, which may take long.
	const batch = 2
	for {
		chunks, err := s.store.LogChunks(ctx, executionID, from, batch)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			e, err := s.store.ExecutionByID(ctx, executionID)
			if err != nil || !e.LogsArchived {
				return err
			}
			data, err := s.blobs.Read(ctx, logKey(executionID))
			if err != nil {
				return fmt.Errorf("read the archived log: %w", err)
			}
			_, _, err = eachLine(0, data, from, f)
			return err
		}
		for _, c := range chunks {
			next, more, err := eachLine(c.FirstLine, c.Data, from, f)
			if err != nil || !more {
				return err
			}
			from = max(from, next)
		}
		if len(chunks) < batch {
			return nil
		}
	}
}

func eachLine(first int64, data []byte, from int64, f func(int64, []byte) (bool, error)) (int64, bool, error) {
	line := first
	for len(data) > 0 {
		text, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		if line >= from && len(text) > 0 {
			more, err := f(line, text)
			if err != nil || !more {
				return line + 1, false, err
			}
		}
		line++
	}
	return line, true, nil
}

// FollowLogs sends the log from line from on, and goes on as it grows, until the execution has ended and all of it was
// sent; then it returns nil. send is called with each line's number and its JSON; its error ends the following. No line
// is missed or sent twice: the subscription comes first, what is stored is read by line number, and a notification only
// says that it is time to look again.
func (s *Service) FollowLogs(ctx context.Context, executionID string, from int64, send func(line int64, item []byte) error) error {
	wake := make(chan struct{}, 1)
	stop := s.bus.Subscribe(logTopic(executionID), func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer stop()
	poll := time.NewTicker(followPoll)
	defer poll.Stop()
	for {
		// Asked before the reading: everything is written before an execution ends, so if it had ended now, what is read
		// next is all there will be.
		e, err := s.store.ExecutionByID(ctx, executionID)
		if err != nil {
			return err
		}
		err = s.readLines(ctx, executionID, from, func(line int64, text []byte) (bool, error) {
			from = line + 1
			return true, send(line, text)
		})
		if err != nil {
			return err
		}
		if e.Status.Final() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-poll.C:
		}
	}
}

// AppendLogs adds items to an execution that runs, for workers that report by the API.
func (s *Service) AppendLogs(ctx context.Context, executionID string, items []logs.Item) error {
	if len(items) == 0 {
		return nil
	}
	if len(items) > maxAppendItems {
		return problem.New(problem.TooLarge, "at most %d log items at once", maxAppendItems)
	}
	e, err := s.store.ExecutionByID(ctx, executionID)
	if err != nil {
		return err
	}
	if e.Status.Final() {
		return problem.New(problem.Conflict, "the execution has ended: its log is closed")
	}
	var buf bytes.Buffer
	count := 0
	flush := func() error {
		if count == 0 {
			return nil
		}
		_, err := s.store.AppendLogs(ctx, executionID, count, bytes.Clone(buf.Bytes()))
		buf.Reset()
		count = 0
		return err
	}
	for _, it := range items {
		b, err := json.Marshal(it)
		if err != nil {
			return err
		}
		if buf.Len()+len(b)+1 > chunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		buf.Write(b)
		buf.WriteByte('\n')
		count++
	}
	if err := flush(); err != nil {
		return err
	}
	s.LogWritten(ctx, executionID)
	return nil
}

// archiveLogs moves the chunks of an ended execution to blob storage as one object.
func (s *Service) archiveLogs(ctx context.Context, executionID string) error {
	var all bytes.Buffer
	from := int64(0)
	for {
		chunks, err := s.store.LogChunks(ctx, executionID, from, 64)
		if err != nil {
			return err
		}
		for _, c := range chunks {
			all.Write(c.Data)
			from = c.FirstLine + int64(c.Count)
		}
		if len(chunks) < 64 {
			break
		}
	}
	if all.Len() > 0 {
		if err := s.blobs.Write(ctx, logKey(executionID), all.Bytes()); err != nil {
			return err
		}
	}
	return s.store.LogsArchived(ctx, executionID)
}
