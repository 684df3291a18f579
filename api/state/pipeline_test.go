package state_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

const pipelines = "/api/v1/pipelines/by-project/shop/"

// withThings adds a build and a job to the shop, for pipelines to name.
func withThings(k *kit) {
	k.t.Helper()
	k.shop()
	k.as("olga").post(devBuilds, aBuild("web")).ok()
	k.as("olga").post("/api/v1/deployment-jobs/by-project/shop/add", aJob("web")).ok()
	job := aJob("web")
	job["environment"] = "prod"
	k.as("olga").post("/api/v1/deployment-jobs/by-project/shop/add", job).ok()
}

func phases(steps ...map[string]any) []any {
	var out []any
	for i, s := range steps {
		out = append(out, map[string]any{"name": fmt.Sprint("phase ", i), "steps": []any{s}})
	}
	return out
}

func step(kind string, members ...any) map[string]any {
	m := map[string]any{"type": kind}
	for i := 0; i+1 < len(members); i += 2 {
		m[members[i].(string)] = members[i+1]
	}
	return m
}

func aPipeline(name string) map[string]any {
	return map[string]any{"name": name, "phases": []any{
		map[string]any{"name": "build", "steps": []any{step("build", "build", "web", "environment", "dev")}},
		map[string]any{"name": "try", "steps": []any{step("deploy", "deployment", "web", "environment", "dev", "update_version", "last-version-in-pipeline"),
			step("run-smoke", "deployment", "web", "environment", "dev", "ignore_failure", true)}},
		map[string]any{"name": "ask", "steps": []any{step("confirmation", "name", "go to production?")}},
		map[string]any{"name": "deploy", "steps": []any{step("deploy", "deployment", "web", "environment", "prod")}},
	}, "triggers": []any{map[string]any{"type": "webhook"}}}
}

func TestPipelines(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		olga := k.as("olga")
		created := olga.post(pipelines+"add", aPipeline("ship")).object()
		require.Equal(t, []any{"ship", "shop", "new", "owner", false}, []any{created["name"], created["project"], created["status"], created["permission"], created["disabled"]})
		require.Equal(t, "Resource already exists", olga.post(pipelines+"add", aPipeline("ship")).is(http.StatusConflict))
		path := pipelines + "by-name/ship/"
		require.Equal(t, created, olga.get(path).object())
		trigger := created["triggers"].([]any)[0].(map[string]any)
		require.Equal(t, "webhook", trigger["type"])
		require.Len(t, trigger["webhooktoken"], 43)
		rita := k.as("rita").get(path).object()
		require.Equal(t, "read", rita["permission"])
		require.NotContains(t, rita["triggers"].([]any)[0], "webhooktoken", "whoever has the token can trigger")

		require.Equal(t, "ship", at(k.as("rita").get(pipelines).object(), "ship", "name"))
		require.Equal(t, "ship", at(k.as("rita").get("/api/v1/pipelines/").object(), "shop", "ship", "name"))
		require.Equal(t, "{}\n", k.as("sam").get("/api/v1/pipelines/").ok())

		// What was read can be written back, and a trigger keeps its token.
		created["disabled"] = true
		created["triggers"] = append(created["triggers"].([]any), map[string]any{"type": "webhook", "webhook_secret": "s"})
		updated := olga.put(path, created).object()
		require.Equal(t, trigger, updated["triggers"].([]any)[0])
		require.Len(t, updated["triggers"], 2)
		require.Equal(t, created["phases"], updated["phases"])
		require.Equal(t, "the pipeline 'ship' is disabled", k.as("walter").post(path+"trigger", nil).is(http.StatusConflict))
		created["triggers"] = []any{map[string]any{"type": "webhook", "id": "00000000-0000-7000-8000-000000000000"}}
		require.Contains(t, olga.put(path, created).is(http.StatusBadRequest), "the pipeline has no trigger of that id")
		require.Len(t, olga.get(path).object()["triggers"], 2, "a refused PUT changes nothing")

		k.as("walter").put(path, created).is(http.StatusForbidden)
		olga.delete(path).ok()
		olga.get(path).is(http.StatusNotFound)
		olga.post(pipelines+"add", map[string]any{"name": "empty"}).ok()
		require.Contains(t, olga.post(pipelines+"by-name/empty/trigger", nil).is(http.StatusConflict), "has no phases yet")
	})
}

func TestBadPipelines(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	k.as("sam").post("/api/v1/state/secret-project/add-project", map[string]any{}).ok()
	for name, c := range map[string]struct {
		step    map[string]any
		message string
	}{
		"no type":               {step(""), "phases[0].steps[0].type: is required"},
		"an unknown type":       {step("explode"), "phases[0].steps[0].type: expected one of build"},
		"a build, unknown":      {step("build", "name", "make it", "build", "nope", "environment", "dev"), "phases[0].steps[0].build: step 'make it': there is no build 'nope' in the environment 'dev'"},
		"a build, no name":      {step("build", "environment", "dev"), "phases[0].steps[0].build: is required"},
		"no environment":        {step("build", "build", "web"), "phases[0].steps[0].environment: is required"},
		"unknown environment":   {step("deploy", "deployment", "web", "environment", "moon"), "phases[0].steps[0].environment: there is no environment 'moon'"},
		"unknown deployment":    {step("run-smoke", "deployment", "nope", "environment", "dev"), "phases[0].steps[0].deployment: there is no deployment job 'nope' in the environment 'dev'"},
		"an errand, no name":    {step("run-errand", "deployment", "web", "environment", "dev"), "phases[0].steps[0].errand_name: is required"},
		"an unknown user":       {step("confirmation", "user", "nobody"), "phases[0].steps[0].user: there is no user 'nobody'"},
		"an unknown team":       {step("confirmation", "team", "nobody"), "phases[0].steps[0].team: there is no team 'nobody'"},
		"an unknown pipeline":   {step("pipeline-trigger", "pipeline", "nope"), "phases[0].steps[0].pipeline: there is no pipeline 'nope'"},
		"itself":                {step("pipeline-trigger", "pipeline", "ship"), "a pipeline cannot trigger itself"},
		"no URL":                {step("webhook-trigger"), "phases[0].steps[0].webhook_url: expected an http or https URL"},
		"a file URL":            {step("webhook-trigger", "webhook_url", "file:///etc/passwd"), "phases[0].steps[0].webhook_url"},
		"a tag like a version":  {step("tag-release", "namespace", "ns", "application", "app", "tag", "v1"), "phases[0].steps[0].tag: expected a tag"},
		"a tag, no application": {step("tag-release", "namespace", "ns", "tag", "x"), "phases[0].steps[0].application: Invalid name ''"},
		"no tagged tag":         {step("tag-release", "namespace", "ns", "application", "app", "tag", "x", "tag_version", "tagged-version"), "tag_tagged_version: is required"},
		"a bad update":          {step("deploy", "deployment", "web", "environment", "dev", "update_version", "newest"), "phases[0].steps[0].update_version: expected one of dont-update"},
		"from what job":         {step("deploy", "deployment", "web", "environment", "dev", "update_version", "version-from-deployment-job"), "update_version_deployment: is required"},
		"from an unknown job":   {step("deploy", "deployment", "web", "environment", "dev", "update_version", "version-from-deployment-job", "update_version_deployment", "x", "update_version_environment", "prod"), "there is no deployment job 'x' in the environment 'prod'"},
		"an unknown project":    {step("build", "project", "ghost", "build", "x", "environment", "dev"), "phases[0].steps[0].project: there is no project 'ghost' that the pipeline may use"},
		"a foreign project":     {step("build", "project", "secret-project", "build", "x", "environment", "dev"), "phases[0].steps[0].project: there is no project 'secret-project' that the pipeline may use"},
		"an unknown member":     {step("build", "build", "web", "environment", "dev", "timeout", 1), "timeout: this member is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			a := k.as("olga").post(pipelines+"add", map[string]any{"name": "ship", "phases": phases(c.step)})
			require.Contains(t, a.is(http.StatusBadRequest), c.message)
		})
	}
	k.as("olga").post(pipelines+"add", map[string]any{"name": "ship", "phases": []any{map[string]any{"steps": []any{}}}}).is(http.StatusBadRequest)
	k.as("olga").post(pipelines+"add", map[string]any{"name": "a/b"}).is(http.StatusBadRequest)
	require.Contains(t, k.as("olga").post(pipelines+"add", map[string]any{"name": "ship", "service_account_name": "ghost", "phases": []any{}}).is(http.StatusBadRequest), "service_account_name")

	// Every type as it should be.
	good := phases(step("build", "build", "web", "environment", "dev", "trigger_pipeline_on_build", true),
		step("deploy", "deployment", "web", "environment", "prod", "update_version", "version-from-deployment-job", "update_version_deployment", "web", "update_version_environment", "dev"),
		step("run-smoke", "deployment", "web", "environment", "dev"), step("run-destroy", "deployment", "web", "environment", "dev"),
		step("run-errand", "deployment", "web", "environment", "dev", "errand_name", "backup", "errand_inputs", map[string]any{"a": 1}),
		step("webhook-trigger", "webhook_url", "https://example.com/hook"), step("confirmation", "user", "walter"),
		step("tag-release", "namespace", "ns", "application", "app", "tag", "production", "tag_version", "highest-version-in-pipeline"))
	k.as("olga").post(pipelines+"add", map[string]any{"name": "all", "phases": good}).ok()
	k.as("olga").post(pipelines+"add", map[string]any{"name": "outer", "phases": phases(step("pipeline-trigger", "pipeline", "all", "wait_for_pipeline", true))}).ok()
}

func TestPipelinesMakeNoRing(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	olga := k.as("olga")
	for _, name := range []string{"a", "b", "c"} {
		olga.post(pipelines+"add", map[string]any{"name": "p" + name}).ok()
	}
	olga.put(pipelines+"by-name/pa/", map[string]any{"phases": phases(step("pipeline-trigger", "pipeline", "pb"))}).ok()
	olga.put(pipelines+"by-name/pb/", map[string]any{"phases": phases(step("pipeline-trigger", "pipeline", "pc"))}).ok()
	a := olga.put(pipelines+"by-name/pc/", map[string]any{"phases": phases(step("pipeline-trigger", "pipeline", "pa"))})
	require.Contains(t, a.is(http.StatusBadRequest), "the pipelines would trigger each other in a ring: pc -> pa -> pb -> pc")
}

// waiting gives an execution of pipeline ship that waits for its confirmation, and the code of that.
func waiting(k *kit, user, team string) (id, code string) {
	k.t.Helper()
	return waitingFor(k, models.Confirmation{User: user, Team: team})
}

// waitingFor is waiting with a confirmation of any rules.
func waitingFor(k *kit, c models.Confirmation) (id, code string) {
	k.t.Helper()
	ctx := context.Background()
	id = k.as("walter").post(pipelines+"by-name/ship/trigger", nil).id()
	_, err := k.store.ClaimExecution(ctx, id, "run", nil)
	require.NoError(k.t, err)
	code = "code-" + id
	sealed, err := k.sealer.Encrypt([]byte(code), "confirmation:"+id)
	require.NoError(k.t, err)
	c.ExecutionID, c.Phase, c.Step, c.CodeHash, c.CodeSealed = id, 2, 0, models.HashCode(code), sealed
	_, err = k.store.OpenConfirmation(ctx, c)
	require.NoError(k.t, err)
	require.NoError(k.t, k.store.PutSteps(ctx, models.ExecutionStep{ExecutionID: id, Phase: 2, Step: 0, Name: "go", Type: "confirmation", Status: models.StatusWaiting}))
	return id, code
}

func TestPipelineExecutions(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		ctx := context.Background()
		k.as("olga").post(pipelines+"add", aPipeline("ship")).ok()
		id, code := waiting(k, "", "")
		// The first phase has run: a child made a release.
		row, err := k.store.ExecutionByID(ctx, id)
		require.NoError(t, err)
		child, _, err := k.store.CreateExecution(ctx, models.NewExecution{Kind: models.KindBuild, ProjectID: row.ProjectID, SubjectID: models.NewID(), SubjectName: "web",
			ParentID: id, RootID: id, Trigger: models.Trigger{Type: "pipeline"}, Definition: models.BuildDefinition{Name: "web"}})
		require.NoError(t, err)
		require.NoError(t, k.store.SetResult(ctx, child.ID, models.Result{Releases: []models.ReleaseResult{{Release: "shop-ns/web-v0.1.7", Pushed: true}}}))
		_, err = k.store.FinishExecution(ctx, child.ID, models.StatusOK, "")
		require.NoError(t, err)
		require.NoError(t, k.store.PutSteps(ctx, models.ExecutionStep{ExecutionID: id, Phase: 0, Step: 0, Status: models.StatusOK, ChildID: child.ID},
			models.ExecutionStep{ExecutionID: id, Phase: 1, Step: 0, Status: models.StatusSkipped},
			models.ExecutionStep{ExecutionID: id, Phase: 1, Step: 1, Status: models.StatusFailed, Reason: "smoke.sh exited with status 1"}))

		e := k.as("walter").get(pipelines + "by-name/ship/executions/" + id + "/").object()
		require.Equal(t, []any{1.0, 1.0, "running"}, []any{e["run_nr"], e["number"], e["status"]})
		var phaseStatus, stepStatus []any
		for _, ph := range at(e, "pipeline", "phases").([]any) {
			phaseStatus = append(phaseStatus, at(ph, "status"))
			for _, st := range at(ph, "steps").([]any) {
				stepStatus = append(stepStatus, fmt.Sprint(at(st, "status"), "/", at(st, "outcome")))
			}
		}
		require.Equal(t, []any{"ok", "ok", "running", "new"}, phaseStatus, "a failure that is ignored does not fail its phase")
		require.Equal(t, []any{"ok/ok", "ok/skipped", "failed/failed", "running/waiting", "queued/queued"}, stepStatus)
		stepAt := func(e map[string]any, phase, step int) any {
			return at(at(e, "pipeline", "phases").([]any)[phase], "steps").([]any)[step]
		}
		require.Equal(t, child.ID, at(stepAt(e, 0, 0), "execution_id"))
		require.Equal(t, "smoke.sh exited with status 1", at(stepAt(e, 1, 1), "reason"))
		require.Equal(t, "https://slipway.example.com/api/v1/pipelines/by-project/shop/by-name/ship/executions/"+id+"/confirmation/"+code+"/approve", at(stepAt(e, 2, 0), "confirmation_url"))
		require.NotContains(t, k.as("rita").get(pipelines+"by-name/ship/executions/"+id+"/").ok(), code, "only those who may decide see the link")

		// The own surface knows executions of any kind, with their children.
		own := k.as("rita").get("/api/v1/slipway/executions/" + id + "/").object()
		require.Equal(t, []any{"pipeline", "ship", "shop"}, []any{own["kind"], own["subject"], own["project"]})
		require.Equal(t, child.ID, at(own["children"].([]any)[0], "id"))
		require.Equal(t, "not_found", at(k.as("sam").get("/api/v1/slipway/executions/"+id+"/").jsonError(http.StatusNotFound), "kind"))

		for _, list := range []string{pipelines + "by-name/ship/executions/", pipelines + "executions/", "/api/v1/pipelines/executions/"} {
			var got []map[string]any
			k.as("rita").get(list).into(&got)
			require.Len(t, got, 1, list)
			require.Equal(t, "ship", at(got[0], "pipeline", "name"))
		}

		require.Empty(t, k.as("walter").post(pipelines+"by-name/ship/executions/"+id+"/cancel", nil).ok())
		_, err = k.store.FinishExecution(ctx, id, models.StatusCancelled, "")
		require.NoError(t, err)
		retry := pipelines + "by-name/ship/executions/" + id + "/retry"
		again := k.as("walter").post(retry, nil).id()
		e = k.as("walter").get(pipelines + "by-name/ship/executions/" + again + "/").object()
		require.Equal(t, id, e["retry_of"])
		require.Equal(t, []any{true, "ok"}, []any{at(stepAt(e, 0, 0), "kept"), at(stepAt(e, 0, 0), "status")}, "what succeeded is kept")
		all := k.as("walter").post(retry+"?from=start", nil).id()
		e = k.as("walter").get(pipelines + "by-name/ship/executions/" + all + "/").object()
		require.Nil(t, at(stepAt(e, 0, 0), "kept"))
		require.Contains(t, k.as("walter").post(retry+"?from=nowhere", nil).is(http.StatusBadRequest), "there is no step")
		k.as("walter").post(retry+"?from="+strings.ReplaceAll("go to production?", " ", "%20"), nil).id()
		require.Contains(t, k.as("olga").delete(pipelines+"by-name/ship/").is(http.StatusConflict), "of pipeline 'ship'")
		k.as("rita").post(retry, nil).is(http.StatusForbidden)
	})
}

func TestAPipelineOf50PhasesWith50Steps(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	var all []any
	for range 50 {
		var steps []any
		for range 50 {
			steps = append(steps, step("run-smoke", "deployment", "web", "environment", "dev"))
		}
		all = append(all, map[string]any{"steps": steps})
	}
	k.as("olga").post(pipelines+"add", map[string]any{"name": "ship", "phases": all}).ok()
	id := k.as("walter").post(pipelines+"by-name/ship/trigger", nil).id()
	e := k.as("rita").get(pipelines + "by-name/ship/executions/" + id + "/").object()
	require.Len(t, at(e, "pipeline", "phases"), 50)
	list := k.as("rita").get(pipelines + "by-name/ship/executions/").ok()
	require.Less(t, len(list), 2000, "a list leaves the phases out")
}

// jsonError requires the own surface's shape of errors.
func (a *answer) jsonError(status int) map[string]any {
	a.t.Helper()
	a.is(status)
	m, _ := at(a.mustObject(), "error").(map[string]any)
	require.NotEmpty(a.t, m["request_id"], "%s: %s", a.what, a.body)
	return m
}
