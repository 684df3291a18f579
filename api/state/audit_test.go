package state_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// S24: who triggered, cancelled and retried, by whatever way, and what became of it.
func TestS24ExecutionsAreAudited(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		olga, walter := k.as("olga"), k.as("walter")
		pipeline := olga.post(pipelines+"add", aPipeline("ship")).object()
		auditOf := func(action string) []map[string]any {
			var list []map[string]any
			olga.get("/api/v1/slipway/projects/shop/audit/?action=" + action).into(&list)
			return list
		}
		id := walter.post(pipelines+"by-name/ship/trigger", nil).id()
		one := pipelines + "by-name/ship/executions/" + id + "/"
		for range 2 {
			walter.post(one+"cancel", nil).ok()
		}
		finish(k, id)
		again := walter.post(one+"retry?from=start", nil).id()
		token := at(pipeline["triggers"].([]any)[0], "webhooktoken").(string)
		hooked := k.as("").post(pipelines+"pipelines/webhook/"+token, nil).id()

		triggers := auditOf("pipeline:trigger")
		require.Len(t, triggers, 2)
		require.Equal(t, []any{"webhook", "ship", hooked, "ok"}, []any{triggers[0]["actor_kind"], triggers[0]["actor_name"], at(triggers[0], "detail", "execution"), triggers[0]["result"]})
		require.Equal(t, []any{"user", "walter", id, 1.0}, []any{triggers[1]["actor_kind"], triggers[1]["actor_name"], at(triggers[1], "detail", "execution"), at(triggers[1], "detail", "number")})
		cancels := auditOf("pipeline:cancel")
		require.Len(t, cancels, 1, "a second cancel changes nothing")
		require.Equal(t, id, at(cancels[0], "detail", "execution"))
		retries := auditOf("pipeline:retry")
		require.Len(t, retries, 1)
		require.Equal(t, []any{again, id, "start"}, []any{at(retries[0], "detail", "execution"), at(retries[0], "detail", "retry_of"), at(retries[0], "detail", "from")})

		// What could not be started is told too.
		k.temporal.away = true
		walter.post(devBuilds+"by-name/web/trigger-build", nil).is(http.StatusServiceUnavailable)
		builds := auditOf("build:trigger")
		require.Len(t, builds, 2)
		require.Equal(t, []any{"failed", "ok"}, []any{builds[0]["result"], builds[1]["result"]})
		require.Contains(t, at(builds[0], "detail", "reason"), "the workflow service was not available")
	})
}
