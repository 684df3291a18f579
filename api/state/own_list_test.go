package state_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// TestOwnExecutionList: executions of every kind in one list, narrowed by each parameter, never more than the caller may see.
func TestOwnExecutionList(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		build := k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil).id()
		job := k.as("walter").post(devJobs+"by-name/web/trigger", nil).id()
		finish(k, build)
		pipeline, _ := waiting(k, "", "")
		const path = "/api/v1/slipway/executions/"
		ids := func(user, query string) []string {
			t.Helper()
			var list []map[string]any
			k.as(user).get(path + query).into(&list)
			out := []string{}
			for _, e := range list {
				out = append(out, e["id"].(string))
			}
			return out
		}
		require.Equal(t, []string{pipeline, job, build}, ids("rita", ""), "newest first")
		require.Empty(t, ids("sam", ""))
		for query, want := range map[string][]string{
			"?kind=build": {build}, "?kind=deployment&project=shop": {job}, "?project=ghost": {}, "?project=shop&environment=dev": {job, build},
			"?project=shop&environment=prod": {}, "?project=shop&environment=nothing": {}, "?subject=ship": {pipeline}, "?subject=web": {job, build}, "?status=ok": {build},
			"?status=open": {pipeline, job}, "?status=ok,open": {pipeline, job, build}, "?status=failed": {}, "?page_size=1": {pipeline},
			"?page_size=1&page_from=" + pipeline: {job}, "?page_from=" + build: {},
		} {
			require.Equal(t, want, ids("rita", query), query)
		}
		require.Empty(t, ids("sam", "?project=shop"), "hidden and missing look alike")
		var list []map[string]any
		k.as("rita").get(path + "?kind=deployment").into(&list)
		require.Equal(t, []any{"deployment", "shop", "dev", "web", 1.0, "new"}, []any{list[0]["kind"], list[0]["project"], list[0]["environment"], list[0]["subject"], list[0]["number"], list[0]["outcome"]})
		require.NotContains(t, list[0], "children")
		for _, bad := range []string{"?status=waitin", "?kind=nothing", "?environment=dev", "?page_size=-1", "?page_size=5000", "?page_size=x"} {
			require.Equal(t, "invalid", k.as("rita").get(path + bad).jsonError(http.StatusBadRequest)["kind"], bad)
		}
	})
}

// TestOwnPendingConfirmations: what waits for the caller, with its link, and nothing that waits for others.
func TestOwnPendingConfirmations(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		ctx := t.Context()
		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		team := &models.Team{OrganizationID: org.ID, Name: "deciders"}
		require.NoError(t, k.store.CreateTeam(ctx, team))
		sam, err := k.store.UserByName(ctx, "sam")
		require.NoError(t, err)
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, sam.ID))
		anybody, code := waiting(k, "", "")
		ofRita, _ := waiting(k, "rita", "")
		ofTeam, teamCode := waiting(k, "", "deciders")
		const path = "/api/v1/slipway/confirmations/"
		of := func(user string) []string {
			t.Helper()
			var list []map[string]any
			k.as(user).get(path).into(&list)
			out := []string{}
			for _, c := range list {
				out = append(out, c["execution"].(string))
			}
			slices.Sort(out)
			return out
		}
		require.Equal(t, []string{anybody}, of("walter"))
		require.Equal(t, []string{anybody}, of("admin"), "administrators are not somebody else")
		require.Equal(t, []string{ofRita}, of("rita"), "who may only read decides where she is named")
		require.Equal(t, []string{ofTeam}, of("sam"), "a stranger decides where his team is named")
		require.NotContains(t, k.as("rita").get(path).ok(), code)
		require.NotContains(t, k.as("walter").get(path).ok(), teamCode)

		var list []map[string]any
		k.as("walter").get(path).into(&list)
		require.Equal(t, []any{"shop", "ship", 1.0, "go to production?"}, []any{list[0]["project"], list[0]["pipeline"], list[0]["number"], list[0]["step"]})
		require.Equal(t, "https://slipway.example.com"+link(anybody, code, "approve"), list[0]["confirmation_url"])
		k.as("walter").with("Accept", json_).get(link(anybody, code, "approve")).ok()
		require.Empty(t, of("walter"), "what is decided waits no more")
	})
}

// What waits for others takes no place on a page: somebody's own is found behind it. Pages go on where the last one ended.
func TestOwnPendingConfirmationsPages(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		for range 5 {
			waitingFor(k, models.Confirmation{FourEyes: true}) // walter triggers them
		}
		var want []string
		for range 3 {
			id, _ := waiting(k, "", "")
			want = append(want, id)
			waitingFor(k, models.Confirmation{FourEyes: true})
		}
		const path = "/api/v1/slipway/confirmations/"
		page := func(query string) (executions []string, last string) {
			t.Helper()
			var list []map[string]any
			k.as("walter").get(path + query).into(&list)
			for _, c := range list {
				executions = append(executions, c["execution"].(string))
				last = c["id"].(string)
			}
			return executions, last
		}
		first, last := page("?page_size=2")
		require.Equal(t, want[:2], first)
		rest, last := page("?page_size=2&page_from=" + last)
		require.Equal(t, want[2:], rest)
		none, _ := page("?page_size=2&page_from=" + last)
		require.Empty(t, none)
		one, _ := page("?page_size=1&execution=" + want[2])
		require.Equal(t, want[2:], one)
		none, _ = page("?execution=" + models.NewID())
		require.Empty(t, none)
		for _, bad := range []string{"?page_size=-1", "?page_size=1001", "?page_size=x", "?execution=" + strings.Repeat("x", 101), "?page_from=" + strings.Repeat("x", 101)} {
			require.Equal(t, "invalid", k.as("walter").get(path + bad).jsonError(http.StatusBadRequest)["kind"], bad)
		}
	})
}
