package state_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

const devJobs = "/api/v1/deployment-jobs/by-project/shop/by-environment/dev/"

func aJob(name string) map[string]any {
	return map[string]any{"name": name, "environment": "dev", "release": "shop-ns/web", "version": "0.1.@", "inputs": map[string]any{"greeting": "hello"}, "providers": map[string]string{"pg": "infra/db"}}
}

func TestDeploymentJobs(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		add := "/api/v1/deployment-jobs/by-project/shop/add"
		created := olga.post(add, aJob("my/web")).object()
		require.Equal(t, "my/web", created["deployment"])
		require.Equal(t, "Resource already exists", olga.post(add, aJob("my/web")).is(http.StatusConflict))
		// The name holds a slash: it is one part of the path, escaped.
		path := devJobs + "by-name/my%2Fweb/"
		require.Equal(t, created, olga.get(path).object())
		require.Equal(t, map[string]any{"greeting": "hello"}, k.as("walter").get(path).object()["inputs"])
		require.NotContains(t, k.as("rita").get(path).object(), "inputs", "inputs may be secret")

		require.Equal(t, "my/web", at(k.as("rita").get(devJobs).object(), "my/web", "name"))
		require.Equal(t, "my/web", at(k.as("rita").get("/api/v1/deployment-jobs/by-project/shop/").object(), "dev", "my/web", "name"))
		require.Equal(t, "my/web", at(k.as("rita").get("/api/v1/deployment-jobs/").object(), "shop", "dev", "my/web", "name"))
		require.Equal(t, "{}\n", k.as("sam").get("/api/v1/deployment-jobs/").ok())

		created["version"], created["deployment"] = "production", "web"
		updated := olga.put(path, created).object()
		require.Equal(t, []any{"production", "web", "shop-ns/web"}, []any{updated["version"], updated["deployment"], updated["release"]})
		delete(created, "inputs")
		require.Equal(t, map[string]any{"greeting": "hello"}, olga.put(path, created).object()["inputs"], "a PUT without inputs keeps them")
		j, err := k.store.DeploymentJobByID(context.Background(), created["id"].(string))
		require.NoError(t, err)
		require.NotContains(t, string(j.SealedInputs), "hello")

		k.as("walter").delete(path).is(http.StatusForbidden)
		olga.delete(path).ok()
		olga.get(path).is(http.StatusNotFound)
	})
}

func TestVersionsOfDeploymentJobs(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	for name, c := range map[string]struct{ release, version, wantRelease, wantVersion, message string }{
		"latest by default":       {"ns/app", "", "ns/app", "latest", ""},
		"exact":                   {"ns/app", "v1.0", "ns/app", "v1.0", ""},
		"query":                   {"ns/app", "1.@", "ns/app", "1.@", ""},
		"tag":                     {"ns/app", "production", "ns/app", "production", ""},
		"in the release":          {"ns/app-v1.2", "", "ns/app", "1.2", ""},
		"latest in the release":   {"ns/app-latest", "", "ns/app", "latest", ""},
		"a tag in the release":    {"ns/app:production", "", "ns/app", "production", ""},
		"a dash in the name":      {"ns/my-app", "2", "ns/my-app", "2", ""},
		"the version wins":        {"ns/app-v1.2", "2.0", "ns/app", "2.0", ""},
		"no namespace":            {"app", "1", "_/app", "1", ""},
		"no release":              {"", "1", "", "", "release: is required"},
		"a bad namespace":         {"NS/app", "1", "", "", "release: Invalid name 'NS'"},
		"a bad application":       {"ns/App", "1", "", "", "release: Invalid name 'App'"},
		"too many parts":          {"ns/app/x", "1", "", "", "release: Invalid name"},
		"a bad version":           {"ns/app", "1 0", "", "", "version: expected a version"},
		"a version with a colon":  {"ns/app", "a:b", "", "", "version: expected a version"},
		"a version with brackets": {"ns/app", "$(x)", "", "", "version: expected a version"},
	} {
		t.Run(name, func(t *testing.T) {
			job := map[string]any{"name": "j", "environment": "dev", "release": c.release, "version": c.version}
			a := k.as("olga").post("/api/v1/deployment-jobs/by-project/shop/add", job)
			if c.message != "" {
				require.Contains(t, a.is(http.StatusBadRequest), c.message)
				return
			}
			got := a.object()
			require.Equal(t, []any{c.wantRelease, c.wantVersion}, []any{got["release"], got["version"]})
			k.as("olga").delete(devJobs + "by-name/j/").ok()
		})
	}
}

func TestBadDeploymentJobs(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	for name, c := range map[string]struct {
		change  map[string]any
		message string
	}{
		"no name":              {map[string]any{"name": ""}, "The deployment name '' is not allowed"},
		"a bad name":           {map[string]any{"name": "1"}, "The deployment name '1' is not allowed"},
		"a bad deployment":     {map[string]any{"deployment": "a b"}, "deployment: The deployment name 'a b' is not allowed"},
		"no environment":       {map[string]any{"environment": ""}, "environment: is required"},
		"unknown environment":  {map[string]any{"environment": "moon"}, "environment: the project has no environment 'moon'"},
		"an unknown queue":     {map[string]any{"remote_escape_worker_url": "x"}, "remote_escape_worker_url"},
		"an unknown account":   {map[string]any{"service_account_name": "ghost"}, "service_account_name"},
		"a bad provider":       {map[string]any{"providers": map[string]any{"pg": "-"}}, "providers.pg"},
		"an unknown member":    {map[string]any{"realese": "x"}, "realese: this member is not known"},
		"inputs as a list":     {map[string]any{"inputs": []string{}}, "inputs: expected an object"},
		"providers as numbers": {map[string]any{"providers": map[string]any{"pg": 1}}, "providers"},
	} {
		t.Run(name, func(t *testing.T) {
			j := aJob("web")
			for m, v := range c.change {
				j[m] = v
			}
			require.Contains(t, k.as("olga").post("/api/v1/deployment-jobs/by-project/shop/add", j).is(http.StatusBadRequest), c.message)
		})
	}
}

func TestDeploymentJobExecutions(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx := context.Background()
		k.as("olga").post("/api/v1/deployment-jobs/by-project/shop/add", aJob("my/web")).ok()
		path := devJobs + "by-name/my%2Fweb/"
		walter := k.as("walter")
		var ids []string
		for _, action := range []string{"", "/destroy", "/smoke"} {
			ids = append(ids, walter.post(path+"trigger"+action, nil).id())
		}
		secret := "hunter2-of-the-errand"
		ids = append(ids, walter.post(path+"trigger/errand", map[string]any{"errand_name": "backup", "inputs": map[string]any{"password": secret}}).id())
		require.Contains(t, walter.post(path+"trigger/errand", map[string]any{}).is(http.StatusBadRequest), "errand_name: is required")
		require.Contains(t, walter.post(path+"trigger/errand", nil).is(http.StatusBadRequest), "Invalid JSON")
		k.as("rita").post(path+"trigger", nil).is(http.StatusForbidden)

		var actions []any
		for _, id := range ids {
			e := walter.get(path + "executions/" + id + "/").object()
			actions = append(actions, at(e, "deployment_job", "action"))
			require.Equal(t, "0.1.@", at(e, "deployment_job", "version"), "a query is kept and looked up by each execution")
			require.Equal(t, "my/web", at(e, "deployment_job", "deployment"))
		}
		require.Equal(t, []any{"deploy", "destroy", "smoke", "errand"}, actions)
		row, err := k.store.ExecutionByID(ctx, ids[3])
		require.NoError(t, err)
		require.NotContains(t, string(row.Definition), secret)

		for _, list := range []string{path + "executions/", "/api/v1/deployment-jobs/by-project/shop/executions/", "/api/v1/deployment-jobs/executions/"} {
			var got []map[string]any
			k.as("rita").get(list).into(&got)
			require.Len(t, got, 4)
			require.Equal(t, ids[3], got[0]["id"], list)
			require.NotContains(t, k.as("rita").get(list).ok(), secret)
			k.as("rita").get(list + "?page_size=2&page_from=" + ids[2]).into(&got)
			require.Len(t, got, 2)
		}
		require.Equal(t, "[]\n", k.as("sam").get("/api/v1/deployment-jobs/executions/").ok())

		require.Empty(t, walter.post(path+"executions/"+ids[0]+"/cancel", nil).ok())
		for _, id := range ids {
			_, err := k.store.FinishExecution(ctx, id, models.StatusFailed, "script deploy.sh exited with status 3")
			require.NoError(t, err)
		}
		again := walter.post(path+"executions/"+ids[0]+"/retry", nil).id()
		require.Equal(t, ids[0], walter.get(path + "executions/" + again + "/").object()["retry_of"])
		require.Equal(t, "script deploy.sh exited with status 3", walter.get(path + "executions/" + ids[0] + "/").object()["reason"])
		require.Contains(t, k.as("olga").delete(path).is(http.StatusConflict), "execution 5 of deployment job 'my/web' is new")
	})
}

// A deployment may be asked for another version than the job's, this once.
func TestDeployAnotherVersionOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		path := devJobs + "by-name/web/"
		before := k.as("walter").get(path).object()
		ran := func(body any) string {
			t.Helper()
			e, err := k.store.ExecutionByID(t.Context(), k.as("walter").post(path+"trigger", body).id())
			require.NoError(t, err)
			var d models.DeploymentDefinition
			require.NoError(t, e.DefinitionInto(&d))
			return d.Version
		}
		require.Equal(t, before["version"], ran(nil))
		require.Equal(t, before["version"], ran(map[string]any{}))
		require.Equal(t, before["version"], ran(map[string]any{"version": ""}))
		for _, version := range []string{"1.0", "v1.0", "0.1.@", "latest", "production"} {
			require.Equal(t, version, ran(map[string]any{"version": version}))
		}
		after := k.as("walter").get(path).object()
		require.Equal(t, before["version"], after["version"], "the job stays as it is")
		for _, bad := range []any{map[string]any{"version": "a b"}, map[string]any{"version": strings.Repeat("9", 200)}, map[string]any{"release": "other/app"}, "[]"} {
			k.as("walter").post(path+"trigger", bad).is(http.StatusBadRequest)
		}
		k.as("rita").post(path+"trigger", map[string]any{"version": "1.0"}).is(http.StatusForbidden)
	})
}
