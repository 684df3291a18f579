package state_test

import (
	"html"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// Where fewer are left who may approve than must, the confirmation says so wherever it is seen, as long as that is so: nothing
// is ended over it, since people join teams while it waits.
func TestConfirmationSaysThatNobodyIsLeft(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		ship(k)
		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		user := func(name string) *models.User {
			u, err := k.store.UserByName(ctx, name)
			require.NoError(t, err)
			return u
		}
		team := func(name string, members ...string) *models.Team {
			team := &models.Team{OrganizationID: org.ID, Name: name}
			require.NoError(t, k.store.CreateTeam(ctx, team))
			for _, m := range members {
				require.NoError(t, k.store.AddTeamMember(ctx, team.ID, user(m).ID))
			}
			return team
		}
		ops := team("ops", "walter")
		team("two", "walter", "olga")
		team("nobody")
		says := func(id, code, want string) {
			t.Helper()
			st := at(k.as("rita").get(pipelines+"by-name/ship/executions/"+id+"/").object(), "pipeline", "phases").([]any)[2].(map[string]any)["steps"].([]any)[0].(map[string]any)
			why := k.as("rita").get("/api/v1/slipway/executions/" + id + "/waiting").object()["reasons"].([]any)[0].(map[string]any)
			require.Equal(t, "confirmation", why["kind"])
			page := k.as("rita").get(link(id, code, "approve")).ok()
			if want == "" {
				require.Nil(t, st["shortage"])
				require.NotContains(t, why["message"], "cannot be approved")
				require.NotContains(t, page, "cannot be approved")
				return
			}
			require.Equal(t, want, st["shortage"])
			require.Contains(t, why["message"], " must decide, and as things are it cannot be approved: "+want)
			require.Contains(t, html.UnescapeString(page), "As things are this cannot be approved: "+want+".")
		}
		// walter triggers each of them.
		id, code := waitingFor(k, models.Confirmation{Team: "ops", FourEyes: true})
		says(id, code, "nobody who may approve is left: the team 'ops' has one member, walter set the run off")
		require.NoError(t, k.store.AddTeamMember(ctx, ops.ID, user("olga").ID))
		says(id, code, "")
		require.NoError(t, k.store.SetDisabled(ctx, user("olga").ID, true))
		says(id, code, "nobody who may approve is left: the team 'ops' has one member, walter set the run off")
		require.NoError(t, k.store.SetDisabled(ctx, user("olga").ID, false))
		says(id, code, "")
		require.NoError(t, k.store.DeleteTeam(ctx, ops.ID))
		says(id, code, "nobody who may approve is left: there is no team 'ops'")

		id, code = waitingFor(k, models.Confirmation{User: "walter", FourEyes: true})
		says(id, code, "nobody who may approve is left: the user 'walter' is named, walter set the run off")
		id, code = waitingFor(k, models.Confirmation{User: "gone", Team: "nobody"})
		says(id, code, "nobody who may approve is left: there is no user 'gone', the team 'nobody' has no members")
		id, code = waitingFor(k, models.Confirmation{User: "sam", Team: "two"})
		says(id, code, "")

		// One who has approved is one fewer: what is left may not be enough any more.
		id, code = waitingFor(k, models.Confirmation{Team: "two", Approvals: 2})
		says(id, code, "")
		k.as("olga").with("Accept", json_).get(link(id, code, "approve")).ok()
		says(id, code, "")
		list := k.as("walter").get("/api/v1/slipway/confirmations/?execution=" + id).ok()
		require.NotContains(t, list, "shortage")
		require.NoError(t, k.store.SetDisabled(ctx, user("walter").ID, true))
		says(id, code, "nobody who may approve is left: the team 'two' has one member, olga has approved already")
		require.NoError(t, k.store.SetDisabled(ctx, user("walter").ID, false))
		id, code = waitingFor(k, models.Confirmation{Team: "two", Approvals: 2, FourEyes: true})
		says(id, code, "it takes 2 more who approve, and there is only olga: the team 'two' has 2 members, walter set the run off")
		require.Contains(t, k.as("olga").get("/api/v1/slipway/confirmations/?execution="+id).ok(), `"shortage":"it takes 2 more who approve, and there is only olga: the team 'two' has 2 members`)

		// Who nobody is named for: everybody who may write in the project.
		id, code = waitingFor(k, models.Confirmation{FourEyes: true, Approvals: 2})
		says(id, code, "")
		require.NoError(t, k.store.SetDisabled(ctx, user("olga").ID, true))
		says(id, code, "it takes 2 more who approve, and there is only admin: 2 users may write in the project, walter set the run off")
		require.NoError(t, k.store.SetDisabled(ctx, user("olga").ID, false))
		says(id, code, "")
		// Where the link is enough, and when it is decided, there is nothing to say.
		id, code = waitingFor(k, models.Confirmation{})
		says(id, code, "")
		k.as("walter").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusOK)
	})
}
