package state_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// remote is the original client with remote state, as facts 2.1 describe it: it loads the environment once, keeps the state
// of one root deployment, and sends the whole node after each change. Every answer must be exactly 200.
type remote struct {
	*caller
	t     *testing.T
	state map[string]any
	puts  int
}

const devDeployments = "/api/v1/state/shop/environments/dev/deployments/?deployment="

// client loads the environment, as each command does first.
func (k *kit) client(t *testing.T, user string) *remote {
	c := &remote{caller: k.as(user).with("Content-Type", json_).with("User-Agent", "Go-http-client/1.1"), t: t}
	c.state = c.environment()
	return c
}

func (c *remote) environment() map[string]any {
	c.t.Helper()
	e := c.get("/api/v1/state/shop/environments/dev/?full=true").object()
	require.Equal(c.t, "dev", e["name"])
	return e
}

// stage is that of a root deployment, made where it is missing.
func (c *remote) stage(deployment, stage string) map[string]any {
	child := func(m map[string]any, key string, fresh map[string]any) map[string]any {
		if m[key] == nil {
			m[key] = fresh
		}
		return m[key].(map[string]any)
	}
	d := child(child(c.state, "deployments", map[string]any{}), deployment, map[string]any{"name": deployment, "release": deployment})
	return child(child(d, "stages", map[string]any{}), stage, map[string]any{})
}

// put sends the root as it is now.
func (c *remote) put(deployment string) {
	c.t.Helper()
	c.puts++
	c.caller.put(devDeployments+url.QueryEscape(deployment), map[string]any{"path": deployment, "root_stage": "", "state": at(c.state, "deployments", deployment)}).ok()
}

// nested sends a node below the root, and keeps it there.
func (c *remote) nested(deployment, stage, name, status string) {
	c.t.Helper()
	s := c.stage(deployment, stage)
	if s["deployments"] == nil {
		s["deployments"] = map[string]any{}
	}
	n := node(name, "0.1.0", status)
	s["deployments"].(map[string]any)[name] = n
	c.puts++
	c.caller.put(devDeployments+url.QueryEscape(deployment), map[string]any{"path": deployment + ":" + name, "root_stage": stage, "state": n}).ok()
}

func (c *remote) status(deployment, stage, code string, more ...any) {
	c.t.Helper()
	s := map[string]any{"status": code, "updated_at": time.Now().UTC().Format(time.RFC3339Nano)}
	for i := 0; i < len(more); i += 2 {
		s[more[i].(string)] = more[i+1]
	}
	c.stage(deployment, stage)["status"] = s
	c.put(deployment)
}

// step is a build or a deployment: its dependency first, then itself.
func (c *remote) step(deployment, stage, version, fails string) {
	c.t.Helper()
	s := c.stage(deployment, stage)
	s["inputs"], s["providers"] = map[string]any{"greeting": "yo"}, map[string]any{"pg": "infra/db"}
	c.put(deployment)
	for _, status := range []string{"running_pre_step", "running_main_step", "running_main_step", "running_post_step", "ok"} {
		c.nested(deployment, stage, "dep", status)
	}
	c.status(deployment, stage, "running_pre_step")
	s["version"], s["provides"], s["calculated_inputs"] = version, []any{"web"}, map[string]any{"greeting": "yo", "count": 3.0, "tags": []any{"a"}}
	c.put(deployment)
	c.status(deployment, stage, "running_main_step")
	if fails != "" {
		c.status(deployment, stage, "failure", "data", fails)
		return
	}
	s["calculated_outputs"] = map[string]any{"url": "raw"}
	c.put(deployment)
	c.status(deployment, stage, "running_post_step")
	s["calculated_outputs"] = map[string]any{"url": "http://x"}
	c.put(deployment)
	c.status(deployment, stage, "ok")
}

func (c *remote) test(deployment, stage, ends string) {
	c.t.Helper()
	c.status(deployment, stage, "running_test_step")
	c.status(deployment, stage, ends)
}

// destroy keeps the version, the providers and what users gave.
func (c *remote) destroy(deployment, stage string) {
	c.t.Helper()
	c.nested(deployment, stage, "dep", "running_pre_step")
	c.nested(deployment, stage, "dep", "empty")
	for _, status := range []string{"running_pre_step", "running_main_destroy_step", "running_post_destroy_step"} {
		c.status(deployment, stage, status)
	}
	s := c.stage(deployment, stage)
	delete(s, "calculated_inputs")
	c.put(deployment)
	delete(s, "calculated_outputs")
	c.put(deployment)
	c.status(deployment, stage, "empty")
}

// asWritten requires that the server has what the client has.
func (c *remote) asWritten() {
	c.t.Helper()
	require.Equal(c.t, c.state["deployments"], c.environment()["deployments"])
}

// The request sequences of the original client: release, deploy, test, smoke, destroy, errands, converge, and what each
// leaves behind.
func TestTheClientsSequences(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		const app = "my-project/full"
		k.as("walter").get("/api/v1/state/shop/environments/nope/?full=true").is(http.StatusNotFound)

		// run release: build, test, destroy, deploy, smoke, destroy.
		c := k.client(t, "walter")
		require.Empty(t, c.state["deployments"], "before any deployment")
		c.step(app, "build", "1.2.0", "")
		c.test(app, "build", "ok")
		c.destroy(app, "build")
		c.step(app, "deploy", "1.2.0", "")
		c.test(app, "deploy", "ok")
		c.destroy(app, "deploy")
		require.Greater(t, c.puts, 40)
		c.asWritten()
		require.Equal(t, "1.2.0", at(c.environment(), "deployments", app, "stages", "deploy", "version"), "a destroyed stage keeps its version")
		require.Equal(t, "{}\n", k.as("rita").get("/api/v1/state/shop/environments/dev/providers/").ok(), "nothing is provided by what was destroyed")

		// run deploy by another command, and smoke, which fails and then works; errands only read.
		c = k.client(t, "walter")
		c.step(app, "deploy", "1.3.0", "")
		c.test(app, "deploy", "test_failure")
		c.test(app, "deploy", "ok")
		c.asWritten()
		require.Equal(t, "http://x", at(k.client(t, "walter").state, "deployments", app, "stages", "deploy", "calculated_outputs", "url"), "errands run: one GET")
		require.Equal(t, map[string]any{"web": []any{app}}, k.as("rita").get("/api/v1/state/shop/environments/dev/providers/").object())

		// A failure has its text in the state.
		c.step(app, "deploy", "1.4.0", "deploy.sh exited with status 3")
		c.asWritten()

		// state create -r writes inputs alone; converge deploys what is pending, backs off after a failure, destroys and
		// deletes, and still writes another deployment afterwards.
		c = k.client(t, "walter")
		c.stage("infra/db", "deploy")["inputs"] = map[string]any{"size": 3.0}
		c.put("infra/db")
		c.status("infra/db", "deploy", "pending")
		c = k.client(t, "walter")
		c.step("infra/db", "deploy", "1.0", "no")
		c.status("infra/db", "deploy", "failure", "data", "no", "tried", 1.0, "try_again_at", "2026-11-22T02:51:00Z")
		c.asWritten()
		c.step("infra/db", "deploy", "1.0", "")
		c.status(app, "deploy", "destroy_and_delete_pending")
		c.destroy(app, "deploy")
		require.Empty(t, c.delete(devDeployments+url.QueryEscape(app)).ok())
		delete(c.state["deployments"].(map[string]any), app)
		c.test("infra/db", "deploy", "ok")
		c.asWritten()

		// What stages came to is history, one row for each that finished.
		var rows []map[string]any
		k.as("rita").get("/api/v1/slipway/projects/shop/environments/dev/history/?page_size=1000").into(&rows)
		var seen []string
		for i := len(rows) - 1; i >= 0; i-- {
			if rows[i]["path"] == app && rows[i]["stage"] == "deploy" {
				seen = append(seen, fmt.Sprint(rows[i]["version"], " ", rows[i]["status"]))
			}
		}
		require.Equal(t, []string{"1.2.0 ok", "1.2.0 ok", "1.2.0 empty", "1.3.0 ok", "1.3.0 test_failure", "1.3.0 ok", "1.4.0 failure", "1.4.0 empty"}, seen)

		// Facts 2.2: without full=true it is a summary, for the environment and for its project.
		for _, of := range []any{k.as("rita").get("/api/v1/state/shop/environments/dev/").object(), at(k.as("rita").get("/api/v1/state/shop/").object(), "environments", "dev")} {
			require.Equal(t, map[string]any{"name": "infra/db", "release": "infra/db", "stages": map[string]any{"deploy": map[string]any{"version": "1.0",
				"status": at(of, "deployments", "infra/db", "stages", "deploy", "status")}}}, at(of, "deployments", "infra/db"))
			require.Equal(t, "ok", at(of, "deployments", "infra/db", "stages", "deploy", "status", "status"))
		}
	})
}
