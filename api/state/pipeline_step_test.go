package state_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPipelinesMakeNoRingByListening(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		olga := k.as("olga")
		k.as("olga").post(devBuilds, aBuild("api")).ok()
		put := func(name string, steps ...map[string]any) *answer {
			t.Helper()
			return olga.put(pipelines+"by-name/"+name+"/", map[string]any{"phases": phases(steps...)})
		}
		for _, name := range []string{"pa", "pb", "pc"} {
			olga.post(pipelines+"add", map[string]any{"name": name}).ok()
		}
		on := func(build string) map[string]any {
			return step("build", "build", build, "environment", "dev", "trigger_pipeline_on_build", true)
		}
		build := func(name string) map[string]any {
			return step("build", "build", name, "environment", "dev")
		}
		put("pa", on("web"), build("api")).ok()
		put("pa", on("web"), build("web"), build("api")).ok() // what it runs itself starts it no more
		// pa builds api, on which pb starts, which would trigger pa.
		require.Contains(t, put("pb", on("api"), step("pipeline-trigger", "pipeline", "pa")).is(http.StatusBadRequest),
			"phases[1].steps[0].pipeline: the pipelines would trigger each other in a ring: pb -> pa -> pb")
		put("pb", step("pipeline-trigger", "pipeline", "pa")).ok()
		// The same ring, closed from the other side: by the build that is heard.
		put("pa", on("web"), step("deploy", "deployment", "web", "environment", "prod")).ok()
		require.Contains(t, put("pb", step("run-smoke", "deployment", "web", "environment", "prod", "trigger_pipeline_on_deploy", true), build("web")).is(http.StatusBadRequest),
			"phases[1].steps[0].build: the pipelines would trigger each other in a ring: pb -> pa -> pb")
		// Another environment is another deployment.
		put("pb", step("run-smoke", "deployment", "web", "environment", "dev", "trigger_pipeline_on_deploy", true), build("web")).ok()
		// Through a third one.
		put("pc", step("deploy", "deployment", "web", "environment", "dev"), on("api")).ok()
		require.Contains(t, put("pa", on("web"), build("api")).is(http.StatusBadRequest), "in a ring: pa -> pc -> pb -> pa")
	})
}

func TestFlagsAndSecretsOfSteps(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	olga := k.as("olga")
	bad := func(message string, s map[string]any) {
		t.Helper()
		require.Contains(t, olga.post(pipelines+"add", map[string]any{"name": "ship", "phases": phases(s)}).is(http.StatusBadRequest), message)
	}
	bad("trigger_pipeline_on_build: is for steps of type build", step("confirmation", "trigger_pipeline_on_build", true))
	bad("trigger_pipeline_on_deploy: is for steps that name a deployment", step("build", "build", "web", "environment", "dev", "trigger_pipeline_on_deploy", true))
	bad("there is no project 'ghost' that the pipeline may use", step("webhook-trigger", "webhook_url", "https://example.com/", "project", "ghost"))
	bad("there is no project 'ghost' that the pipeline may use", step("tag-release", "namespace", "ns", "application", "app", "tag", "x", "project", "ghost"))

	path := pipelines + "by-name/ship/"
	hook := phases(step("webhook-trigger", "webhook_url", "https://example.com/"))
	require.NotContains(t, olga.post(pipelines+"add", map[string]any{"name": "ship", "phases": phases(step("confirmation"))}).object(), "signing_secret", "there is nothing to sign")
	made := olga.put(path, map[string]any{"phases": hook}).object()["signing_secret"].(string)
	require.Len(t, made, 43)
	require.Equal(t, made, olga.put(path, map[string]any{"phases": hook}).object()["signing_secret"], "it is kept")
	require.Equal(t, made, k.as("walter").get(path).object()["signing_secret"])
	require.NotContains(t, k.as("rita").get(path).ok(), "signing_secret", "readers forge no signatures")
	require.Equal(t, "a secret of 24 characters", olga.put(path, map[string]any{"phases": hook, "signing_secret": "a secret of 24 characters"}).object()["signing_secret"])
	require.Contains(t, olga.put(path, map[string]any{"phases": hook, "signing_secret": "short"}).is(http.StatusBadRequest), "signing_secret")
	id := k.as("walter").post(path+"trigger", nil).id()
	require.NotContains(t, k.as("walter").get(path+"executions/"+id+"/").ok(), "24 characters")
	row, err := k.store.ExecutionByID(t.Context(), id)
	require.NoError(t, err)
	require.NotContains(t, string(row.Definition), "24 characters", "S9: no snapshot has it")
	for _, e := range k.auditLines() {
		require.NotContains(t, e, "24 characters")
	}
}

// auditLines is the shop's audit log as text.
func (k *kit) auditLines() []string {
	k.t.Helper()
	return []string{k.as("olga").get("/api/v1/slipway/projects/shop/audit/export").ok()}
}

func TestBadFilePatterns(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	for _, pattern := range []string{"", "/", "[", "a\nb", "src/[a"} {
		b := aBuild("web")
		b["steps"] = []any{map[string]any{"build_on_file_changes": []string{"ok/**", pattern}}}
		require.Contains(t, k.as("olga").post(devBuilds, b).is(http.StatusBadRequest), "steps[0].build_on_file_changes[1]: expected a file, a folder or a pattern", pattern)
	}
}
