// Package follow sends the log of an execution to a reader as it grows: over a WebSocket, and as server-sent events. Both
// begin at a line that the reader names, so one that lost its connection goes on where it was, without gap or repeat.
package follow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Logs follows the log of an execution; see executions.Service.
type Logs interface {
	FollowLogs(ctx context.Context, executionID string, fromLine int64, send func(line int64, jsonLine []byte) error) error
}

// Follower sends logs to readers. The zero values of the times are right.
type Follower struct {
	Logs          Logs
	Store         *models.Store
	Authenticator api.Authenticator
	Policy        api.Policy
	// Recheck is how often it is asked whether the reader may still read, and how old an answer may be; 0 means 400 ms.
	// A change that this process makes is asked about at once.
	Recheck time.Duration
	// Ping is how often a silent WebSocket or event stream shows that it lives; 0 means 15 seconds.
	Ping time.Duration
	// Slow is how long one line may take to leave; a reader that takes longer is cut off. 0 means 10 seconds. Until then
	// the line and the chunk it came from are all the memory that the reader costs.
	Slow time.Duration
	// Limit is how many streams one caller may have open in this process; 0 means 200. Each costs memory and goroutines for
	// as long as its execution lives.
	Limit int

	mu   sync.Mutex
	open map[string]int // by caller
}

// take counts a stream of the caller until free is called.
func (f *Follower) take(r *api.Request) (free func(), err error) {
	limit := f.Limit
	if limit == 0 {
		limit = 200
	}
	caller := r.Subject.Kind + ":" + r.Subject.ID
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[caller] >= limit {
		return nil, problem.New(problem.TooMany, "you follow %d logs already: end one of them first", limit)
	}
	if f.open == nil {
		f.open = map[string]int{}
	}
	f.open[caller]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open[caller]--; f.open[caller] == 0 {
			delete(f.open, caller)
		}
	}, nil
}

var (
	errRevoked = errors.New("access was revoked")
	errSlow    = errors.New("the reader is too slow")
)

func (f *Follower) times() (recheck, ping, slow time.Duration) {
	or := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return d
	}
	return or(f.Recheck, 400*time.Millisecond), or(f.Ping, 15*time.Second), or(f.Slow, 10*time.Second)
}

// watch ends ctx with errRevoked once the request's credential is no longer accepted, or no longer allows what the row
// asks for. A stream outlives what the request was checked for, and S6 wants it to end within a second, whatever process
// took the right away: two intervals at the most, one for the question and one for the age of its answer.
func (f *Follower) watch(ctx context.Context, end context.CancelCauseFunc, r *api.Request) {
	recheck, _, _ := f.times()
	t := time.NewTicker(recheck)
	defer t.Stop()
	ctx = api.WithMaxAge(ctx, recheck)
	for {
		changed := models.IdentityChanges()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-changed:
		}
		subject, err := f.Authenticator.Authenticate(ctx, r.HTTP)
		if err == nil {
			var ok bool
			if ok, err = f.Policy.Allow(ctx, subject, r.Row.Permission.Action, r.Resource.Resource); err == nil && !ok {
				err = problem.New(problem.Forbidden, "access was revoked")
			}
		}
		// While the database is away nobody can say; that is no reason to cut readers off.
		if problem.Is(err, problem.Unauthenticated) || problem.Is(err, problem.Forbidden) {
			end(errRevoked)
			return
		}
	}
}

// outcome is how the execution ended, for the last message of a stream.
func (f *Follower) outcome(ctx context.Context, id string) string {
	e, err := f.Store.ExecutionByID(ctx, id)
	if err != nil {
		return ""
	}
	return string(e.Status)
}

// WebSocket sends each log item as one text message. When the execution has ended and all was sent, it closes with
// status 1000 and the outcome as the reason: "ok", "failed". A reader whose access ends gets 1008, a slow one 1013.
func (f *Follower) WebSocket(w http.ResponseWriter, r *api.Request, e *models.Execution, from int64) error {
	free, err := f.take(r)
	if err != nil {
		return err
	}
	defer free()
	conn, err := websocket.Accept(w, r.HTTP, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		// Accept has answered already, in its own words.
		return nil //nolint:nilerr // the refusal was written
	}
	defer func() { _ = conn.CloseNow() }()
	// Readers send nothing; what is read are their pongs and their close.
	open := conn.CloseRead(r.HTTP.Context())
	ctx, end := context.WithCancelCause(open)
	defer end(nil)
	go f.watch(ctx, end, r)
	_, ping, slow := f.times()
	go f.ping(ctx, end, conn, ping, slow)
	err = f.Logs.FollowLogs(ctx, e.ID, from, func(_ int64, item []byte) error {
		// Not ctx: a write whose context ends closes the connection at once, and the reader would not learn that it lost the
		// right to read.
		write, cancel := context.WithTimeoutCause(open, slow, errSlow)
		defer cancel()
		if err := conn.Write(write, websocket.MessageText, item); err != nil {
			if errors.Is(context.Cause(write), errSlow) {
				return errSlow
			}
			return err
		}
		return nil
	})
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return conn.Close(websocket.StatusNormalClosure, f.outcome(context.WithoutCancel(ctx), e.ID))
	case errors.Is(cause, errRevoked):
		return conn.Close(websocket.StatusPolicyViolation, "access was revoked")
	case errors.Is(err, errSlow), errors.Is(cause, errSlow):
		return conn.Close(websocket.StatusTryAgainLater, "the reader is too slow")
	case ctx.Err() != nil:
		return nil // the reader left
	}
	_ = conn.Close(websocket.StatusInternalError, "the log could not be read, try again")
	return err
}

func (f *Follower) ping(ctx context.Context, end context.CancelCauseFunc, conn *websocket.Conn, every, slow time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		wait, cancel := context.WithTimeout(ctx, slow)
		err := conn.Ping(wait)
		cancel()
		if err != nil {
			end(errSlow)
			return
		}
	}
}

// Events sends each log item as one server-sent event whose id is the line's number, and at last an event named "end"
// with the outcome. A browser that reconnects sends Last-Event-ID: it goes on with the line after it.
func (f *Follower) Events(w http.ResponseWriter, r *api.Request, e *models.Execution, from int64, lastEventID string) error {
	if lastEventID != "" {
		n, err := strconv.ParseInt(lastEventID, 10, 64)
		if err != nil || n < 0 {
			return problem.BadField("Last-Event-ID", "expected the number of a line")
		}
		from = n + 1
	}
	free, err := f.take(r)
	if err != nil {
		return err
	}
	defer free()
	ctx, end := context.WithCancelCause(r.HTTP.Context())
	defer end(nil)
	go f.watch(ctx, end, r)
	_, ping, slow := f.times()
	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies that would collect events before they pass them on
	w.WriteHeader(http.StatusOK)
	if err := rc.Flush(); err != nil {
		return err
	}
	lines := make(chan event)
	done := make(chan error, 1)
	go func() {
		done <- f.Logs.FollowLogs(ctx, e.ID, from, func(line int64, item []byte) error {
			select {
			case lines <- event{line, item}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	write := func(format string, args ...any) error {
		// Not every connection can have a deadline; HTTP/2 has its own flow control.
		_ = rc.SetWriteDeadline(time.Now().Add(slow))
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return rc.Flush()
	}
	silence := time.NewTicker(ping)
	defer silence.Stop()
	for {
		var err error
		select {
		case l := <-lines:
			err = write("id: %d\ndata: %s\n\n", l.line, l.item)
		case <-silence.C:
			err = write(": still here\n\n")
		case err := <-done:
			if err == nil {
				return write("event: end\ndata: %s\n\n", f.outcome(context.WithoutCancel(ctx), e.ID))
			}
			if r.HTTP.Context().Err() != nil {
				return nil // the reader left
			}
			if errors.Is(context.Cause(ctx), errRevoked) {
				return write("event: revoked\ndata: access was revoked\n\n")
			}
			return err
		}
		if err != nil {
			end(err)
			return errors.Join(err, <-done)
		}
	}
}

type event struct {
	line int64
	item []byte
}
