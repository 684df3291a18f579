package state_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvironments(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		environments := "/api/v1/state/shop/environments/"
		require.Equal(t, "Resource already exists", olga.post(environments, map[string]any{"name": "dev"}).is(http.StatusConflict))
		require.Contains(t, olga.post(environments, map[string]any{"name": "Dev"}).is(http.StatusBadRequest), "The environment name 'Dev' is not allowed. Expected a string matching /^[a-z]+[a-z0-9-_]*$/")

		// An environment can be read as soon as it is there: the client stops where it is not.
		require.Equal(t, `{"name":"dev"}`+"\n", k.as("walter").get(environments+"dev/?full=true").ok())
		require.Contains(t, k.as("walter").get(environments+"nope/?full=true").is(http.StatusNotFound), "the project has no environment 'nope'")

		olga.post(environments, map[string]any{"name": "ci"}).ok()
		order := func() map[string]any {
			m := map[string]any{}
			for name, e := range olga.get("/api/v1/state/shop/").object()["environments"].(map[string]any) {
				m[name] = e.(map[string]any)["order"]
			}
			return m
		}
		require.Equal(t, map[string]any{"dev": 0.0, "prod": 1.0, "ci": 2.0}, order())
		olga.post("/api/v1/state/shop/change-environment-order", []string{"dev", "ci", "prod"}).ok()
		require.Equal(t, map[string]any{"dev": 0.0, "ci": 1.0, "prod": 2.0}, order())
		olga.post("/api/v1/state/shop/change-environment-order", map[string]any{"environments": []string{"prod"}}).ok()
		require.Equal(t, map[string]any{"prod": 0.0, "dev": 1.0, "ci": 2.0}, order())
		olga.post("/api/v1/state/shop/change-environment-order", []string{"prod", "moon"}).is(http.StatusNotFound)
		olga.post("/api/v1/state/shop/change-environment-order", []string{"prod", "prod"}).is(http.StatusBadRequest)
		olga.post("/api/v1/state/shop/change-environment-order", "17").is(http.StatusBadRequest)
		require.Equal(t, map[string]any{"prod": 0.0, "dev": 1.0, "ci": 2.0}, order(), "a refused order changes nothing")

		olga.put(environments+"dev/", map[string]any{"description": "Try things", "metadata": map[string]string{"owner": "olga"}, "inputs": map[string]any{"greeting": "hello"}}).ok()
		full := k.as("walter").get(environments + "dev/?full=true").object()
		require.Equal(t, map[string]any{"greeting": "hello"}, full["inputs"])
		summary := k.as("rita").get(environments + "dev/").object()
		require.Equal(t, "Try things", summary["description"])
		require.Equal(t, map[string]any{"owner": "olga"}, summary["metadata"])
		require.NotContains(t, summary, "inputs")
		olga.put(environments+"dev/", summary).ok() // what was read can be written back, and the inputs stay
		require.Equal(t, map[string]any{"greeting": "hello"}, k.as("walter").get(environments + "dev/?full=true").object()["inputs"])
		require.Contains(t, k.as("rita").get(environments+"dev/?full=true").is(http.StatusForbidden), "you need the right to write")

		olga.delete(environments + "ci/").ok()
		olga.get(environments + "ci/").is(http.StatusNotFound)
	})
}

func TestImportEnvironments(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		path := "/api/v1/state/shop/import-environments"
		put(k, "dev", "kept", "", node("kept", "1.0", "ok"))
		file := `{"name":"local-project","unknown":1,"environments":{
			"dev":{"name":"dev","inputs":{"a":"b"},"deployments":{"my/app":{"name":"my/app","release":"my/app","stages":{"deploy":{"version":"2.0","status":{"status":"ok","updated_at":"2026-11-22T02:50:53.37Z"},
				"deployments":{"dep":{"name":"dep","release":"my/dep","stages":{"deploy":{"version":"0.1"}}}}}}}}},
			"stage":{"deployments":{"x":{}}}}}`
		want := map[string]any{"dry_run": true, "environments_added": []any{"stage"}, "deployments_added": []any{"dev/my/app", "stage/x"}, "deployments_changed": []any{}}
		require.Equal(t, want, olga.post(path+"?dry_run=true", file).object())
		olga.get("/api/v1/state/shop/environments/stage/").is(http.StatusNotFound)
		want["dry_run"] = false
		require.Equal(t, want, olga.post(path, file).object())
		full := olga.get("/api/v1/state/shop/environments/dev/?full=true").object()
		require.Equal(t, map[string]any{"a": "b"}, full["inputs"])
		require.Len(t, full["deployments"], 2, "an import removes nothing")
		dep := at(full, "deployments", "my/app", "stages", "deploy", "deployments", "dep", "stages", "deploy", "version")
		require.Equal(t, "0.1", dep)

		// Whole or not at all: the second environment has a bad name.
		bad := `{"name":"p2","environments":{"new":{},"No":{}}}`
		require.Contains(t, olga.post(path, bad).is(http.StatusBadRequest), "The environment name 'No' is not allowed")
		olga.get("/api/v1/state/shop/environments/new/").is(http.StatusNotFound)
		require.Equal(t, "Invalid JSON", olga.post(path, "[]").is(http.StatusBadRequest))
		k.as("walter").post(path, file).is(http.StatusForbidden)
	})
}

// at walks into decoded JSON.
func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}
