package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
	from := q.From
	if q.Tail > 0 {
		next, err := s.Store.NextLogLine(ctx, e.ID)
		if err != nil {
			return err
		}
		from = max(0, next-q.Tail)
	}
	left := q.Limit
	if left == 0 {
		left = int(^uint(0) >> 1)
	}
	items, next, err := s.Executions.ReadLogs(ctx, e.ID, from, min(logBatch, left))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Slipway-From", strconv.FormatInt(from, 10))
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	_ = out.WriteByte('[')
	for first := true; len(items) > 0; {
		for _, item := range items {
			if !first {
				_ = out.WriteByte(',')
			}
			first = false
			if err := encoder.Encode(item); err != nil {
				return err
			}
		}
		left -= len(items)
		if left <= 0 {
			break
		}
		if items, next, err = s.Executions.ReadLogs(ctx, e.ID, next, min(logBatch, left)); err != nil {
			return err
		}
	}
	_, _ = out.WriteString("]\n")
	return out.Flush()
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
