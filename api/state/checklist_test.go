package state_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// R6: the same delivery three times at once, again after its execution has ended, and in another order than it was sent:
// each delivery is one execution, with its own commit.
func TestR6RepeatedDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		path := devBuilds + "webhook/" + k.as("olga").post(devBuilds, unsigned("web")).object()["webhook_token"].(string)
		push := func(n int) *answer {
			body := fmt.Sprintf(`{"ref":"refs/heads/main","after":"%040d"}`, n)
			return hook(k, path, body, "X-GitHub-Event", "push", "X-GitHub-Delivery", fmt.Sprint("delivery-", n))
		}
		ids := make([]string, 3)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() { ids[i] = push(2).id() })
		}
		wg.Wait()
		require.Equal(t, []string{ids[0], ids[0], ids[0]}, ids)
		older := push(1).id()
		require.NotEqual(t, ids[0], older, "one that comes late is a push of its own")
		finish(k, ids[0])
		require.Equal(t, ids[0], push(2).id(), "a day later it is still the same delivery")
		require.Equal(t, "ok", k.as("rita").get(devBuilds + "by-name/web/executions/" + ids[0] + "/").object()["outcome"])
		for n, id := range map[int]string{1: older, 2: ids[0]} {
			e := k.as("rita").get(devBuilds + "by-name/web/executions/" + id + "/").object()
			require.Equal(t, fmt.Sprintf("%040d", n), at(e, "commit", "revision"))
		}
		list, err := k.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild})
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Len(t, k.temporal.started, 2)
	})
}

// S2: the id of an execution works in the paths of its own project, build, job or pipeline alone, also for somebody who
// may see both.
func TestS2IdsOfOthersInPaths(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	olga := k.as("olga")
	olga.post("/api/v1/state/other/add-project", map[string]any{"name": "other"}).ok()
	olga.post("/api/v1/state/other/environments/", map[string]any{"name": "dev"}).ok()
	swap := func(path string) string { return strings.Replace(path, "shop", "other", 1) }
	olga.post(swap(devBuilds), aBuild("web")).ok()
	olga.post("/api/v1/deployment-jobs/by-project/other/add", aJob("web")).ok()
	olga.post(swap(pipelines)+"add", map[string]any{"name": "ship", "phases": phases(step("build", "build", "web", "environment", "dev"))}).ok()
	olga.post(devBuilds, aBuild("second")).ok()
	of := map[string]string{
		devBuilds + "by-name/web/": "trigger-build", devJobs + "by-name/web/": "trigger", pipelines + "by-name/ship/": "trigger",
	}
	ids := map[string]string{}
	for thing, trigger := range of {
		ids[thing] = olga.post(thing+trigger, nil).id()
		ids[swap(thing)] = olga.post(swap(thing)+trigger, nil).id()
	}
	ids[devBuilds+"by-name/second/"] = olga.post(devBuilds+"by-name/second/trigger-build", nil).id()
	for thing := range ids {
		for owner, id := range ids {
			if owner == thing {
				olga.get(thing + "executions/" + id + "/").ok()
				continue
			}
			olga.get(thing + "executions/" + id + "/").is(http.StatusNotFound)
			olga.post(thing+"executions/"+id+"/cancel", nil).is(http.StatusNotFound)
			olga.post(thing+"executions/"+id+"/retry", nil).is(http.StatusNotFound)
		}
	}
	for _, id := range ids {
		e, err := k.store.ExecutionByID(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, e.CancelRequestedAt)
	}
	// In bodies: a trigger's id of another pipeline, and things of a project that the pipeline may not use.
	foreign := olga.get(pipelines + "by-name/ship/").object()["triggers"]
	olga.put(swap(pipelines)+"by-name/ship/", map[string]any{"phases": []any{}, "triggers": foreign}).is(http.StatusBadRequest)
	k.as("sam").post("/api/v1/state/sams/add-project", map[string]any{}).ok()
	k.as("sam").post("/api/v1/pipelines/by-project/sams/add", map[string]any{"name": "steal", "phases": phases(step("build", "project", "shop", "build", "web", "environment", "dev"))}).is(http.StatusBadRequest)
}

// S2: what the own surface hides and what does not exist get one answer.
func TestS2OwnRowsHideWhatIsThere(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, _, _ := running(k, "hidden")
	there := map[string]string{"project": "shop", "environment": "dev", "build": "web", "deployment": "web", "pipeline": "ship", "execution_id": id}
	gone := map[string]string{"project": "ghost", "environment": "dev", "build": "web", "deployment": "web", "pipeline": "ship", "execution_id": models.NewID()}
	n := 0
	for _, g := range k.groups[1:] {
		for _, row := range g.Rows {
			if row.Permission.On == nil || !strings.Contains(row.Path, "{project}") && !strings.Contains(row.Path, "{execution_id}") {
				continue
			}
			n++
			hidden, missing := k.as("sam").do(row.Method, fill(row.Path, there), nil), k.as("sam").do(row.Method, fill(row.Path, gone), nil)
			require.Equal(t, http.StatusNotFound, hidden.status, row.Operation)
			require.Equal(t, missing.status, hidden.status, row.Operation)
			one, other := hidden.jsonError(http.StatusNotFound), missing.jsonError(http.StatusNotFound)
			require.Equal(t, []any{other["kind"], other["message"], other["fields"]}, []any{one["kind"], one["message"], one["fields"]}, row.Operation)
		}
	}
	require.Greater(t, n, 10)
}

// S3: members that only answers have change nothing, however they are sent.
func TestS3ReadOnlyMembersAreIgnored(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	olga := k.as("olga")
	forged := map[string]any{"id": models.NewID(), "project": "other", "status": "ok", "permission": "admin"}
	for path, more := range map[string]map[string]any{
		devBuilds + "by-name/web/":             {"environment": "prod", "webhook_token": "mine"},
		devJobs + "by-name/web/":               {"environment": "dev"},
		pipelines + "by-name/ship/":            {},
		"/api/v1/state/shop/":                  {"environments": map[string]any{"moon": map[string]any{}}},
		"/api/v1/state/shop/environments/dev/": {},
	} {
		before := olga.get(path).object()
		body := map[string]any{}
		for name, value := range before {
			body[name] = value
		}
		for _, set := range []map[string]any{forged, more} {
			for name, value := range set {
				if _, known := before[name]; known {
					body[name] = value
				}
			}
		}
		if a := olga.put(path, body); a.status != http.StatusOK {
			require.Equal(t, http.StatusBadRequest, a.status, "%s: refused is as good as ignored: %s", path, a.body)
		}
		after := olga.get(path).object()
		for _, name := range []string{"id", "project", "environment", "status", "permission", "webhook_token", "environments"} {
			require.Equal(t, before[name], after[name], "%s %s", path, name)
		}
	}
	// Nobody makes himself an owner, or acts as somebody else, by what he writes.
	for _, members := range []map[string]any{{"trigger": map[string]any{"subject_name": "admin"}}, {"created_by": "admin"}, {"org_id": "x"}, {"role": "owner"}} {
		olga.put(devBuilds+"by-name/web/", members).is(http.StatusBadRequest)
		olga.put(limitsOf+"pipelines/ship/limits", members).is(http.StatusBadRequest)
	}
	id := k.as("walter").post(devBuilds+"by-name/web/trigger-build", `{"trigger":{"subject_name":"admin"}}`)
	if id.status == http.StatusOK {
		e := k.as("rita").get(devBuilds + "by-name/web/executions/" + id.id() + "/").object()
		require.Equal(t, "walter", at(e, "trigger", "subject_name"))
	}
}

// S4: a cursor is a place and no key: whatever it is, a page holds nothing of others.
func TestS4CursorsOpenNothing(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	k.as("sam").post("/api/v1/state/sams/add-project", map[string]any{}).ok()
	own := k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil).id()
	k.as("walter").post(pipelines+"by-name/ship/trigger", nil).id()
	for _, from := range []string{own, "ffffffff-ffff-ffff-ffff-ffffffffffff", "zzzz", "'%20OR%20'1'='1", "%25", "-1"} {
		for _, path := range []string{"/api/v1/builds/executions/", "/api/v1/pipelines/executions/", "/api/v1/deployment-jobs/executions/", "/api/v1/slipway/executions/", "/api/v1/slipway/audit/"} {
			a := k.as("sam").get(path + "?page_size=1000&page_from=" + from)
			if a.status == http.StatusBadRequest {
				continue // a cursor that none can be
			}
			a.ok()
			for _, secret := range []string{own, "web", "ship", "walter"} {
				require.NotContains(t, string(a.body), secret, "%s from %s", path, from)
			}
		}
	}
	for _, size := range []string{"-1", "1001", "x", "1e3"} {
		k.as("rita").get(devBuilds + "by-name/web/executions/?page_size=" + size).is(http.StatusBadRequest)
	}
}

// S16: whatever a script prints is given as JSON that no browser takes for a page.
func TestS16LogsAreOnlyText(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	_, path, token := running(k, "web")
	run := &caller{k: k, token: token, head: http.Header{}}
	nasty := []string{"\x1b[31mred\x1b[0m", "\x1b]8;;https://evil.example.com\x1b\\click\x1b]8;;\x1b\\", "<script>alert(1)</script>", "\x07\b\r", "=cmd|' /C calc'!A0", "\u202egnp.exe", "</textarea>&lt;"}
	for _, text := range nasty {
		item := line(0)
		item["message"] = text
		run.post(path+"logs", item).ok()
	}
	a := k.as("rita").get(path + "logs")
	var got []map[string]any
	a.into(&got)
	require.Len(t, got, len(nasty))
	for i, text := range nasty {
		require.Equal(t, text, got[i]["message"], "nothing is lost")
	}
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	require.True(t, strings.HasPrefix(a.header.Get("Content-Type"), "application/json"), a.header.Get("Content-Type"))
	for _, raw := range []string{"\x1b", "\x07", "\b", "<script>"} {
		require.NotContains(t, string(a.body), raw, "control characters and tags are escaped")
	}
}

// S22: what comes from a fork, a pull or merge request, builds nothing: only pushes to the configured branch do, with the
// definition that stands in Slipway.
func TestS22ForksBuildNothing(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	path := devBuilds + "webhook/" + k.as("olga").post(devBuilds, unsigned("web")).object()["webhook_token"].(string)
	head := `"head":{"ref":"main","sha":"` + commitOfPush + `","repo":{"fork":true,"clone_url":"https://evil.example.com/fork.git"}}`
	for name, c := range map[string]struct {
		body    string
		headers []string
	}{
		"GitHub":                         {`{"action":"opened","ref":"refs/heads/main","after":"` + commitOfPush + `","pull_request":{` + head + `}}`, []string{"X-GitHub-Event", "pull_request"}},
		"target":                         {`{"action":"opened","ref":"refs/heads/main","pull_request":{` + head + `}}`, []string{"X-GitHub-Event", "pull_request_target"}},
		"GitLab":                         {`{"object_kind":"merge_request","ref":"refs/heads/main","after":"` + commitOfPush + `"}`, []string{"X-Gitlab-Event", "Merge Request Hook"}},
		"Gitea":                          {`{"action":"opened","ref":"refs/heads/main","pull_request":{` + head + `}}`, []string{"X-Gitea-Event", "pull_request", "X-GitHub-Event", "pull_request"}},
		"Bitbucket":                      {`{"pullrequest":{"source":{"branch":{"name":"main"}}}}`, []string{"X-Event-Key", "pullrequest:created"}},
		"the comment of a fork's author": {`{"comment":{"body":"/build"},"ref":"refs/heads/main"}`, []string{"X-GitHub-Event", "issue_comment"}},
	} {
		require.Equal(t, "the event is not a push", hook(k, path, c.body, c.headers...).object()["ignored"], name)
	}
	require.Empty(t, k.temporal.started)
	// A push says which commit, never from where: the repository is the one that its owner configured.
	id := hook(k, path, `{"ref":"refs/heads/main","after":"`+commitOfPush+`","repository":{"clone_url":"https://evil.example.com/fork.git"},"pusher":{"name":"olga"},"head_commit":{"author":{"name":"olga"}}}`,
		"X-GitHub-Event", "push").id()
	e, err := k.store.ExecutionByID(t.Context(), id)
	require.NoError(t, err)
	var d models.BuildDefinition
	require.NoError(t, e.DefinitionInto(&d))
	require.Equal(t, "https://example.com/shop.git", d.Repo)
	require.NotContains(t, fmt.Sprint(e.Trigger), "olga", "who is named in a payload has done nothing")
}
