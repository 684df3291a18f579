package state_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

// R9: of a hundred people who approve at the same instant where it takes two, two count.
func TestR9TwoOfAHundredApprove(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		ctx := context.Background()
		for i := range 100 {
			u := &models.User{Name: fmt.Sprint("u", i)}
			require.NoError(t, k.store.CreateUser(ctx, u))
			token, err := k.store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "t"})
			require.NoError(t, err)
			k.tokens[u.Name] = token
			k.grant(u.Name, policies.RoleWrite)
		}
		id, code := waitingFor(k, models.Confirmation{Approvals: 2})
		var pending, approved, refused atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range 100 {
			wg.Go(func() {
				<-begin
				a := k.as(fmt.Sprint("u", i)).with("Accept", json_).get(link(id, code, "approve"))
				switch {
				case a.status == http.StatusOK && strings.Contains(string(a.body), `"pending"`):
					pending.Add(1)
				case a.status == http.StatusOK:
					approved.Add(1)
				case a.status == http.StatusConflict:
					refused.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		// Who is first may see the decision of the second already.
		require.Equal(t, []int64{2, 98}, []int64{pending.Load() + approved.Load(), refused.Load()})
		require.Positive(t, approved.Load())
		list, err := k.store.ConfirmationsOf(ctx, id)
		require.NoError(t, err)
		votes, err := k.store.VotesOf(ctx, list[0].ID)
		require.NoError(t, err)
		require.Len(t, votes, 2)
		require.NotEqual(t, votes[0].VoterID, votes[1].VoterID)
		require.Equal(t, votes[0].VoterName+", "+votes[1].VoterName, list[0].DecidedByName)
		require.Len(t, k.temporal.signalled, 1, "the workflow is told once")
		lines, err := k.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: "confirmation:approve"})
		require.NoError(t, err)
		require.Len(t, lines, 2)
	})
}

func TestConfirmationTakesTwoPeople(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waitingFor(k, models.Confirmation{Approvals: 2})
		// A link is nobody in particular.
		require.Contains(t, k.as("").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusUnauthorized), "log in first")
		require.Contains(t, k.as("rita").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusForbidden), "only users who may write in the project")
		d := k.as("walter").with("Accept", json_).get(link(id, code, "approve")).object()
		require.Equal(t, []any{"pending", 1.0, 2.0}, []any{d["status"], d["approvals"], d["approvals_needed"]})
		require.Empty(t, k.temporal.signalled)
		require.Equal(t, "you have approved this already: it takes 2 different people", k.as("walter").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusConflict))
		require.Contains(t, k.as("olga").get(link(id, code, "approve")).ok(), "1 of 2 people have approved")
		e := k.as("rita").get(pipelines + "by-name/ship/executions/" + id + "/").object()
		st := at(e, "pipeline", "phases").([]any)[2].(map[string]any)["steps"].([]any)[0].(map[string]any)
		require.Equal(t, "walter", st["decisions"].([]any)[0].(map[string]any)["by"])
		d = k.as("olga").with("Accept", json_).get(link(id, code, "approve")).object()
		require.Equal(t, []any{"approved", "walter, olga"}, []any{d["status"], d["decided_by"]})
		require.Equal(t, []string{id}, k.temporal.signalled)

		// One who disapproves ends it, also one who has approved before.
		id, code = waitingFor(k, models.Confirmation{Approvals: 2})
		k.as("walter").with("Accept", json_).get(link(id, code, "approve")).ok()
		require.Equal(t, "disapproved", k.as("walter").with("Accept", json_).get(link(id, code, "disapprove")).object()["status"])
		require.Contains(t, k.as("olga").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusConflict), "disapproved already, by walter")
	})
}

func TestConfirmationFourEyes(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waitingFor(k, models.Confirmation{FourEyes: true}) // walter triggers it
		for _, verb := range []string{"approve", "disapprove"} {
			require.Contains(t, k.as("walter").with("Accept", json_).get(link(id, code, verb)).is(http.StatusForbidden), "walter triggered this, and four eyes must see it")
		}
		require.NotContains(t, k.as("walter").get(link(id, code, "approve")).ok(), "<button")
		require.NotContains(t, k.as("walter").get(pipelines+"by-name/ship/executions/"+id+"/").ok(), code, "who may not decide does not see the link")
		require.NotContains(t, k.as("walter").get("/api/v1/slipway/confirmations/").ok(), code)
		k.as("").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusUnauthorized)
		require.Equal(t, models.ConfirmationPending, status(k, id))
		require.Equal(t, "approved", k.as("olga").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
	})
}

// A confirmation whose time is over is decided by nobody, also where no workflow has noticed yet.
func TestConfirmationTimesOut(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
		id, code := waitingFor(k, models.Confirmation{ExpiresAt: &past})
		page := k.as("walter").get(link(id, code, "approve")).ok()
		require.Contains(t, page, "Nobody decided in time")
		require.NotContains(t, page, "<button")
		require.Equal(t, "nobody decided in time: this timed out", k.as("walter").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusConflict))
		require.Equal(t, models.ConfirmationTimedOut, status(k, id))
		lines, err := k.store.ListAudit(context.Background(), policies.Visible{All: true}, models.AuditFilter{Action: "confirmation:time-out"})
		require.NoError(t, err)
		require.Len(t, lines, 1)
		id, code = waitingFor(k, models.Confirmation{ExpiresAt: &future})
		require.Contains(t, k.as("walter").get(link(id, code, "approve")).ok(), "Times out")
		require.Equal(t, "approved", k.as("walter").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
		c, err := k.store.ConfirmationsOf(context.Background(), id)
		require.NoError(t, err)
		now, err := k.service.Expire(context.Background(), c[0].ID)
		require.NoError(t, err)
		require.Equal(t, models.ConfirmationApproved, now.Status, "the person was first")
	})
}

func TestConfirmationRulesAreChecked(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	confirm := func(members map[string]any) *answer {
		p := aPipeline("checked")
		step := p["phases"].([]any)[2].(map[string]any)["steps"].([]any)[0].(map[string]any)
		for name, v := range members {
			step[name] = v
		}
		return k.as("olga").post(pipelines+"add", p)
	}
	for want, bad := range map[string]map[string]any{
		"remind_after: ":               {"remind_after": "1m"},
		"from 5m to":                   {"remind_after": "never"},
		"only the user 'rita' may":     {"approvals": 2, "user": "rita"},
		"approvals":                    {"approvals": 21},
		"time_limit":                   {"time_limit": "soon"},
		"is for steps of type confirm": {"type": "build", "build": "web", "environment": "dev", "four_eyes": true},
	} {
		require.Contains(t, confirm(bad).is(http.StatusBadRequest), want)
	}
	confirm(map[string]any{"approvals": 2, "four_eyes": true, "time_limit": "24h", "remind_after": "30m"}).ok()
}

// R10: a confirmation of an execution that was cancelled is decided by nobody, also before its workflow has heard of that.
func TestR10CancelledIsNotDecided(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waitingFor(k, models.Confirmation{})
		_, err := k.store.RequestCancel(t.Context(), id, "olga", nil)
		require.NoError(t, err)
		page := k.as("walter").get(link(id, code, "approve")).ok()
		require.Contains(t, page, "was cancelled: there is nothing left to decide")
		require.NotContains(t, page, "<button")
		for _, verb := range []string{"approve", "disapprove"} {
			require.Equal(t, "this can no longer be decided: the pipeline's execution was cancelled", k.as("walter").with("Accept", json_).get(link(id, code, verb)).is(http.StatusConflict))
		}
		require.Equal(t, models.ConfirmationPending, status(k, id))
		require.NotContains(t, k.temporal.signalled, id)
	})
}
