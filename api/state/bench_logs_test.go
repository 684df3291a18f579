//go:build bench

package state_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// TestBenchManyExecutions compares the newest page of executions, one execution, and the tail of a log among 10,000
// executions with logs of 1,000 lines each with the same among twenty, on PostgreSQL. N gives another number.
func TestBenchManyExecutions(t *testing.T) {
	n := 10_000
	if text := os.Getenv("N"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	type side struct {
		k    *kit
		last string // the id of the last execution
	}
	open := func(n int) side {
		k := newKit(t, testenv.PostgresTemplate(t, "state", migrated))
		k.shop()
		k.as("olga").post(devBuilds, aBuild("web")).ok()
		begin := time.Now()
		var wg sync.WaitGroup
		for c := range 8 {
			wg.Go(func() {
				for i := c; i < n-1; i += 8 {
					k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil).id()
				}
			})
		}
		wg.Wait()
		last := k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil).id()
		ctx := context.Background()
		const chunks, each = 4, 250
		for c := range chunks {
			var data bytes.Buffer
			for i := range each {
				item := line(c*each + i)
				item["message"] = fmt.Sprintf("line %d of a log: %x", c*each+i, uint64(i+1)*0x9e3779b97f4a7c15)
				require.NoError(t, json.NewEncoder(&data).Encode(item))
			}
			require.NoError(t, k.store.PutLogs(ctx, last, int64(c*each), each, data.Bytes()))
		}
		db, err := sql.Open("pgx", k.store.URL())
		require.NoError(t, err)
		defer db.Close()
		for _, q := range []string{
			"INSERT INTO log_chunks (execution_id, first_line, count, data, created_at) SELECT e.id, c.first_line, c.count, c.data, c.created_at FROM executions e, log_chunks c WHERE e.id <> '" + last + "'",
			"UPDATE executions SET status = 'ok', claimed_at = created_at, started_at = created_at, finished_at = created_at",
			"ANALYZE",
		} {
			_, err := db.ExecContext(ctx, q)
			require.NoError(t, err)
		}
		fmt.Printf("# %d executions with %d lines each made in %v\n", n, chunks*each, time.Since(begin).Round(time.Second))
		return side{k, last}
	}
	sides := []side{open(20), open(n)}
	for _, c := range []struct {
		name string
		path func(s side) string
	}{
		{"newest_page", func(side) string { return devBuilds + "by-name/web/executions/?page_size=20" }},
		{"newest_page_of_all", func(side) string { return "/api/v1/builds/executions/?page_size=20" }},
		{"one", func(s side) string { return devBuilds + "by-name/web/executions/" + s.last + "/" }},
		{"tail", func(s side) string { return devBuilds + "by-name/web/executions/" + s.last + "/logs?tail=100" }},
	} {
		var times [2][]time.Duration
		for round := range 220 {
			for i, s := range sides {
				r, err := http.NewRequest(http.MethodGet, s.k.server.URL+c.path(s), nil)
				require.NoError(t, err)
				r.Header.Set("X-Escape-Token", s.k.tokens["olga"])
				begin := time.Now()
				res, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(res.Body)
				took := time.Since(begin)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, http.StatusOK, res.StatusCode, string(body))
				if round >= 20 { // the first ones warm up
					times[i] = append(times[i], took)
				}
			}
		}
		for i := range times {
			slices.Sort(times[i])
		}
		few, many := times[0][len(times[0])/2], times[1][len(times[1])/2]
		ratio, verdict := float64(many)/float64(few), "ok"
		if ratio > 2 {
			verdict = "short"
		}
		fmt.Printf("# executions, %s: %v among 20, %v among %d\n", c.name, few.Round(10*time.Microsecond), many.Round(10*time.Microsecond), n)
		fmt.Printf("RATIO executions_%d_%s %.2f goal 2 %s\n", n, c.name, ratio, verdict)
	}
}
