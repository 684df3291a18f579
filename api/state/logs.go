package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"slipway/api"
	"slipway/internal/logs"
	"slipway/internal/problem"
	"slipway/models"
)

// maxLogBody and maxLogItems bound one POST of log items; maxMessage one item's text, in bytes.
const (
	maxLogBody  = 4 << 20
	maxLogItems = 1000
	maxMessage  = 16 << 10
	// logBatch is how many lines are read at once while a log is written out.
	logBatch = 1000
)

// logQuery says which part of a log is wanted.
type logQuery struct {
	// From is the number of the first line; the log begins with 0.
	From int64 `query:"from" validate:"min=0"`
	// Limit is how many lines at most; 0 means all there are.
	Limit int `query:"limit" validate:"min=0,max=1000000"`
	// Tail asks for the last lines only, that many, instead of from.
	Tail int64 `query:"tail" validate:"min=0,max=1000000"`
}

// writeLogs answers a list of log items. It is written as it is read, so that a long log costs no memory. The header
// X-Slipway-From is the number of the first line in the answer.
func (s *surface) writeLogs(w http.ResponseWriter, r *api.Request, q logQuery, e *models.Execution) error {
	ctx := r.HTTP.Context()
	from, last := q.From, [][]byte(nil)
	if q.Tail > 0 {
		var err error
		if from, last, err = s.tail(ctx, e, q.Tail); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Slipway-From", strconv.FormatInt(from, 10))
	out := bufio.NewWriterSize(w, 32<<10)
	_ = out.WriteByte('[')
	written := 0
	put := func(item []byte) error {
		if written > 0 {
			_ = out.WriteByte(',')
		}
		written++
		_, err := out.Write(bytes.TrimSuffix(item, []byte("\n")))
		return err
	}
	var err error
	if last != nil {
		for _, item := range last {
			if err = put(item); err != nil {
				break
			}
		}
	} else {
		err = s.eachLine(ctx, e, from, q.Limit, put)
	}
	if err != nil {
		return err // nothing has left the buffer yet, or the connection breaks off: an incomplete list is not valid JSON
	}
	_, _ = out.WriteString("]\n")
	return out.Flush()
}

// tail gives the last n lines and the number of the first of them. Where chunks are still there their numbers tell where
// to begin, and the lines are left to be read; a log that was moved to storage is gone through once.
func (s *surface) tail(ctx context.Context, e *models.Execution, n int64) (int64, [][]byte, error) {
	next, err := s.Store.NextLogLine(ctx, e.ID)
	if err != nil {
		return 0, nil, err
	}
	if next > 0 {
		return max(0, next-n), nil, nil
	}
	ring, count := make([][]byte, 0, min(n, 1000)), int64(0)
	err = s.eachLine(ctx, e, 0, 0, func(item []byte) error {
		if item = bytes.Clone(item); count < n {
			ring = append(ring, item)
		} else {
			ring[count%n] = item
		}
		count++
		return nil
	})
	if err != nil || count <= n {
		return 0, ring, err
	}
	begin := count % n
	return count - n, append(ring[begin:len(ring):len(ring)], ring[:begin]...), nil
}

// errEnough ends the reading of a log at the limit.
var errEnough = errors.New("enough")

// eachLine calls put for each stored line from one on, at most limit times (0: for all), as JSON.
func (s *surface) eachLine(ctx context.Context, e *models.Execution, from int64, limit int, put func(item []byte) error) error {
	if e.Status.Final() {
		// The log is closed: following it ends by itself, and reads it once, wherever it is stored.
		left := limit
		err := s.Executions.FollowLogs(ctx, e.ID, from, func(_ int64, item []byte) error {
			if err := put(item); err != nil {
				return err
			}
			if left--; left == 0 {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	}
	for left := limit; ; {
		size := logBatch
		if limit > 0 {
			size = min(size, left)
		}
		items, next, err := s.Executions.ReadLogs(ctx, e.ID, from, size)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			b, err := json.Marshal(item)
			if err != nil {
				return err
			}
			if err := put(b); err != nil {
				return err
			}
		}
		from = next
		if left -= len(items); limit > 0 && left <= 0 {
			return nil
		}
	}
}

// appendLogs takes one log item or a list of them, from the run itself.
func (s *surface) appendLogs(ctx context.Context, body []byte, e *models.Execution) (api.Empty, error) {
	items, err := decodeLogItems(body, s.Store.Now())
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.Executions.AppendLogs(ctx, e.ID, items)
}

// logLevels are the levels that an item may have; "" is info.
var logLevels = map[string]bool{logs.LevelDebug: true, logs.LevelInfo: true, logs.LevelSuccess: true, logs.LevelWarn: true, logs.LevelError: true}

func decodeLogItems(body []byte, now time.Time) ([]logs.Item, error) {
	var items []logs.Item
	if b := bytes.TrimSpace(body); len(b) > 0 && b[0] == '{' {
		var one logs.Item
		if err := api.DecodeBody(b, &one); err != nil {
			return nil, err
		}
		items = []logs.Item{one}
	} else if err := api.DecodeBody(body, &items); err != nil {
		return nil, err
	}
	if len(items) > maxLogItems {
		return nil, problem.New(problem.Invalid, "at most %d log items in one request", maxLogItems)
	}
	for i := range items {
		it := &items[i]
		if it.Level == "" {
			it.Level = logs.LevelInfo
		}
		at := func(member string) string { return "[" + strconv.Itoa(i) + "]." + member }
		switch {
		case !logLevels[it.Level]:
			return nil, problem.BadField(at("level"), "expected debug, info, success, warn or error")
		case len(it.Message) > maxMessage:
			return nil, problem.BadField(at("message"), "at most %d bytes", maxMessage)
		case len(it.LogKey) > 200 || len(it.LogSections) > 50 || len(it.LogValues) > 50:
			return nil, problem.BadField(at("log_key"), "at most 200 characters, with at most 50 sections and 50 values")
		}
		for k, v := range it.LogValues {
			if len(k) > 200 || len(v) > maxMessage {
				return nil, problem.BadField(at("log_values"), "names of at most 200 characters and values of at most %d bytes", maxMessage)
			}
		}
		for _, section := range it.LogSections {
			if len(section) > 1000 {
				return nil, problem.BadField(at("log_sections"), "at most 1000 characters each")
			}
		}
		if it.Timestamp.IsZero() {
			it.Timestamp = now
		}
	}
	return items, nil
}

type buildLogsRequest struct {
	buildExecutionRequest
	logQuery
}

func (s *surface) buildLogs(w http.ResponseWriter, r *api.Request, q *buildLogsRequest) error {
	_, e, err := s.buildExecution(r.HTTP.Context(), q.buildExecutionRequest)
	if err != nil {
		return err
	}
	return s.writeLogs(w, r, q.logQuery, e)
}

type buildLogsAdd struct {
	buildExecutionRequest
	Body []byte `body:"raw"`
}

func (s *surface) addBuildLogs(ctx context.Context, r *buildLogsAdd) (api.Empty, error) {
	_, e, err := s.buildExecution(ctx, r.buildExecutionRequest)
	if err != nil {
		return api.Empty{}, err
	}
	return s.appendLogs(ctx, r.Body, e)
}

type buildFollow struct {
	buildExecutionRequest
	From int64 `query:"from" validate:"min=0"`
}

func (s *surface) followBuildLogs(w http.ResponseWriter, r *api.Request, q *buildFollow) error {
	_, e, err := s.buildExecution(r.HTTP.Context(), q.buildExecutionRequest)
	if err != nil {
		return err
	}
	return s.follow.WebSocket(w, r, e, q.From)
}
