//go:build soak

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
)

// TestSoakR15FiftyFollowers: a log of 100,000 lines, followed by 50 WebSocket clients through two API processes while it
// is written. Each gets every line once and in order, and costs the API no more than a bounded piece of memory. LINES
// gives another length.
func TestSoakR15FiftyFollowers(t *testing.T) {
	const clients = 50
	lines := 100_000
	if text := os.Getenv("LINES"); text != "" {
		var err error
		lines, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	s := newStack(t, stackOptions{})
	apis := make([]*process, 2)
	urls := make([]string, 2)
	for i := range apis {
		address := freeAddress(t)
		apis[i], urls[i] = s.startAPI(fmt.Sprintf("api%d", i), address), "http://"+address
	}
	p := s.project("follow")
	g := newGate(t)
	p.build("talks", g.wait(), fmt.Sprintf("seq -f 'line %%.0f' 0 %d", lines-1))
	follow := func(ref client.Ref, n int) *sync.WaitGroup {
		var wg sync.WaitGroup
		for c := range n {
			conn, err := s.dial(t.Context(), urls[c%len(urls)], ref, 0)
			require.NoError(t, err)
			conn.SetReadLimit(1 << 20)
			wg.Go(func() {
				defer conn.CloseNow()
				next := 0
				for {
					_, message, err := conn.Read(context.Background())
					if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
						break
					}
					if err != nil {
						t.Errorf("client %d after line %d: %v", c, next, err)
						return
					}
					_, text, found := bytes.Cut(message, []byte(`"message":"line `))
					if !found {
						continue // of the engine itself
					}
					if want := strconv.Itoa(next) + `"`; !bytes.HasPrefix(text, []byte(want)) {
						t.Errorf("client %d: expected line %d, got %.80s", c, next, message)
						return
					}
					next++
				}
				if next != lines {
					t.Errorf("client %d: %d lines of %d", c, next, lines)
				}
			})
		}
		return &wg
	}
	// One turn with two clients makes both processes load what they need anyway.
	ref := p.trigger("talks")
	wg := follow(ref, 2)
	g.open(1)
	wg.Wait()

	before := make([]float64, len(apis))
	for i, a := range apis {
		before[i] = memory(t, a.pid(), "VmRSS")
		require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", a.pid()), []byte("5"), 0)) // starts the peak anew
	}
	ref = p.trigger("talks")
	wg = follow(ref, clients)
	began := time.Now()
	g.open(1)
	wg.Wait()
	took := time.Since(began)
	s.ok(ref)
	most := 0.0
	for i, a := range apis {
		peak := memory(t, a.pid(), "VmHWM")
		fmt.Printf("# API process %d: %.1f MiB before, at most %.1f MiB with %d followers\n", i, before[i], peak, clients/len(apis))
		most = max(most, (peak-before[i])/float64(clients/len(apis)))
	}
	fmt.Printf("# %d lines to %d followers in %v: %.0f lines/s\n", lines, clients, took.Round(time.Millisecond), float64(lines*clients)/took.Seconds())
	verdict := "ok"
	if most > 2 {
		verdict = "short"
	}
	fmt.Printf("RATIO follower_memory_mib %.2f goal 2 %s\n", most, verdict)
}

// memory reads a figure of a process in MiB.
func memory(t *testing.T, pid int, field string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), field+":")
	require.True(t, found)
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(t, err)
	return kib / 1024
}
