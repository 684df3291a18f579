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
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// statuses are those of one step of a release as the client writes them: ten writes, of which two begin or end it.
var statuses = []string{"empty", "running_pre_step", "running_pre_step", "running_main_step", "running_main_step", "running_main_step", "running_post_step", "running_post_step", "running_post_step", "ok"}

// TestBenchPutDeployment compares the client's most frequent write with a bare Gin handler that does one upsert of the
// same bytes on the same PostgreSQL server: 16 clients at once, both sides in turns in the same run.
func TestBenchPutDeployment(t *testing.T) {
	k := newKit(t, testenv.PostgresTemplate(t, "state", migrated))
	k.shop()
	bare := bareUpsert(t, k.store.URL())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	const clients, writes, rounds = 16, 60, 15 // writes of a client in each round
	run := func(send func(app, n int, body []byte) *http.Request) time.Duration {
		took := make([][]time.Duration, clients)
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for n := range writes {
					state := node("app", fmt.Sprint(n/len(statuses)), statuses[n%len(statuses)])
					deploy := state["stages"].(map[string]any)["deploy"].(map[string]any)
					deploy["status"].(map[string]any)["updated_at"] = time.Now().UTC().Format(time.RFC3339Nano)
					deploy["calculated_inputs"] = map[string]any{"greeting": "hello", "list": []int{1, 2, 3}, "text": "some text that a script was given"}
					name := fmt.Sprintf("app%d", c)
					body, err := json.Marshal(map[string]any{"path": name, "root_stage": "", "state": state})
					if err != nil {
						panic(err)
					}
					r := send(c, n, body)
					begin := time.Now()
					res, err := client.Do(r)
					if err != nil {
						panic(err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					took[c] = append(took[c], time.Since(begin))
					if res.StatusCode != http.StatusOK {
						panic(res.Status)
					}
				}
			})
		}
		wg.Wait()
		all := slices.Concat(took...)
		slices.Sort(all)
		return all[len(all)/2]
	}
	ours := func(c, _ int, body []byte) *http.Request {
		r, _ := http.NewRequest("PUT", fmt.Sprintf("%s/api/v1/state/shop/environments/dev/deployments/?deployment=app%d", k.server.URL, c), bytes.NewReader(body))
		r.Header.Set("X-Escape-Token", k.tokens["walter"])
		return r
	}
	theirs := func(c, _ int, body []byte) *http.Request {
		r, _ := http.NewRequest("PUT", fmt.Sprintf("%s/app%d", bare, c), bytes.NewReader(body))
		return r
	}
	run(ours)
	run(theirs)
	// Short rounds in turns: what else the machine does meanwhile slows both sides of a round.
	var a, b []time.Duration
	var ratios []float64
	for range rounds {
		a, b = append(a, run(ours)), append(b, run(theirs))
		ratios = append(ratios, float64(a[len(a)-1])/float64(b[len(b)-1]))
	}
	slices.Sort(a)
	slices.Sort(b)
	slices.Sort(ratios)
	ratio := ratios[rounds/2]
	verdict := "ok"
	if ratio >= 2 {
		verdict = "short"
	}
	fmt.Printf("# put of a deployment at %d at once: p50 %v, bare upsert %v\n", clients, a[rounds/2].Round(time.Microsecond), b[rounds/2].Round(time.Microsecond))
	fmt.Printf("RATIO deployment_put_p50 %.2f goal 2 %s\n", ratio, verdict)
}

// bareUpsert is a Gin handler that stores the body, and nothing else. It gives its address.
func bareUpsert(t *testing.T, url string) string {
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	_, err = db.ExecContext(context.Background(), "CREATE TABLE bare (name VARCHAR(200) PRIMARY KEY, content BYTEA NOT NULL, updated_at TIMESTAMPTZ NOT NULL)")
	require.NoError(t, err)
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.PUT("/:name", func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err == nil {
			_, err = db.ExecContext(c, "INSERT INTO bare (name, content, updated_at) VALUES ($1, $2, now()) ON CONFLICT (name) DO UPDATE SET content = EXCLUDED.content, updated_at = EXCLUDED.updated_at",
				c.Param("name"), body)
		}
		if err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		c.Status(http.StatusOK)
	})
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s.URL
}
