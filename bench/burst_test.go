//go:build bench

package bench

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

// TestBenchBurst sends 10,000 triggers through 32 connections: all are accepted once, none with a 5xx, and the numbers are
// dense and unique. Then workers come, and a sample is followed to its end.
func TestBenchBurst(t *testing.T) {
	const triggers, connections, sample = 10_000, 32, 50
	s := newStack(t, stackOptions{noWorker: true, temporal: testenv.TemporalServer(t)})
	s.build(t, "burst", models.BuildStep{RunBuild: true})
	ctx := t.Context()
	u := &models.User{Name: "ann", Admin: true}
	require.NoError(t, s.Store.CreateUser(ctx, u))
	token, err := s.Store.CreateToken(ctx, &models.Token{SubjectKind: policies.KindUser, SubjectID: u.ID, Name: "bench"})
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	var ok, bad atomic.Int64
	work := make(chan struct{}, triggers)
	for range triggers {
		work <- struct{}{}
	}
	close(work)
	var wg sync.WaitGroup
	var first sync.Once
	for range connections {
		wg.Go(func() {
			for range work {
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+"/api/v1/state/bench/environments/dev/builds/by-name/burst/trigger-build", bytes.NewReader(nil))
				r.Header.Set("X-Escape-Token", token)
				res, err := client.Do(r)
				if err != nil {
					bad.Add(1)
					continue
				}
				body, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					bad.Add(1)
					first.Do(func() { t.Logf("status %d: %s", res.StatusCode, body) })
					continue
				}
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	require.Zero(t, bad.Load(), "triggers that were not accepted")
	var numbers []int64
	var ids []string
	from := ""
	for {
		page, err := s.Store.ListExecutions(ctx, models.ExecutionFilter{Kind: models.KindBuild, PageFrom: from, PageSize: 1000, Brief: true})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			numbers, ids = append(numbers, e.Number), append(ids, e.ID)
		}
		from = ids[len(ids)-1]
	}
	require.Len(t, numbers, triggers)
	slices.Sort(numbers)
	for i, n := range numbers {
		require.EqualValues(t, i+1, n)
	}
	w, err := s.StartWorker(ctx, app.WorkerOptions{Sources: folderSource{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Stop()) })
	for i := range sample {
		e, err := s.Store.ExecutionByID(ctx, ids[len(ids)-1-i])
		require.NoError(t, s.run(ctx, e, err))
	}
	atLeast("triggers_accepted_of_10000", float64(ok.Load()), triggers)
	note("burst: %d triggers, %d followed to their end", ok.Load(), sample)
}
