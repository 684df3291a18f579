package follow_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"slipway/api"
	"slipway/api/follow"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// endless is a log that always has another line, until send refuses one.
type endless struct {
	line  []byte
	ended chan error
	sent  int
}

func (l *endless) FollowLogs(_ context.Context, _ string, from int64, send func(int64, []byte) error) error {
	for n := from; ; n++ {
		if err := send(n, l.line); err != nil {
			l.ended <- err
			return err
		}
		l.sent++
	}
}

// silent is a log without lines, of an execution that does not end.
type silent struct{ ended chan error }

func (l *silent) FollowLogs(ctx context.Context, _ string, _ int64, _ func(int64, []byte) error) error {
	<-ctx.Done()
	l.ended <- ctx.Err()
	return ctx.Err()
}

// door lets everybody in until it is shut.
type door struct{ shut chan struct{} }

func (d door) Authenticate(context.Context, *http.Request) (policies.Subject, error) {
	select {
	case <-d.shut:
		return policies.Subject{}, problem.New(problem.Unauthenticated, "shut")
	default:
		return policies.Subject{Kind: policies.KindUser}, nil
	}
}

func (door) Allow(context.Context, policies.Subject, string, policies.Resource) (bool, error) {
	return true, nil
}

func (door) Visible(context.Context, policies.Subject, string) (policies.Visible, error) {
	return policies.Visible{}, errors.New("not asked here")
}

func (door) Known(string) bool { return true }

func serve(t *testing.T, f *follow.Follower, events bool) *httptest.Server {
	t.Helper()
	store, err := models.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	f.Store = store
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &api.Request{Row: &api.Row{}, HTTP: r}
		if events {
			_ = f.Events(w, request, &models.Execution{ID: "x"}, 0, "")
			return
		}
		_ = f.WebSocket(w, request, &models.Execution{ID: "x"}, 0)
	}))
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *httptest.Server) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	require.NoError(t, err)
	return conn
}

// TestR15SlowReaderIsCutOff: a reader that takes nothing is held up to what the connection buffers, and then let go.
func TestR15SlowReaderIsCutOff(t *testing.T) {
	logs := &endless{line: []byte(`{"message":"` + strings.Repeat("x", 8<<10) + `"}`), ended: make(chan error, 1)}
	d := door{shut: make(chan struct{})}
	s := serve(t, &follow.Follower{Logs: logs, Authenticator: d, Policy: d, Slow: 200 * time.Millisecond}, false)
	conn := dial(t, s)
	defer func() { _ = conn.CloseNow() }()
	require.Error(t, <-logs.ended)
	require.Less(t, logs.sent, 10_000, "what was sent lies in the connection's buffers, and those are bounded")
}

// TestASilentWebSocketIsPinged: a reader that is gone without a word is noticed while nothing is sent.
func TestASilentWebSocketIsPinged(t *testing.T) {
	logs := &silent{ended: make(chan error, 1)}
	d := door{shut: make(chan struct{})}
	s := serve(t, &follow.Follower{Logs: logs, Authenticator: d, Policy: d, Ping: 20 * time.Millisecond, Slow: 50 * time.Millisecond}, false)
	conn := dial(t, s) // never reads, so it never answers a ping
	defer func() { _ = conn.CloseNow() }()
	require.ErrorIs(t, <-logs.ended, context.Canceled)
}

func TestStreamsEndWhenTheCredentialDoes(t *testing.T) {
	for name, events := range map[string]bool{"WebSocket": false, "events": true} {
		t.Run(name, func(t *testing.T) {
			logs := &silent{ended: make(chan error, 1)}
			d := door{shut: make(chan struct{})}
			s := serve(t, &follow.Follower{Logs: logs, Authenticator: d, Policy: d, Recheck: 10 * time.Millisecond}, events)
			if events {
				res, err := http.Get(s.URL)
				require.NoError(t, err)
				defer func() { _ = res.Body.Close() }()
				close(d.shut)
				text := make([]byte, 200)
				n, _ := res.Body.Read(text)
				require.Contains(t, string(text[:n]), "event: revoked")
			} else {
				conn := dial(t, s)
				close(d.shut)
				_, _, err := conn.Read(context.Background())
				require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
			}
			require.ErrorIs(t, <-logs.ended, context.Canceled)
		})
	}
}

// TestS6AChangeHereIsAskedAboutAtOnce: a right that this process takes away ends streams without waiting for the interval.
func TestS6AChangeHereIsAskedAboutAtOnce(t *testing.T) {
	logs := &silent{ended: make(chan error, 1)}
	d := door{shut: make(chan struct{})}
	f := &follow.Follower{Logs: logs, Authenticator: d, Policy: d, Recheck: time.Hour}
	s := serve(t, f, false)
	require.NoError(t, f.Store.Migrate(t.Context()))
	conn := dial(t, s)
	defer func() { _ = conn.CloseNow() }()
	close(d.shut)
	user := &models.User{Name: "ann"}
	require.NoError(t, f.Store.CreateUser(t.Context(), user))
	done := make(chan struct{})
	go func() {
		// The stream may begin to watch after the first change, so there are more.
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
				_, _ = f.Store.CreateToken(context.Background(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: user.ID})
			}
		}
	}()
	_, _, err := conn.Read(t.Context())
	close(done)
	require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
	require.ErrorIs(t, <-logs.ended, context.Canceled)
}

// TestR17StreamsLeaveNothing: readers that come and go leave no goroutine behind.
func TestR17StreamsLeaveNothing(t *testing.T) {
	logs := &silent{ended: make(chan error, 100)}
	d := door{shut: make(chan struct{})}
	f := &follow.Follower{Logs: logs, Authenticator: d, Policy: d}
	sockets, events := serve(t, f, false), serve(t, f, true)
	before := goleak.IgnoreCurrent()
	const readers = 15
	client := &http.Client{Transport: &http.Transport{}}
	for range readers {
		_ = dial(t, sockets).CloseNow()
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, "GET", events.URL, nil)
		require.NoError(t, err)
		res, err := client.Do(r)
		require.NoError(t, err)
		cancel()
		_ = res.Body.Close()
	}
	for range 2 * readers {
		require.ErrorIs(t, <-logs.ended, context.Canceled)
	}
	client.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// S19: nobody holds more streams than one caller may have, of either kind; those that ended do not count.
func TestS19StreamsOfOneCaller(t *testing.T) {
	logs := &silent{ended: make(chan error, 8)}
	d := door{make(chan struct{})}
	f := &follow.Follower{Logs: logs, Authenticator: d, Policy: d, Limit: 1}
	s := serve(t, f, false)
	conn, _, err := websocket.Dial(t.Context(), s.URL, nil)
	require.NoError(t, err)
	one := func(id string) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a stream that may begin ends at once
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		return f.Events(httptest.NewRecorder(), &api.Request{Row: &api.Row{}, HTTP: r, Subject: policies.Subject{ID: id}}, &models.Execution{ID: "x"}, 0, "")
	}
	require.True(t, problem.Is(one(""), problem.TooMany))
	require.NoError(t, one("somebody else"))
	require.NoError(t, conn.CloseNow())
	require.Eventually(t, func() bool { return one("") == nil }, 10*time.Second, 5*time.Millisecond)
}
