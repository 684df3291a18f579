package state_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Lists over everything that a caller may see are one query each, however many projects that is. Who calls, and what they
// may see, is remembered from the request before.
func TestListsOfEverythingAreOneQuery(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		k.as("olga").post(pipelines+"add", aPipeline("ship")).ok()
		k.as("olga").post("/api/v1/slipway/projects/shop/schedules/", map[string]any{"name": "nightly", "pipeline": "ship", "cron": []string{"30 2 * * *"}}).ok()
		for _, path := range []string{"pipelines/by-project/shop/by-name/ship/trigger", "state/shop/environments/dev/builds/by-name/web/trigger-build",
			"deployment-jobs/by-project/shop/by-environment/prod/by-name/web/trigger"} {
			k.as("walter").post("/api/v1/"+path, nil).id()
		}
		for _, path := range []string{"builds/", "builds/executions/", "deployment-jobs/", "deployment-jobs/executions/", "pipelines/", "pipelines/executions/", "state/", "state/namespaces",
			"slipway/executions/", "slipway/schedules/"} {
			want := int64(1)
			if path == "slipway/schedules/" {
				want = 2 // the last runs of all of them
			}
			least := int64(100)
			for range 3 {
				before := k.statements.Load()
				require.NotContains(t, []string{"{}\n", "[]\n"}, k.as("rita").get("/api/v1/"+path).ok(), path)
				least = min(least, k.statements.Load()-before)
			}
			require.Equal(t, want, least, path)
		}
	})
}
