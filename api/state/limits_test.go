package state_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

const limitsOf = "/api/v1/slipway/projects/shop/"

func TestLimitsOverTheAPI(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		olga := k.as("olga")
		olga.post(pipelines+"add", aPipeline("ship")).ok()
		for _, path := range []string{limitsOf + "pipelines/ship/limits", limitsOf + "environments/dev/builds/web/limits", limitsOf + "environments/dev/deployment-jobs/web/limits"} {
			require.Equal(t, map[string]any{"max_parallel": 0.0}, k.as("rita").get(path).object(), "there are none")
			want := map[string]any{"max_parallel": 2.0, "when_busy": "queue", "time_limit": "1h30m"}
			require.Equal(t, want, olga.put(path, map[string]any{"max_parallel": 2, "time_limit": "90m"}).object())
			require.Equal(t, want, k.as("rita").get(path).object())
			require.Equal(t, map[string]any{"max_parallel": 0.0, "time_limit": "5s"}, olga.put(path, map[string]any{"time_limit": "5s"}).object(), "a PUT sets all of them")
			k.as("walter").put(path, want).is(http.StatusForbidden)
			k.as("sam").get(path).is(http.StatusNotFound)
			for _, bad := range []map[string]any{{"max_parallel": -1}, {"max_parallel": 1001}, {"max_parallel": "two"}, {"max_parallel": 1, "when_busy": "panic"}, {"when_busy": "skip"},
				{"time_limit": "soon"}, {"time_limit": "10"}, {"time_limit": "721h"}, {"time_limit": "0s"}, {"time_limit": 60}, {"limit": 1}} {
				require.NotEmpty(t, olga.put(path, bad).jsonError(http.StatusBadRequest)["fields"], "%v", bad)
			}
			require.Equal(t, "5s", olga.get(path).object()["time_limit"], "a refused PUT changes nothing")
		}
		for _, path := range []string{"pipelines/nope", "environments/dev/builds/nope", "environments/moon/builds/web", "environments/dev/deployment-jobs/nope", "environments/moon/deployment-jobs/web"} {
			k.as("rita").get(limitsOf + path + "/limits").jsonError(http.StatusNotFound)
			olga.put(limitsOf+path+"/limits", map[string]any{}).jsonError(http.StatusNotFound)
		}
	})
}

// The limits are no part of the documented bodies: a PUT of the thing by a client that knows none keeps them.
func TestLimitsOutliveAnUpdate(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	olga := k.as("olga")
	olga.post(pipelines+"add", aPipeline("ship")).ok()
	job := devJobs + "by-name/web/"
	for path, thing := range map[string]string{limitsOf + "pipelines/ship/limits": pipelines + "by-name/ship/", limitsOf + "environments/dev/builds/web/limits": devBuilds + "by-name/web/",
		limitsOf + "environments/dev/deployment-jobs/web/limits": job} {
		olga.put(path, map[string]any{"max_parallel": 3, "when_busy": "cancel_older"}).ok()
		body := olga.get(thing).object()
		olga.put(thing, body).ok()
		require.Equal(t, map[string]any{"max_parallel": 3.0, "when_busy": "cancel_older"}, olga.get(path).object())
	}
}

// What a limit does to executions that are triggered over the API: the second waits, is skipped, or cancels the first.
func TestLimitedTriggers(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		olga, walter := k.as("olga"), k.as("walter")
		olga.post(pipelines+"add", aPipeline("ship")).ok()
		path, pipeline := limitsOf+"pipelines/ship/limits", pipelines+"by-name/ship/"
		trigger := func() string { return walter.post(pipeline+"trigger", nil).id() }
		get := func(id string) map[string]any { return walter.get(pipeline + "executions/" + id + "/").object() }

		olga.put(path, map[string]any{"max_parallel": 1, "when_busy": "skip"}).ok()
		first := trigger()
		skipped := get(trigger())
		require.Equal(t, []any{"ok", "skipped", "skipped: #1 runs, and at most 1 may side by side"}, []any{skipped["status"], skipped["outcome"], skipped["reason"]})
		require.NotContains(t, k.temporal.started, skipped["id"], "it was never started")
		for _, ph := range at(skipped, "pipeline", "phases").([]any) {
			for _, st := range at(ph, "steps").([]any) {
				require.Equal(t, "skipped", at(st, "outcome"))
			}
		}

		olga.put(path, map[string]any{"max_parallel": 1, "when_busy": "cancel_older"}).ok()
		third := trigger()
		require.Contains(t, k.temporal.cancelled, first)
		row, err := k.store.ExecutionByID(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, "pipeline 'ship' #3, which is newer", row.CancelRequestedBy)
		var lines []map[string]any
		olga.get("/api/v1/slipway/projects/shop/audit/?action=pipeline:cancel").into(&lines)
		require.Len(t, lines, 1)
		require.Equal(t, []any{"walter", first, third}, []any{lines[0]["actor_name"], at(lines[0], "detail", "execution"), at(lines[0], "detail", "superseded_by")})

		olga.put(path, map[string]any{"max_parallel": 1}).ok()
		fourth := trigger()
		_, err = k.store.ClaimExecution(t.Context(), fourth, "run", nil)
		require.NoError(t, err)
		require.Equal(t, []any{"pending", "queued"}, []any{get(fourth)["status"], get(fourth)["outcome"]})
		k.temporal.signalled = nil
		olga.put(path, map[string]any{"max_parallel": 10}).ok()
		require.ElementsMatch(t, []string{third, fourth}, k.temporal.signalled, "a higher limit lets them go on")

		// Retries are bound by the limits of today, whatever held when the first one ran.
		olga.put(path, map[string]any{"max_parallel": 1, "when_busy": "skip"}).ok()
		finish(k, first)
		again := get(walter.post(pipeline+"executions/"+first+"/retry", nil).id())
		require.Equal(t, "skipped", again["outcome"])

		// An abandoned trigger leaves no place taken.
		for _, id := range []string{third, fourth} {
			finish(k, id)
		}
		k.temporal.away = true
		walter.post(pipeline+"trigger", nil).is(http.StatusServiceUnavailable)
		k.temporal.away = false
		require.Equal(t, "new", get(trigger())["outcome"])
	})
}

func TestTimeLimitsAndCleanUpOfPipelines(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	olga := k.as("olga")
	build := func(members ...any) map[string]any {
		return step("build", append([]any{"build", "web", "environment", "dev"}, members...)...)
	}
	good := map[string]any{"name": "ship", "phases": []any{
		map[string]any{"name": "work", "steps": []any{build("time_limit", "10m"), step("confirmation")}},
		map[string]any{"name": "clean", "run_always": true, "steps": []any{build()}},
	}}
	made := olga.post(pipelines+"add", good).object()
	ph := made["phases"].([]any)
	require.Equal(t, "10m", at(ph[0].(map[string]any)["steps"].([]any)[0], "time_limit"))
	require.NotContains(t, ph[0], "run_always", "what is not set is not shown: the document does not know it")
	require.Equal(t, true, at(ph[1], "run_always"))
	require.NotContains(t, ph[1].(map[string]any)["steps"].([]any)[0], "time_limit")
	require.Equal(t, ph, olga.put(pipelines+"by-name/ship/", made).object()["phases"], "what was read can be written back")
	id := olga.post(pipelines+"by-name/ship/trigger", nil).id()
	e := olga.get(pipelines + "by-name/ship/executions/" + id + "/").object()
	require.Equal(t, true, at(at(e, "pipeline", "phases").([]any)[1], "run_always"))
	olga.post(pipelines+"add", map[string]any{"name": "inner", "phases": phases(build())}).ok()
	for name, c := range map[string]struct {
		phase   map[string]any
		message string
	}{
		"no duration":               {map[string]any{"steps": []any{build("time_limit", "soon", "name", "b")}}, "phases[0].steps[0].time_limit: step 'b': expected a time from 1s to 720h"},
		"too long":                  {map[string]any{"steps": []any{build("time_limit", "1000h")}}, "expected a time from 1s to 720h"},
		"a step without execution":  {map[string]any{"steps": []any{step("webhook-trigger", "webhook_url", "https://example.com", "time_limit", "1m")}}, "time_limit: steps of type webhook-trigger take none"},
		"a step that does not wait": {map[string]any{"steps": []any{step("pipeline-trigger", "pipeline", "inner", "time_limit", "1m")}}, "time_limit: only a step with wait_for_pipeline"},
		"a person in the clean-up":  {map[string]any{"run_always": true, "steps": []any{step("confirmation")}}, "phases[0].steps[0].type: a phase with run_always cleans up"},
	} {
		t.Run(name, func(t *testing.T) {
			a := olga.post(pipelines+"add", map[string]any{"name": "bad", "phases": []any{c.phase}})
			require.Contains(t, a.is(http.StatusBadRequest), c.message)
		})
	}
	olga.post(pipelines+"add", map[string]any{"name": "waits", "phases": phases(step("pipeline-trigger", "pipeline", "inner", "wait_for_pipeline", true, "time_limit", "1m"))}).ok()
}

// A retry keeps what succeeded, but cleans up again.
func TestRetriesCleanUpAgain(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	build := step("build", "build", "web", "environment", "dev")
	k.as("olga").post(pipelines+"add", map[string]any{"name": "ship", "phases": []any{
		map[string]any{"name": "first", "steps": []any{build}}, map[string]any{"name": "second", "steps": []any{build}},
		map[string]any{"name": "clean", "run_always": true, "steps": []any{build}}}}).ok()
	path := pipelines + "by-name/ship/"
	id := k.as("walter").post(path+"trigger", nil).id()
	for phase, status := range []models.Status{models.StatusOK, models.StatusFailed, models.StatusOK} {
		require.NoError(t, k.store.PutSteps(t.Context(), models.ExecutionStep{ExecutionID: id, Phase: phase, Step: 0, Status: status}))
	}
	_, err := k.store.FinishExecution(t.Context(), id, models.StatusFailed, "step second: boom")
	require.NoError(t, err)
	again := k.as("walter").post(path+"executions/"+id+"/retry", nil).id()
	steps, err := k.store.StepsOf(t.Context(), again)
	require.NoError(t, err)
	var kept []bool
	for _, s := range steps {
		kept = append(kept, s.Kept)
	}
	require.Equal(t, []bool{true, false, false}, kept)
}
