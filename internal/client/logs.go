package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/coder/websocket"

	"slipway/internal/logs"
)

// maxLogMessage is the largest message in a log stream, in bytes: a chunk of 64 KiB, escaped.
const maxLogMessage = 1 << 20

// FollowLogs calls line with every log item of an execution of a build or a deployment job, from the first one on, as they
// are written, and returns nil when the execution has ended and all of them were seen. A stream that breaks is taken up
// again where it broke, so no line is missed or repeated. An error of line ends it.
func (c *Client) FollowLogs(ctx context.Context, ref Ref, line func(logs.Item) error) error {
	ask := func(ctx context.Context, request func() error) error {
		return c.patiently(ctx, request, func(error) error { return nil })
	}
	return c.followLogs(ctx, ref, ask, line)
}

// followLogs is FollowLogs with its own way to repeat what gets no answer. Each line counts as an answer.
func (c *Client) followLogs(ctx context.Context, ref Ref, ask func(context.Context, func() error) error, line func(logs.Item) error) error {
	from := 0
	for done := false; !done; {
		err := ask(ctx, func() error {
			seen, err := c.streamLogs(ctx, ref, from, line)
			from += seen
			done = err == nil
			if seen > 0 && away(err) {
				return nil // it did answer: patience begins anew
			}
			return err
		})
		var stop *lineError
		if errors.As(err, &stop) {
			return stop.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lineError carries an error of the caller's function through.
type lineError struct{ err error }

func (e *lineError) Error() string { return e.err.Error() }

// streamLogs follows one WebSocket until it closes and returns how many lines it brought.
func (c *Client) streamLogs(ctx context.Context, ref Ref, from int, line func(logs.Item) error) (int, error) {
	address := ref.executions + path("%s/logs_ws", ref.ID)
	query := ""
	if from > 0 {
		query = "?from=" + strconv.Itoa(from)
	}
	header := http.Header{}
	c.authorize(header)
	//nolint:bodyclose // the library closes it
	conn, response, err := websocket.Dial(ctx, c.base+address+query, &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: header})
	if err != nil {
		if response != nil && response.StatusCode >= 400 && response.StatusCode < 500 {
			return 0, &Error{Method: http.MethodGet, Path: address, Status: response.StatusCode}
		}
		return 0, fmt.Errorf("follow the log: %w", err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxLogMessage)
	seen := 0
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				return seen, nil
			}
			return seen, fmt.Errorf("follow the log: %w", err)
		}
		items, err := decodeItems(message)
		if err != nil {
			return seen, fmt.Errorf("follow the log: %w", err)
		}
		for _, item := range items {
			seen++
			if err := line(item); err != nil {
				return seen, &lineError{err}
			}
		}
	}
}

// decodeItems reads a message of a stream: an item, or a list of them.
func decodeItems(message []byte) ([]logs.Item, error) {
	var items []logs.Item
	if len(message) > 0 && message[0] == '[' {
		err := json.Unmarshal(message, &items)
		return items, err
	}
	var item logs.Item
	if err := json.Unmarshal(message, &item); err != nil {
		return nil, err
	}
	return append(items, item), nil
}

// Logs returns the log of an execution as far as it is written.
func (c *Client) Logs(ctx context.Context, ref Ref) ([]logs.Item, error) {
	return c.LogTail(ctx, ref, 0)
}

// LogTail returns the last lines of the log of an execution; 0 means all.
func (c *Client) LogTail(ctx context.Context, ref Ref, lines int) ([]logs.Item, error) {
	query := ""
	if lines > 0 {
		query = "?tail=" + strconv.Itoa(lines)
	}
	a, err := get[[]logs.Item](ctx, c, ref.executions+path("%s/logs", ref.ID)+query)
	return a.Value, err
}
