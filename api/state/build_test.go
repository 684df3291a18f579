package state_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

const devBuilds = "/api/v1/state/shop/environments/dev/builds/"

// aBuild has every member of the document that a client may set.
func aBuild(name string) map[string]any {
	return map[string]any{"name": name, "repo": "https://example.com/shop.git", "branch": "main", "steps": []any{map[string]any{
		"plan_location": "app/escape.yml", "build_on_file_changes": []string{"app/**"}, "ignore_file_changes": []string{"*.md"}, "cache_release": true, "fat_package": true,
		"force_overwrite": true, "override_namespace": "shop-ns", "providers": map[string]string{"pg": "infra/db"}, "push_release": true, "run_build": true, "run_deploy": true,
		"run_destroy": true, "run_destroy_build": true, "run_destroy_deploy": true, "run_smoke": true, "run_tests": true, "skip_if_exists": true, "tag_git": true,
		"variables": map[string]string{"a": "$(touch /tmp/x)"}}},
		"steps_from_yml": false, "private_key": "-----BEGIN KEY-----", "webhook_secret": "signing-secret", "disabled": false}
}

func TestBuilds(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		asked := aBuild("web")
		asked["escape_auth_token"] = k.tokens["rita"]
		created := olga.post(devBuilds, asked).object()
		require.Equal(t, "new", created["status"])
		require.Equal(t, "shop", created["project"])
		require.Equal(t, "dev", created["environment"])
		require.Len(t, created["webhook_token"], 43)
		require.Equal(t, "Resource already exists", olga.post(devBuilds, aBuild("web")).is(http.StatusConflict))

		got := olga.get(devBuilds + "by-name/web/").object()
		require.Equal(t, created, got)
		want, _ := json.Marshal(aBuild("web")["steps"])
		have, _ := json.Marshal(got["steps"])
		require.JSONEq(t, string(want), string(have), "every member of a step is kept")
		for _, secret := range []string{"private_key", "escape_auth_token", "webhook_secret", "update_private_key"} {
			require.NotContains(t, got, secret)
		}
		// Readers do not see the token: it would let them trigger.
		require.NotContains(t, k.as("rita").get(devBuilds+"by-name/web/").object(), "webhook_token")
		require.NotContains(t, k.as("rita").get(devBuilds).ok(), "webhook_token")
		require.Contains(t, k.as("walter").get(devBuilds).ok(), created["webhook_token"])

		// The lists are maps: by name, by environment, by project.
		require.Equal(t, "web", at(k.as("rita").get(devBuilds).object(), "web", "name"))
		require.Equal(t, "web", at(k.as("rita").get("/api/v1/state/shop/builds/").object(), "dev", "web", "name"))
		require.Equal(t, "web", at(k.as("rita").get("/api/v1/builds/").object(), "shop", "dev", "web", "name"))
		require.Equal(t, "{}\n", k.as("sam").get("/api/v1/builds/").ok())

		// What was read can be written back; it changes neither secrets nor what is read-only.
		got["status"], got["id"], got["webhook_token"], got["project"] = "ok", "mine", "mine", "mine"
		got["branch"] = "next"
		updated := olga.put(devBuilds+"by-name/web/", got).object()
		require.Equal(t, "next", updated["branch"])
		for _, member := range []string{"status", "id", "webhook_token", "project"} {
			require.Equal(t, created[member], updated[member], member)
		}
		secrets := func() string {
			b, err := k.store.BuildByID(context.Background(), created["id"].(string))
			require.NoError(t, err)
			key, token, signing, err := k.store.SecretsOf(b)
			require.NoError(t, err)
			require.NotContains(t, string(b.SealedPrivateKey), "KEY")
			return key + "|" + token + "|" + signing
		}
		require.Equal(t, "-----BEGIN KEY-----|"+k.tokens["rita"]+"|signing-secret", secrets())
		got["private_key"] = "other"
		olga.put(devBuilds+"by-name/web/", got).ok()
		require.Equal(t, "-----BEGIN KEY-----|"+k.tokens["rita"]+"|signing-secret", secrets(), "the key needs update_private_key")
		got["update_private_key"], got["escape_auth_token"], got["webhook_secret"] = true, k.tokens["walter"], ""
		olga.put(devBuilds+"by-name/web/", got).ok()
		require.Equal(t, "other|"+k.tokens["walter"]+"|", secrets())

		k.as("walter").put(devBuilds+"by-name/web/", got).is(http.StatusForbidden)
		k.as("walter").delete(devBuilds + "by-name/web/").is(http.StatusForbidden)
		olga.delete(devBuilds + "by-name/web/").ok()
		require.Equal(t, "the environment has no build 'web'", olga.get(devBuilds+"by-name/web/").is(http.StatusNotFound))
	})
}

// A token that its build would fail with is refused when it is saved. One that was stored before does not stop other changes.
func TestTokensOfBuildsAreCheckedWhenSaved(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx, olga := context.Background(), k.as("olga")
		rita, err := k.store.UserByName(ctx, "rita")
		require.NoError(t, err)
		row := &models.Token{SubjectKind: models.SubjectUser, SubjectID: rita.ID, Name: "revoked"}
		revoked, err := k.store.CreateToken(ctx, row)
		require.NoError(t, err)
		with := func(token string) map[string]any {
			b := aBuild("web")
			b["escape_auth_token"] = token
			return b
		}
		for _, token := range []string{"nonsense", strings.Repeat("x", len(revoked)), revoked[:len(revoked)-1] + "~"} {
			require.Contains(t, olga.post(devBuilds, with(token)).is(http.StatusBadRequest), "escape_auth_token: is not valid here: it is wrong, or has ended")
		}
		olga.post(devBuilds, with(revoked)).ok()
		require.NoError(t, k.store.RevokeToken(ctx, row.ID))
		web := devBuilds + "by-name/web/"
		require.Contains(t, olga.put(web, with(revoked)).is(http.StatusBadRequest), "escape_auth_token: is not valid here")
		stored := func() string {
			b, err := k.store.BuildByID(ctx, olga.get(web).object()["id"].(string))
			require.NoError(t, err)
			_, token, _, err := k.store.SecretsOf(b)
			require.NoError(t, err)
			return token
		}
		olga.put(web, olga.get(web).object()).ok()
		require.Equal(t, revoked, stored())
		olga.put(web, with("")).ok()
		require.Empty(t, stored())
	})
}

func TestBadBuilds(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	for name, c := range map[string]struct {
		change  map[string]any
		message string
	}{
		"no name":              {map[string]any{"name": ""}, "The build name '' is not allowed"},
		"a slash in the name":  {map[string]any{"name": "a/b"}, "The build name 'a/b' is not allowed"},
		"no repo":              {map[string]any{"repo": " "}, "repo: is required"},
		"a token in the repo":  {map[string]any{"repo": "https://s3cr3t@example.com/shop.git"}, "repo: credentials do not belong in the URL"},
		"an option as repo":    {map[string]any{"repo": "--upload-pack=x"}, "repo: may not begin with a dash"},
		"an option as branch":  {map[string]any{"branch": "-x"}, "branch: may not begin with a dash"},
		"a newline in branch":  {map[string]any{"branch": "a\nb"}, "branch: may not hold control characters"},
		"an unknown member":    {map[string]any{"brnach": "x"}, "brnach: this member is not known"},
		"a wrong type":         {map[string]any{"disabled": "yes"}, "disabled: expected true or false, got string"},
		"an unknown queue":     {map[string]any{"remote_escape_worker_url": "https://worker.example.com"}, "remote_escape_worker_url: expected the name of a configured task queue: far-away"},
		"an unknown account":   {map[string]any{"service_account_name": "ghost"}, "service_account_name: the project has no service account 'ghost'"},
		"a plan outside":       {map[string]any{"steps": []any{map[string]any{"plan_location": "../../etc/passwd"}}}, "steps[0].plan_location: expected a path inside of the repository"},
		"an absolute plan":     {map[string]any{"steps": []any{map[string]any{}, map[string]any{"plan_location": "/etc/passwd"}}}, "steps[1].plan_location"},
		"a bad namespace":      {map[string]any{"steps": []any{map[string]any{"override_namespace": "NO"}}}, "steps[0].override_namespace: Invalid name 'NO'"},
		"a bad provider":       {map[string]any{"steps": []any{map[string]any{"providers": map[string]any{"pg": "1:2"}}}}, "steps[0].providers.pg"},
		"an unknown step flag": {map[string]any{"steps": []any{map[string]any{"run_everything": true}}}, "run_everything: this member is not known"},
		"too many steps":       {map[string]any{"steps": make([]struct{}, 300)}, "steps: at most 200 items"},
		"a long name":          {map[string]any{"branch": strings.Repeat("x", 501)}, "branch: at most 500 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			b := aBuild("web")
			for m, v := range c.change {
				b[m] = v
			}
			require.Contains(t, k.as("olga").post(devBuilds, b).is(http.StatusBadRequest), c.message)
		})
	}
	b := aBuild("web")
	b["remote_escape_worker_url"] = "far-away"
	k.as("olga").post(devBuilds, b).ok()
}

func TestBuildExecutions(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx := context.Background()
		k.as("olga").post(devBuilds, aBuild("web")).ok()
		web := devBuilds + "by-name/web/"
		walter := k.as("walter")
		first := walter.post(web+"trigger-build", nil).id()
		second := walter.post(web+"trigger-build", map[string]any{"branch": "$(reboot)", "commit": "abc1234"}).id()
		require.Greater(t, second, first, "ids rise with age")
		require.Equal(t, []string{first, second}, k.temporal.started)
		require.Equal(t, "pending", orPending(walter.get(web).object()["status"]))

		e := walter.get(web + "executions/" + second + "/").object()
		require.Equal(t, map[string]any{"type": "api", "subject_kind": "user", "subject_id": at(e, "trigger", "subject_id"), "subject_name": "walter"}, e["trigger"])
		require.Equal(t, []any{2.0, "new", "new"}, []any{e["number"], e["status"], e["outcome"]})
		require.Equal(t, "$(reboot)", at(e, "build", "branch"), "text is only ever data")
		require.Len(t, at(e, "build", "steps"), 1)
		for _, bad := range []string{`{"branch":"-x"}`, `{"commit":"--x"}`, `{"repo":"elsewhere"}`, `{"steps":[]}`, `[]`, `{`} {
			walter.post(web+"trigger-build", bad).is(http.StatusBadRequest)
		}

		// Cancel, and what a second one does: nothing.
		require.Empty(t, walter.post(web+"executions/"+first+"/cancel", nil).ok())
		require.Empty(t, walter.post(web+"executions/"+first+"/cancel", nil).ok())
		require.Contains(t, walter.post(web+"executions/"+first+"/retry", nil).is(http.StatusConflict), "has not ended")
		_, err := k.store.FinishExecution(ctx, first, models.StatusCancelled, "cancelled by walter")
		require.NoError(t, err)
		e = walter.get(web + "executions/" + first + "/").object()
		require.Equal(t, []any{"failed", "cancelled", "cancelled by walter"}, []any{e["status"], e["outcome"], e["reason"]})
		again := walter.post(web+"executions/"+first+"/retry", nil).id()
		e = walter.get(web + "executions/" + again + "/").object()
		require.Equal(t, first, e["retry_of"])
		require.Equal(t, 3.0, e["number"])

		// Commit information.
		commit := map[string]any{"revision": "0123456789", "branch": "main", "message": "`rm -rf /`", "author": "Eve <eve@example.com>"}
		walter.put(web+"executions/"+again+"/commit", commit).ok()
		require.Equal(t, commit, walter.get(web + "executions/" + again + "/").object()["commit"])
		walter.put(web+"executions/"+again+"/commit", map[string]any{"branch": "x"}).is(http.StatusBadRequest)
		k.as("rita").put(web+"executions/"+again+"/commit", commit).is(http.StatusForbidden)

		// Lists at three levels, newest first, by pages.
		for _, path := range []string{web + "executions/", "/api/v1/state/shop/builds/executions/", "/api/v1/builds/executions/"} {
			var list []map[string]any
			k.as("rita").get(path).into(&list)
			require.Equal(t, []any{again, second, first}, []any{list[0]["id"], list[1]["id"], list[2]["id"]}, path)
			k.as("rita").get(path + "?page_size=1&page_from=" + again).into(&list)
			require.Len(t, list, 1)
			require.Equal(t, second, list[0]["id"])
			k.as("rita").get(path + "?page_from=" + first).into(&list)
			require.Empty(t, list)
			for _, bad := range []string{"?page_size=x", "?page_size=-1", "?page_size=1001"} {
				require.Contains(t, k.as("rita").get(path+bad).is(http.StatusBadRequest), "page_size", path+bad)
			}
		}
		require.Equal(t, "[]\n", k.as("sam").get("/api/v1/builds/executions/").ok())

		// An execution is found under its own build alone (S2).
		k.as("olga").post(devBuilds, aBuild("other")).ok()
		k.as("olga").post("/api/v1/state/shop/environments/prod/builds/", aBuild("web")).ok()
		for _, path := range []string{devBuilds + "by-name/other/executions/" + first + "/", "/api/v1/state/shop/environments/prod/builds/by-name/web/executions/" + first + "/"} {
			walter.get(path).is(http.StatusNotFound)
			walter.get(path + "logs").is(http.StatusNotFound)
			for _, verb := range []string{"cancel", "retry"} {
				walter.post(path+verb, nil).is(http.StatusNotFound)
			}
		}

		// A build that runs is not deleted, nor what it is in.
		for _, path := range []string{web, "/api/v1/state/shop/environments/dev/", "/api/v1/state/shop/"} {
			require.Contains(t, k.as("olga").delete(path).is(http.StatusConflict), "execution 3 of build 'web' is new: cancel it or wait for its end first")
		}
		for _, id := range []string{second, again} {
			_, err := k.store.FinishExecution(ctx, id, models.StatusOK, "")
			require.NoError(t, err)
		}
		require.Equal(t, "ok", walter.get(web).object()["status"])
		b := walter.get(web).object()
		b["disabled"] = true
		k.as("olga").put(web, b).ok()
		require.Equal(t, "the build 'web' is disabled", walter.post(web+"trigger-build", nil).is(http.StatusConflict))
		walter.post(web+"executions/"+first+"/retry", nil).is(http.StatusConflict)
		k.as("olga").delete(web).ok()
		require.Len(t, k.temporal.started, 3)
	})
}

// orPending: the first status of an execution is new or, once queued, pending.
func orPending(status any) any {
	if status == "new" {
		return "pending"
	}
	return status
}

func TestTriggersWhileTemporalIsAway(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	k.as("olga").post(devBuilds, aBuild("web")).ok()
	k.temporal.away = true
	a := k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil)
	require.Contains(t, a.is(http.StatusServiceUnavailable), "nothing was started")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	var list []map[string]any
	k.as("rita").get(devBuilds + "by-name/web/executions/").into(&list)
	require.Equal(t, "abandoned", list[0]["outcome"])
	require.Equal(t, "failed", k.as("rita").get(devBuilds + "by-name/web/").object()["status"])
}

func TestServiceAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx := context.Background()
		olga := k.as("olga")
		path := "/api/v1/state/shop/service-accounts/"
		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		require.NoError(t, k.store.CreateTeam(ctx, &models.Team{OrganizationID: org.ID, Name: "platform"}))

		require.Equal(t, "{}\n", olga.get(path).ok())
		olga.post(path+"bob-the-builder/", map[string]any{"team": "platform"}).ok()
		olga.post(path+"reader/", map[string]any{"roles": []string{"read"}}).ok()
		olga.post(path+"plain/", nil).ok()
		require.Equal(t, map[string]any{"name": "bob-the-builder", "team": "platform", "roles": []any{"write"}}, k.as("rita").get(path).object()["bob-the-builder"])
		require.Contains(t, olga.post(path+"x/", map[string]any{"team": "nobody"}).is(http.StatusBadRequest), "there is no team 'nobody'")
		olga.post(path+"x/", map[string]any{"roles": []string{"admin"}}).is(http.StatusBadRequest)
		olga.post(path+"No/", nil).is(http.StatusBadRequest)
		k.as("walter").post(path+"x/", nil).is(http.StatusForbidden)

		build := aBuild("web")
		build["service_account_name"], build["service_account_team"] = "bob-the-builder", "platform"
		olga.post(devBuilds, build).ok()
		for _, c := range []struct{ name, team, message string }{
			{"reader", "", "may not run anything in this project"},
			{"bob-the-builder", "other", "does not belong to the team 'other'"},
			{"plain", "platform", "does not belong to the team 'platform'"},
			{"", "platform", "needs a service_account_name"},
		} {
			build["name"], build["service_account_name"], build["service_account_team"] = "x", c.name, c.team
			require.Contains(t, olga.post(devBuilds, build).is(http.StatusBadRequest), c.message)
		}
		// An account of another project is not told from one that does not exist.
		k.as("sam").post("/api/v1/state/other/add-project", map[string]any{}).ok()
		k.as("sam").post("/api/v1/state/other/service-accounts/foreign/", nil).ok()
		build["service_account_name"], build["service_account_team"] = "foreign", ""
		require.Contains(t, olga.post(devBuilds, build).is(http.StatusBadRequest), "the project has no service account 'foreign'")

		olga.delete(path + "reader/").ok()
		olga.delete(path + "reader/").is(http.StatusNotFound)
		require.Len(t, olga.get(path).object(), 2)
	})
}

func TestNamespacesAndRepositories(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		olga.post("/api/v1/state/shop/add-namespace", map[string]any{"name": "shop-ns", "description": "x", "project": "shop"}).ok()
		require.Equal(t, "Resource already exists", olga.post("/api/v1/state/shop/add-namespace", map[string]any{"name": "shop-ns"}).is(http.StatusConflict))
		for body, message := range map[string]string{`{}`: "Missing name", `{"name":"X"}`: "Invalid name 'X'", `{"name":"_"}`: "Invalid name '_'", `{"name":"ok-name","project":"other"}`: "doesn't correspond with URL"} {
			require.Contains(t, olga.post("/api/v1/state/shop/add-namespace", body).is(http.StatusBadRequest), message)
		}
		k.as("walter").post("/api/v1/state/shop/add-namespace", map[string]any{"name": "other-ns"}).is(http.StatusForbidden)
		want := map[string]any{"namespaces": map[string]any{"shop-ns": map[string]any{"project": "shop", "permission": "read"}}}
		require.Equal(t, want, k.as("rita").get("/api/v1/state/shop/namespaces/").object())
		require.Equal(t, want, k.as("rita").get("/api/v1/state/namespaces").object())
		require.Equal(t, `{"namespaces":{}}`+"\n", k.as("sam").get("/api/v1/state/namespaces").ok())

		path := "/api/v1/state/shop/repositories/"
		olga.post(path+"add-repository", map[string]any{"name": "web", "url": "https://example.com/web.git", "private_key": "KEY"}).ok()
		require.Equal(t, "Resource already exists", olga.post(path+"add-repository", map[string]any{"name": "web", "repo": "x"}).is(http.StatusConflict))
		olga.post(path+"add-repository", map[string]any{"name": "y", "repo": "-x"}).is(http.StatusBadRequest)
		require.Equal(t, map[string]any{"name": "web", "repo": "https://example.com/web.git", "branch": ""}, k.as("rita").get(path).object()["web"])
		olga.put(path+"web/", map[string]any{"repo": "https://example.com/other.git", "branch": "next"}).ok()
		require.Equal(t, map[string]any{"name": "web", "repo": "https://example.com/other.git", "branch": "next"}, k.as("rita").get(path).object()["web"])
		olga.put(path+"nope/", map[string]any{"repo": "x"}).is(http.StatusNotFound)
		olga.delete(path + "web/").ok()
		olga.delete(path + "web/").is(http.StatusNotFound)

		olga.delete("/api/v1/state/shop/").ok() // the namespace stays, with its releases
		n, err := k.store.NamespaceByName(context.Background(), "shop-ns")
		require.NoError(t, err)
		require.Nil(t, n.ProjectID)
	})
}

func TestProjectsByGroup(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	ctx := context.Background()
	org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	team := &models.Team{OrganizationID: org.ID, Name: "platform"}
	require.NoError(t, k.store.CreateTeam(ctx, team))
	p, err := k.store.ProjectByName(ctx, "shop")
	require.NoError(t, err)
	require.NoError(t, k.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectTeam, SubjectID: team.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleRead}))
	path := "/api/v1/state/__get_projects_by_group?group="
	require.Contains(t, k.as("rita").get(path+"platform").object(), "shop")
	for _, c := range []struct{ user, group string }{{"rita", "ghosts"}, {"sam", "platform"}} {
		require.Equal(t, "{}\n", k.as(c.user).get(path+c.group).ok())
	}
	k.as("rita").get("/api/v1/state/__get_projects_by_group").is(http.StatusBadRequest)
	require.Equal(t, "shop", fmt.Sprint(at(k.as("rita").get(path+"platform").object(), "shop", "name")))
}

// finish ends an execution well.
func finish(k *kit, id string) {
	k.t.Helper()
	_, err := k.store.FinishExecution(context.Background(), id, models.StatusOK, "")
	require.NoError(k.t, err)
}
