package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/client"
	"slipway/internal/logs"
)

// secondAPI runs another API on the stack's database, as another process would: with its own connections, and a bus that
// hears of the worker through PostgreSQL only.
func (s *stack) secondAPI(t testing.TB) (url string) {
	t.Helper()
	a, err := app.Open(context.Background(), s.cfg, app.Options{Process: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	handler, err := a.API()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = a.Close()
	})
	return server.URL
}

// R15: whoever follows a log, through whatever process and however often they lose the connection, sees each line once and
// in order.
func TestR15LogFollowers(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	other := s.secondAPI(t)
	p := s.project("follow")
	g := newGate(t)
	const bursts, lines = 10, 500
	p.build("talks", "n=0; b=0", fmt.Sprintf("while [ $b -lt %d ]; do %s; i=0; while [ $i -lt %d ]; do echo \"line $n\"; n=$((n+1)); i=$((i+1)); done; b=$((b+1)); done", bursts, g.wait(), lines))
	ref := p.trigger("talks")

	type follower struct {
		name string
		url  string
		cut  int // lose the connection after so many lines; 0 never
	}
	var wg sync.WaitGroup
	arrived := make(chan struct{}, 1<<16)
	for _, f := range []follower{{"A", s.url, 0}, {"B", other, 0}, {"A, cut", s.url, 173}, {"B, cut", other, 311}, {"B, cut often", other, 37}} {
		wg.Go(func() {
			var got []string
			next := 0
			for ended := false; !ended; {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				taken := 0
				err := s.stream(ctx, f.url, ref, next, func(it logs.Item) bool {
					next++
					if strings.HasPrefix(it.Message, "line ") {
						got = append(got, it.Message)
						arrived <- struct{}{}
					}
					taken++
					return f.cut == 0 || taken < f.cut
				})
				cancel()
				if err != nil {
					t.Errorf("%s: %v", f.name, err)
					return
				}
				ended = f.cut == 0 || taken < f.cut
			}
			if len(got) != bursts*lines {
				t.Errorf("%s: %d lines, expected %d", f.name, len(got), bursts*lines)
			}
			for i, line := range got {
				if line != fmt.Sprintf("line %d", i) {
					t.Errorf("%s: line %d is %q", f.name, i, line)
					return
				}
			}
		})
	}
	// Each burst begins when all followers have something of the last one: they read while it is written.
	for b := range bursts {
		g.open(1)
		if b < bursts-1 {
			for range 5 {
				select {
				case <-arrived:
				case <-time.After(patience):
					t.Fatal("no line arrives")
				}
			}
		}
	}
	wg.Wait()
	s.ok(ref)

	// Server-sent events: the same, from the line after the last that was seen.
	a := s.do(http.MethodGet, fmt.Sprintf("/api/v1/slipway/executions/%s/events", ref.ID), nil, "Accept: text/event-stream", "Last-Event-ID: 2000")
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	id := 2001
	for block := range strings.SplitSeq(strings.TrimSpace(string(a.body)), "\n\n") {
		if strings.HasPrefix(block, "event: end") {
			require.Contains(t, block, "data: ok")
			continue
		}
		require.True(t, strings.HasPrefix(block, "id: "+strconv.Itoa(id)+"\n"), block)
		id++
	}
	require.Greater(t, id, bursts*lines)
}

// stream follows a log over one WebSocket from a line on, until it ends or take says no.
func (s *stack) stream(ctx context.Context, url string, ref client.Ref, from int, take func(logs.Item) bool) error {
	conn, err := s.dial(ctx, url, ref, from)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	for {
		_, message, err := conn.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return nil
		}
		if err != nil {
			return err
		}
		var items []logs.Item
		if !bytes.HasPrefix(message, []byte("[")) {
			message = append(append([]byte("["), message...), ']')
		}
		if err := json.Unmarshal(message, &items); err != nil {
			return err
		}
		for _, it := range items {
			if !take(it) {
				return nil
			}
		}
	}
}

func (s *stack) dial(ctx context.Context, url string, ref client.Ref, from int) (*websocket.Conn, error) {
	address := fmt.Sprintf("%s/api/v1/state/follow/environments/dev/builds/by-name/talks/executions/%s/logs_ws?from=%d", url, ref.ID, from)
	//nolint:bodyclose // the library closes it
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.token}}})
	return conn, err
}

// R15: a reader that does not read holds nobody up: the script ends, others see everything.
func TestR15SlowReader(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("follow")
	g := newGate(t)
	p.build("talks", g.wait(), "head -c 12000000 /dev/zero | tr '\\0' 'x' | fold -w 1000", "echo; echo last")
	ref := p.trigger("talks")
	slow, err := s.dial(t.Context(), s.url, ref, 0)
	require.NoError(t, err)
	defer slow.CloseNow()
	g.open(1)
	s.line(ref, "last")
	s.ok(ref)
}

// R15: a line that nothing follows is told of like any other, and not only seen when followers look by themselves, every
// two seconds. Six of them, each a moment after the one before, would take twelve.
func TestR15LineBeforeASilence(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("follow")
	g := newGate(t)
	p.build("talks", "n=0; while [ $n -lt 7 ]; do echo \"line $n\"; "+g.wait()+"; n=$((n+1)); done")
	ref := p.trigger("talks")
	var began time.Time
	err := s.stream(t.Context(), s.url, ref, 0, func(it logs.Item) bool {
		if strings.HasPrefix(it.Message, "line ") {
			if began.IsZero() {
				began = time.Now()
			}
			g.open(1)
		}
		return true
	})
	require.NoError(t, err)
	require.Less(t, time.Since(began), 7*time.Second)
}
