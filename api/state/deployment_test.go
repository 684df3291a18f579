package state_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	statefile "slipway/internal/state"
)

const clock = "2026-11-22T02:50:53.37Z"

// node is a deployment with one deploy stage.
func node(name, version, status string) map[string]any {
	return map[string]any{"name": name, "release": "my/" + name, "stages": map[string]any{"deploy": map[string]any{"version": version,
		"status": map[string]any{"status": status, "updated_at": clock}}}}
}

// put sends what the client sends after a change of state.
func put(k *kit, environment, path, rootStage string, state any) *answer {
	k.t.Helper()
	root, _, _ := strings.Cut(path, ":")
	a := k.as("walter").put("/api/v1/state/shop/environments/"+environment+"/deployments/?deployment="+url.QueryEscape(root),
		map[string]any{"path": path, "root_stage": rootStage, "state": state})
	a.ok()
	return a
}

func TestPutDeploymentAsTheClientDoes(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		full := func() map[string]any {
			m, _ := k.as("walter").get("/api/v1/state/shop/environments/dev/?full=true").object()["deployments"].(map[string]any)
			return m
		}
		// The deployment does not exist yet, and neither do its parents.
		require.Empty(t, put(k, "dev", "my/app:dep:sub", "build", node("sub", "0.1", "running_main_step")).body)
		require.Equal(t, "0.1", at(full(), "my/app", "stages", "build", "deployments", "dep", "stages", "deploy", "deployments", "sub", "stages", "deploy", "version"))
		// A nested write replaces what is nested in it, and nothing beside it.
		put(k, "dev", "my/app:other", "deploy", node("other", "7", "ok"))
		put(k, "dev", "my/app:dep", "build", node("dep", "0.2", "ok"))
		require.Nil(t, at(full(), "my/app", "stages", "build", "deployments", "dep", "stages", "deploy", "deployments"))
		require.Equal(t, "7", at(full(), "my/app", "stages", "deploy", "deployments", "other", "stages", "deploy", "version"))
		// The root replaces everything.
		put(k, "dev", "my/app", "", node("my/app", "1.0", "pending"))
		require.Nil(t, at(full(), "my/app", "stages", "build"))
		require.Nil(t, at(full(), "my/app", "stages", "deploy", "deployments"))
		// Any order of statuses is taken.
		for _, status := range []string{"ok", "empty", "running_pre_step", "destroy_failure", "pending", "running_post_destroy_step", "ok"} {
			put(k, "dev", "my/app", "", node("my/app", "1.0", status))
		}
		// Members that this version does not know are no reason to fail a release.
		k.as("walter").put("/api/v1/state/shop/environments/dev/deployments/?deployment=x", `{"path":"x","root_stage":"","later":1,"state":{"name":"x","later":{}}}`).ok()

		path := "/api/v1/state/shop/environments/dev/deployments/?deployment=" + url.QueryEscape("my/app")
		require.Equal(t, "1.0", at(k.as("walter").get(path+"&full=true").object(), "stages", "deploy", "version"))
		k.as("walter").delete(path).ok()
		k.as("walter").delete(path).is(http.StatusNotFound)
		k.as("walter").get(path).is(http.StatusNotFound)
		require.Nil(t, full()["my/app"])
		put(k, "dev", "my/app", "", node("my/app", "1.0", "ok")) // a client may still write after it
	})
}

func TestBadPutsOfDeployments(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	path := "/api/v1/state/shop/environments/dev/deployments/?deployment="
	for name, c := range map[string]struct {
		deployment, body string
		message          string
	}{
		"not JSON":           {"x", "{", "Invalid JSON"},
		"null":               {"x", "null", "Invalid JSON"},
		"an array":           {"x", "[]", "Invalid JSON"},
		"no path":            {"x", `{"state":{}}`, "Missing deployment path"},
		"no state":           {"x", `{"path":"x"}`, "Invalid JSON"},
		"another root":       {"x", `{"path":"y","state":{}}`, "The path 'y' does not begin with the deployment 'x'"},
		"a bad name":         {"1", `{"path":"1","state":{}}`, "The deployment name '1' is not allowed"},
		"a bad nested name":  {"x", `{"path":"x:","root_stage":"deploy","state":{}}`, "The deployment name '' is not allowed"},
		"an unknown stage":   {"x", `{"path":"x:y","root_stage":"moon","state":{}}`, "Unknown stage 'moon'"},
		"no stage":           {"x", `{"path":"x:y","root_stage":"","state":{}}`, "Unknown stage ''"},
		"a bad stage inside": {"x", `{"path":"x","state":{"stages":{"test":{}}}}`, "Unknown stage 'test'"},
		"NUL":                {"x", `{"path":"x","state":{"release":"a\u0000b"}}`, "NUL"},
		"not UTF-8":          {"x", "{\"path\":\"x\",\"state\":{\"release\":\"\xff\"}}", "UTF-8"},
		"deep":               {"x", `{"path":"x","state":{"inputs":{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}}`, "nested deeper"},
		"deep deployments":   {"x", `{"path":"x` + strings.Repeat(":y", 100) + `","root_stage":"deploy","state":{}}`, "deeper than"},
		"a long path":        {"x", `{"path":"x` + strings.Repeat(":"+strings.Repeat("y", 200), 20) + `","root_stage":"deploy","state":{}}`, "over 2000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, k.as("walter").put(path+c.deployment, c.body).is(http.StatusBadRequest), c.message)
		})
	}
	k.as("walter").put(path+"x", `{"path":"x","state":{"inputs":{"a":"`+strings.Repeat("y", 9<<20)+`"}}}`).is(http.StatusRequestEntityTooLarge)
	k.as("walter").put("/api/v1/state/shop/environments/nope/deployments/?deployment=x", `{"path":"x","state":{}}`).is(http.StatusNotFound)
	k.as("rita").put(path+"x", `{"path":"x","state":{}}`).is(http.StatusForbidden)
	k.as("sam").put(path+"x", `{"path":"x","state":{}}`).is(http.StatusNotFound)
	k.as("").put(path+"x", `{"path":"x","state":{}}`).is(http.StatusUnauthorized)
}

// TestDeploymentTreeIsWhatTheWritesMake compares the tree that is put together from rows with one that every write was
// applied to, over random sequences of writes.
func TestDeploymentTreeIsWhatTheWritesMake(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx := context.Background()
		project, err := k.store.ProjectByName(ctx, "shop")
		require.NoError(t, err)
		environment, err := k.store.EnvironmentByName(ctx, project.ID, "dev")
		require.NoError(t, err)
		random := rand.New(rand.NewPCG(1, 2))
		want := &statefile.Environment{Name: "dev"}
		for i := range 300 {
			names := []string{[]string{"a", "b"}[random.IntN(2)]}
			for range random.IntN(4) {
				names = append(names, []string{"x", "y"}[random.IntN(2)])
			}
			stage := ""
			if len(names) > 1 {
				stage = []string{"build", "deploy"}[random.IntN(2)]
			}
			write := func() *statefile.Deployment {
				d := &statefile.Deployment{Name: names[len(names)-1], Release: fmt.Sprint("r", i)}
				if random.IntN(2) == 0 {
					d.EnsureStage("deploy").EnsureDeployment("x").Release = fmt.Sprint("nested", i)
				}
				return d
			}
			d := write()
			text, err := json.Marshal(d)
			require.NoError(t, err)
			var copied statefile.Deployment
			require.NoError(t, json.Unmarshal(text, &copied))
			require.NoError(t, k.store.PutDeployment(ctx, environment.ID, names[0], names, stage, d, "test"))
			require.NoError(t, want.Put(names, stage, &copied))
			if i%10 == 0 {
				got, err := k.store.EnvironmentState(ctx, environment.ID)
				require.NoError(t, err)
				a, _ := json.Marshal(want.Deployments)
				b, _ := json.Marshal(got.Deployments)
				require.JSONEq(t, string(a), string(b), "after write %d", i)
			}
		}
	})
}

func TestNoDeploymentWriteIsLost(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		put(k, "dev", "app", "", node("app", "1", "running_main_step"))
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for n := range 5 {
					put(k, "dev", fmt.Sprintf("app:dep%d", i), "deploy", node(fmt.Sprintf("dep%d", i), fmt.Sprint(n), "running_main_step"))
				}
			})
		}
		wg.Wait()
		deployments := at(k.as("walter").get("/api/v1/state/shop/environments/dev/?full=true").object(), "deployments", "app", "stages", "deploy", "deployments").(map[string]any)
		require.Len(t, deployments, 16)
		for name := range deployments {
			require.Equal(t, "4", at(deployments, name, "stages", "deploy", "version"), name)
		}
	})
}

func TestDeploymentSummaryHoldsNothingSecret(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	secret := "hunter2-in-plain-sight"
	put(k, "dev", "app", "", map[string]any{"name": "app", "release": "my/app", "inputs": map[string]any{"a": secret}, "stages": map[string]any{"deploy": map[string]any{
		"version": "1", "inputs": map[string]any{"b": secret}, "calculated_inputs": map[string]any{"c": secret}, "calculated_outputs": map[string]any{"d": secret},
		"providers": map[string]any{"pg": "db"}, "provides": []string{"web"}, "status": map[string]any{"status": "failure", "updated_at": clock, "data": secret},
		"deployments": map[string]any{"dep": map[string]any{"inputs": map[string]any{"e": secret}}}}}})
	rita := k.as("rita")
	for _, path := range []string{"/api/v1/state/shop/", "/api/v1/state/shop/environments/dev/", "/api/v1/state/shop/environments/dev/deployments/",
		"/api/v1/state/shop/environments/dev/deployments/?deployment=app", "/api/v1/slipway/projects/shop/environments/dev/history/"} {
		text := rita.get(path).ok()
		require.NotContains(t, text, secret, path)
		require.Contains(t, text, `"failure"`, path)
	}
	require.NotContains(t, k.as("olga").get("/api/v1/slipway/projects/shop/audit/").ok(), secret)
	require.Contains(t, k.as("walter").get("/api/v1/state/shop/environments/dev/?full=true").ok(), secret)
	for _, path := range []string{"environments/dev/?full=true", "environments/dev/deployments/?full=true", "environments/dev/deployments/?deployment=app&full=1"} {
		rita.get("/api/v1/state/shop/" + path).is(http.StatusForbidden)
	}
	require.Equal(t, map[string]any{"web": []any{"app"}}, rita.get("/api/v1/state/shop/environments/dev/providers/").object())
	require.Equal(t, "{}\n", rita.get("/api/v1/state/shop/environments/prod/providers/").ok())
}

func TestAddDeployment(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	path := "/api/v1/state/shop/environments/dev/deployments/"
	body := map[string]any{"name": "my/app", "release": "my/app", "version": "1.0", "inputs": map[string]any{"a": "b"}, "providers": map[string]any{"pg": "infra/db"}}
	require.Empty(t, k.as("walter").post(path, body).ok())
	require.Equal(t, "Resource already exists", k.as("walter").post(path, body).is(http.StatusConflict))
	d := k.as("walter").get(path + "?deployment=my%2Fapp&full=true").object()
	require.Equal(t, "infra/db", at(d, "stages", "deploy", "providers", "pg"))
	require.Equal(t, "empty", at(d, "stages", "deploy", "status", "status"))
	require.Contains(t, k.as("walter").post(path, map[string]any{"name": "-"}).is(http.StatusBadRequest), "The deployment name '-' is not allowed")
	require.Contains(t, k.as("walter").post(path, map[string]any{"name": "x", "versoin": "1"}).is(http.StatusBadRequest), "versoin")
	k.as("rita").post(path, body).is(http.StatusForbidden)
}

func TestDeploymentHistory(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		write := func(version, status, when string) {
			n := node("app", version, status)
			n["stages"].(map[string]any)["deploy"].(map[string]any)["status"].(map[string]any)["updated_at"] = when
			put(k, "dev", "app", "", n)
		}
		// A release as the client makes it: progress, then the end, which it repeats.
		for _, status := range []string{"running_pre_step", "running_main_step", "running_post_step", "ok"} {
			write("1.0", status, "2026-11-22T02:50:5"+fmt.Sprint(len(status)%10)+"Z")
		}
		write("1.0", "ok", "2026-11-22T02:50:52Z") // the same status again is not another deployment
		write("1.1", "running_main_step", "2026-11-22T03:00:00Z")
		write("1.1", "failure", "2026-11-22T03:00:01Z")
		write("1.1", "empty", "2026-11-22T04:00:00Z")
		path := "/api/v1/slipway/projects/shop/environments/dev/history/"
		var list []map[string]any
		k.as("rita").get(path).into(&list)
		var got []string
		for _, h := range list {
			got = append(got, fmt.Sprint(h["version"], " ", h["status"], " ", h["changed_by"]))
		}
		require.Equal(t, []string{"1.1 empty walter", "1.1 failure walter", "1.0 ok walter"}, got)
		k.as("rita").get(path + "?page_size=1&page_from=" + list[0]["id"].(string)).into(&list)
		require.Len(t, list, 1)
		require.Equal(t, "failure", list[0]["status"])
		k.as("rita").get(path + "?deployment=other").into(&list)
		require.Empty(t, list)
		k.as("sam").get(path).is(http.StatusNotFound)
	})
}

// TestAnEnvironmentThatIsMadeAgain: what is remembered of an environment does not outlive it.
func TestAnEnvironmentThatIsMadeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		put(k, "dev", "app", "", node("app", "1", "running_main_step"))
		olga.post(devBuilds, aBuild("web")).ok()
		olga.get(devBuilds + "by-name/web/").ok()
		olga.delete("/api/v1/state/shop/environments/dev/").ok()
		path := "/api/v1/state/shop/environments/dev/deployments/?deployment=app"
		for _, status := range []string{"running_main_step", "ok"} {
			body := map[string]any{"path": "app", "state": node("app", "1", status)}
			require.Equal(t, "the project has no environment 'dev'", olga.put(path, body).is(http.StatusNotFound))
		}
		olga.get(devBuilds + "by-name/web/").is(http.StatusNotFound)
		olga.post("/api/v1/state/shop/environments/", map[string]any{"name": "dev"}).ok()
		olga.get(devBuilds + "by-name/web/").is(http.StatusNotFound)
		require.Equal(t, `{"name":"dev"}`+"\n", olga.get("/api/v1/state/shop/environments/dev/?full=true").ok(), "nothing of the first one is left")
		put(k, "dev", "app", "", node("app", "2", "running_main_step"))
		require.Equal(t, "2", at(olga.get(path+"&full=true").object(), "stages", "deploy", "version"))
	})
}
