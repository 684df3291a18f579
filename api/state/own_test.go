package state_test

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwnIdentity(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		require.Equal(t, "1.2.3", k.as("").get("/api/v1/slipway/version").object()["version"])
		me := k.as("walter").get("/api/v1/slipway/whoami").object()
		require.Equal(t, []any{"user", "walter", false}, []any{me["kind"], me["name"], me["admin"]})
		e := k.as("").get("/api/v1/slipway/whoami").jsonError(http.StatusUnauthorized)
		require.Equal(t, "unauthenticated", e["kind"])

		made := k.as("walter").post("/api/v1/slipway/tokens/", map[string]any{"name": "ci", "role": "read", "projects": []string{"shop"}, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}).object()
		limited := &caller{k: k, token: made["token"].(string), head: http.Header{}}
		require.Equal(t, "read", limited.get("/api/v1/slipway/whoami").object()["token_role"])
		limited.get("/api/v1/state/shop/").ok()
		limited.post("/api/v1/state/shop/environments/", map[string]any{"name": "x"}).is(http.StatusForbidden)
		require.Equal(t, "forbidden", limited.post("/api/v1/slipway/tokens/", map[string]any{"name": "more"}).jsonError(http.StatusForbidden)["kind"], "a reading token makes no tokens")
		var list []map[string]any
		k.as("walter").get("/api/v1/slipway/tokens/").into(&list)
		require.Len(t, list, 2)
		require.NotContains(t, list[0], "token")
		require.NotContains(t, k.as("walter").get("/api/v1/slipway/tokens/").ok(), made["token"])
		k.as("rita").delete("/api/v1/slipway/tokens/" + made["id"].(string)).is(http.StatusNotFound)
		k.as("walter").delete("/api/v1/slipway/tokens/" + made["id"].(string)).ok()
		limited.get("/api/v1/state/shop/").is(http.StatusUnauthorized)
		for _, bad := range []map[string]any{{}, {"name": "x", "role": "king"}, {"name": "x", "projects": []string{"ghost"}}, {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, {"name": "x", "admin": true}} {
			e := k.as("walter").post("/api/v1/slipway/tokens/", bad).jsonError(http.StatusBadRequest)
			require.Equal(t, "invalid", e["kind"])
			require.NotEmpty(t, e["fields"])
		}
		// S6: a token limited to a project makes none without the limit.
		narrow := k.as("walter").post("/api/v1/slipway/tokens/", map[string]any{"name": "narrow", "projects": []string{"shop"}}).object()
		c := &caller{k: k, token: narrow["token"].(string), head: http.Header{}}
		if a := c.post("/api/v1/slipway/tokens/", map[string]any{"name": "child"}); a.status == http.StatusOK {
			child := &caller{k: k, token: a.object()["token"].(string), head: http.Header{}}
			require.NotEmpty(t, child.get("/api/v1/slipway/whoami").object()["token_scopes"])
		}
	})
}

func TestOwnAuditLog(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		path := "/api/v1/slipway/projects/shop/audit/"
		var list []map[string]any
		k.as("olga").get(path).into(&list)
		var got []string
		for _, e := range list {
			got = append(got, e["action"].(string)+" "+e["actor_name"].(string)+" "+e["resource_name"].(string))
		}
		require.Equal(t, []string{"environment:create olga prod", "environment:create olga dev"}, got[:2])
		k.as("olga").get(path + "?page_size=1&page_from=" + list[0]["id"].(string)).into(&list)
		require.Len(t, list, 1)
		require.Equal(t, "dev", list[0]["resource_name"])
		k.as("olga").get(path + "?action=build:create").into(&list)
		require.Empty(t, list)
		k.as("walter").get(path).is(http.StatusForbidden)
		k.as("sam").get(path).is(http.StatusNotFound)
		export := k.as("olga").get(path + "export")
		export.ok()
		require.Equal(t, "application/x-ndjson", export.header.Get("Content-Type"))
		n := 0
		for s := bufio.NewScanner(strings.NewReader(string(export.body))); s.Scan(); n++ {
			require.True(t, strings.HasPrefix(s.Text(), `{"id":"`))
		}
		require.GreaterOrEqual(t, n, 2)
	})
}

// TestS24EveryChangeIsAudited makes one of each change and finds its line. A mutating row without an entry here fails the
// test.
func TestS24EveryChangeIsAudited(t *testing.T) {
	k := onSQLite(t)
	olga := k.as("olga")
	ship(k)
	olga.put("/api/v1/state/shop/", map[string]any{}).ok()
	olga.post("/api/v1/state/shop/import-environments", `{"name":"shop"}`).ok()
	olga.post("/api/v1/state/shop/change-environment-order", []string{"dev"}).ok()
	olga.put("/api/v1/state/shop/environments/dev/", map[string]any{}).ok()
	deployments := "/api/v1/state/shop/environments/dev/deployments/"
	olga.post(deployments, map[string]any{"name": "x"}).ok()
	put(k, "dev", "x", "", node("x", "1", "ok"))
	olga.delete(deployments + "?deployment=x").ok()
	web := devBuilds + "by-name/web/"
	olga.put(web, aBuild("web")).ok()
	build := olga.post(web+"trigger-build", nil).id()
	olga.put(web+"executions/"+build+"/commit", map[string]any{"revision": "abc"}).ok()
	olga.post(web+"executions/"+build+"/cancel", nil).ok()
	finish(k, build)
	finish(k, olga.post(web+"executions/"+build+"/retry", nil).id())
	olga.delete(web).ok()
	job := devJobs + "by-name/web/"
	olga.put(job, aJob("web")).ok()
	deployed := olga.post(job+"trigger", nil).id()
	olga.post(job+"executions/"+deployed+"/cancel", nil).ok()
	finish(k, deployed)
	finish(k, olga.post(job+"executions/"+deployed+"/retry", nil).id())
	pipeline := pipelines + "by-name/ship/"
	olga.delete(job).is(http.StatusOK)
	run := olga.post(pipeline+"trigger", nil).id()
	olga.post(pipeline+"executions/"+run+"/cancel", nil).ok()
	finish(k, run)
	finish(k, olga.post(pipeline+"executions/"+run+"/retry", nil).id())
	olga.post(schedulesPath, map[string]any{"name": "weekly", "pipeline": "ship", "cron": []string{"@weekly"}}).ok()
	olga.put(schedulesPath+"weekly/", map[string]any{"cron": []string{"@daily"}}).ok()
	olga.delete(schedulesPath + "weekly/").ok()
	olga.put(pipeline, map[string]any{"phases": []any{}}).ok()
	olga.put("/api/v1/slipway/projects/shop/pipelines/ship/limits", map[string]any{"max_parallel": 1}).ok()
	olga.delete(pipeline).ok()
	olga.post("/api/v1/state/shop/add-namespace", map[string]any{"name": "shop-ns"}).ok()
	notifyAndRedeliver(k, olga)
	olga.post("/api/v1/state/shop/repositories/add-repository", map[string]any{"name": "r", "repo": "x"}).ok()
	olga.put("/api/v1/state/shop/repositories/r/", map[string]any{"repo": "y"}).ok()
	olga.delete("/api/v1/state/shop/repositories/r/").ok()
	olga.post("/api/v1/state/shop/service-accounts/bob/", nil).ok()
	olga.delete("/api/v1/state/shop/service-accounts/bob/").ok()
	olga.delete("/api/v1/slipway/tokens/" + olga.post("/api/v1/slipway/tokens/", map[string]any{"name": "t"}).object()["id"].(string)).ok()
	olga.delete("/api/v1/state/shop/environments/dev/").ok()
	olga.delete("/api/v1/state/shop/").ok()
	k.as("admin").put(quotasPath+"projects", map[string]any{"maximum": 7}).ok()

	var all []map[string]any
	k.as("admin").get("/api/v1/slipway/audit/?page_size=1000").into(&all)
	seen := map[string]bool{}
	for _, e := range all {
		if e["action"] == "installation:update" || e["action"] == "quota:update" { // an administrator's
			require.Equal(t, "admin", e["actor_name"])
		} else {
			require.Contains(t, []any{"olga", "walter"}, e["actor_name"])
		}
		seen[e["action"].(string)] = true
	}
	for _, g := range k.groups {
		for _, row := range g.Rows {
			// A POST that only reads changes nothing. Logs are what the run said, and webhooks and forms act under the actions of what they trigger.
			if row.Method == http.MethodGet || row.Permission.Public || row.Permission.Action == "log:write" || strings.HasSuffix(row.Permission.Action, ":read") {
				continue
			}
			require.True(t, seen[row.Permission.Action], "%s: no line says %s", row.Operation, row.Permission.Action)
		}
	}
	require.False(t, slices.ContainsFunc(all, func(e map[string]any) bool { return e["result"] != "ok" }))
}
