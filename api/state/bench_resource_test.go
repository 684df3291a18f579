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
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// TestBenchResource compares get one, list 50 and put of one build, with authentication, authorization, validation and
// audit, with a bare Gin handler over database/sql that does the same SQL on the same PostgreSQL: 32 connections and 32
// clients each, in turns in the same run. The figure is requests per second, ours over the bare one's.
func TestBenchResource(t *testing.T) {
	k := newKit(t, testenv.PostgresTemplate(t, "state", migrated))
	k.shop()
	for i := range 50 {
		k.as("olga").post(devBuilds, aBuild(fmt.Sprint("build", i))).ok()
	}
	project, err := k.store.ProjectByName(context.Background(), "shop")
	require.NoError(t, err)
	bare := bareBuilds(t, k.store.URL(), project.ID)
	body, err := json.Marshal(aBuild("build7"))
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	rate := func(method, url string, body []byte, requests int) float64 {
		var wg sync.WaitGroup
		begin := time.Now()
		for range 32 {
			wg.Go(func() {
				for range requests / 32 {
					r, _ := http.NewRequest(method, url, bytes.NewReader(body))
					r.Header.Set("X-Escape-Token", k.tokens["olga"])
					res, err := client.Do(r)
					if err != nil {
						panic(err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode != http.StatusOK {
						panic(res.Status)
					}
				}
			})
		}
		wg.Wait()
		return float64(requests) / time.Since(begin).Seconds()
	}
	for _, c := range []struct {
		name, method, path string
		body               []byte
		requests           int
	}{
		{"api_get_one", "GET", "by-name/build7/", nil, 3200},
		{"api_list_50", "GET", "", nil, 960},
		{"api_put_one", "PUT", "by-name/build7/", body, 1600},
	} {
		var ours, theirs []float64
		for i := range 4 {
			a, b := rate(c.method, k.server.URL+devBuilds+c.path, c.body, c.requests), rate(c.method, bare+"/"+c.path, c.body, c.requests)
			if i > 0 { // the first turn warms up
				ours, theirs = append(ours, a), append(theirs, b)
			}
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		ratio, verdict := ours[1]/theirs[1], "ok"
		if ratio < 0.6 {
			verdict = "short"
		}
		fmt.Printf("# %s: %.0f a second, bare %.0f\n", c.name, ours[1], theirs[1])
		fmt.Printf("RATIO %s %.2f goal 0.6 %s\n", c.name, ratio, verdict)
	}
}

const (
	bareEnvironment = "SELECT id, name, position, description, metadata, inputs, created_at, updated_at FROM environments WHERE project_id = $1 AND name = $2 LIMIT 1"
	bareSelect      = `SELECT builds.id, builds.name, builds.repo, builds.branch, builds.disabled, builds.steps, builds.steps_from_yml, builds.service_account_name, builds.service_account_team,
		builds.task_queue, builds.private_key, builds.escape_auth_token, builds.webhook_token, builds.webhook_secret, builds.created_at, builds.updated_at, projects.name, environments.name, last_execution.status
		FROM builds JOIN projects ON projects.id = builds.project_id JOIN environments ON environments.id = builds.environment_id
		LEFT JOIN execution_counters ON execution_counters.subject_id = builds.id LEFT JOIN executions last_execution ON last_execution.subject_id = builds.id AND last_execution.number = execution_counters.last
		WHERE builds.environment_id = $1`
)

type bareBuild struct {
	ID, Name, Repo, Branch, AccountName, AccountTeam, TaskQueue, Project, Environment string
	Disabled, FromYML                                                                 bool
	Steps                                                                             json.RawMessage
	Status                                                                            *string
	key, auth, token, secret                                                          []byte
	created, updated                                                                  time.Time
}

func (b *bareBuild) scan(row interface{ Scan(...any) error }) error {
	var steps string
	err := row.Scan(&b.ID, &b.Name, &b.Repo, &b.Branch, &b.Disabled, &steps, &b.FromYML, &b.AccountName, &b.AccountTeam, &b.TaskQueue, &b.key, &b.auth, &b.token, &b.secret,
		&b.created, &b.updated, &b.Project, &b.Environment, &b.Status)
	b.Steps = json.RawMessage(steps)
	return err
}

// bareBuilds is what one would write by hand, without users. It gives its address.
func bareBuilds(t *testing.T, url, project string) string {
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// The id of an environment is remembered, as it is by ours.
	var remembered atomic.Pointer[string]
	environment := func(c *gin.Context) (string, error) {
		if id := remembered.Load(); id != nil && c.Param("name") != "" {
			return *id, nil
		}
		var id, name, description, metadata string
		var position int
		var inputs []byte
		var created, updated time.Time
		err := db.QueryRowContext(c, bareEnvironment, project, "dev").Scan(&id, &name, &position, &description, &metadata, &inputs, &created, &updated)
		remembered.Store(&id)
		return id, err
	}
	handle := func(f func(c *gin.Context, environment string) (any, error)) gin.HandlerFunc {
		return func(c *gin.Context) {
			id, err := environment(c)
			var v any
			if err == nil {
				v, err = f(c, id)
			}
			if err != nil {
				c.String(http.StatusInternalServerError, err.Error())
				return
			}
			c.JSON(http.StatusOK, v)
		}
	}
	one := func(c *gin.Context, environment string) (*bareBuild, error) {
		var b bareBuild
		return &b, b.scan(db.QueryRowContext(c, bareSelect+" AND builds.name = $2 LIMIT 1", environment, c.Param("name")))
	}
	e.GET("/by-name/:name/", handle(func(c *gin.Context, environment string) (any, error) { return one(c, environment) }))
	e.GET("/", handle(func(c *gin.Context, environment string) (any, error) {
		rows, err := db.QueryContext(c, bareSelect+" ORDER BY builds.id DESC", environment)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		list := map[string]bareBuild{}
		for rows.Next() {
			var b bareBuild
			if err := b.scan(rows); err != nil {
				return nil, err
			}
			list[b.Name] = b
		}
		return list, rows.Err()
	}))
	e.PUT("/by-name/:name/", handle(func(c *gin.Context, environment string) (any, error) {
		var body struct {
			Repo, Branch string
			Disabled     bool
			Steps        json.RawMessage
		}
		if err := c.ShouldBindJSON(&body); err != nil {
			return nil, err
		}
		b, err := one(c, environment)
		if err != nil {
			return nil, err
		}
		tx, err := db.BeginTx(c, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = tx.Rollback() }()
		now := time.Now()
		_, err = tx.ExecContext(c, `UPDATE builds SET repo = $1, branch = $2, disabled = $3, steps = $4, steps_from_yml = $5, service_account_name = $6, service_account_team = $7, task_queue = $8,
			private_key = $9, escape_auth_token = $10, webhook_secret = $11, updated_at = $12 WHERE id = $13`,
			body.Repo, body.Branch, body.Disabled, string(body.Steps), b.FromYML, b.AccountName, b.AccountTeam, b.TaskQueue, b.key, b.auth, b.secret, now, b.ID)
		if err != nil {
			return nil, err
		}
		_, err = tx.ExecContext(c, `INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_name, action, resource_kind, resource_id, resource_name, project_id, result, detail)
			VALUES ($1, $2, 'user', '', '', 'build:update', 'build', $3, $4, $5, 'ok', '{}')`, uuid.NewString(), now, b.ID, b.Name, project)
		if err != nil {
			return nil, err
		}
		return b, tx.Commit()
	}))
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s.URL
}
