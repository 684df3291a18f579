package state_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

// opened opens a confirmation in an execution of the pipeline ship, and gives its code.
func opened(k *kit, id string, c models.Confirmation) (code string) {
	k.t.Helper()
	ctx := k.t.Context()
	_, err := k.store.ClaimExecution(ctx, id, "run", nil)
	require.NoError(k.t, err)
	code = "code-" + id
	sealed, err := k.sealer.Encrypt([]byte(code), "confirmation:"+id)
	require.NoError(k.t, err)
	c.ExecutionID, c.Phase, c.CodeHash, c.CodeSealed = id, 2, models.HashCode(code), sealed
	_, err = k.store.OpenConfirmation(ctx, c)
	require.NoError(k.t, err)
	require.NoError(k.t, k.store.PutSteps(ctx, models.ExecutionStep{ExecutionID: id, Phase: 2, Name: "go", Type: "confirmation", Status: models.StatusWaiting}))
	return code
}

// S8: who has a webhook's token may have triggered the run, and nobody can say who it was. So nobody approves it alone.
func TestS8FourEyesOfAWebhook(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		// Walter reads the token, as writers may, and triggers the pipeline with it, logged in as nobody.
		p := k.as("walter").get(pipelines + "by-name/ship/").object()
		token := at(p, "triggers").([]any)[0].(map[string]any)["webhooktoken"].(string)
		id := k.as("").post(pipelines+"pipelines/webhook/"+token, nil).id()
		code := opened(k, id, models.Confirmation{FourEyes: true})
		d := k.as("walter").with("Accept", json_).get(link(id, code, "approve")).object()
		require.Equal(t, []any{"pending", 1.0, 2.0}, []any{d["status"], d["approvals"], d["approvals_needed"]}, "his approval alone is not enough")
		k.as("walter").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusConflict)
		require.Contains(t, k.as("olga").get(link(id, code, "approve")).ok(), "1 of 2 people have approved")
		k.as("").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusUnauthorized)
		require.Equal(t, "approved", k.as("olga").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
	})
}

// S8: a service account's token may be anybody's.
func TestS8FourEyesOfAServiceAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		ctx := t.Context()
		project, err := k.store.ProjectByName(ctx, "shop")
		require.NoError(t, err)
		account := &models.ServiceAccount{OrganizationID: project.OrganizationID, Name: "ci"}
		require.NoError(t, k.store.CreateServiceAccount(ctx, account))
		require.NoError(t, k.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectServiceAccount, SubjectID: account.ID, ScopeKind: models.ScopeProject, ScopeID: project.ID, Role: policies.RoleWrite}))
		k.tokens["ci"], err = k.store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectServiceAccount, SubjectID: account.ID, Name: "ci"})
		require.NoError(t, err)
		id := k.as("ci").post(pipelines+"by-name/ship/trigger", nil).id()
		code := opened(k, id, models.Confirmation{FourEyes: true})
		k.as("ci").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusForbidden)
		require.Equal(t, "pending", k.as("walter").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
		require.Equal(t, "approved", k.as("olga").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
	})
}

// S8: who has triggered a run does not become somebody else because another one retries it.
func TestS8FourEyesOfARetry(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		k.grant("rita", policies.RoleWrite)
		first := k.as("walter").post(pipelines+"by-name/ship/trigger", nil).id()
		finish(k, first)
		id := k.as("rita").post(pipelines+"by-name/ship/executions/"+first+"/retry", nil).id()
		code := opened(k, id, models.Confirmation{FourEyes: true})
		for _, name := range []string{"walter", "rita"} {
			require.Contains(t, k.as(name).with("Accept", json_).get(link(id, code, "approve")).is(http.StatusForbidden), name+" triggered this, and four eyes must see it")
			require.NotContains(t, k.as(name).get("/api/v1/slipway/confirmations/").ok(), code)
		}
		require.Equal(t, "approved", k.as("olga").with("Accept", json_).get(link(id, code, "approve")).object()["status"])
	})
}

// R10: a confirmation whose execution was cancelled is nobody's to decide, and nowhere offered, before its step has ended.
func TestR10CancelledConfirmationsVanishAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waiting(k, "", "")
		shown := func() []string {
			return []string{k.as("walter").get("/api/v1/slipway/confirmations/").ok(), k.as("walter").get(pipelines + "by-name/ship/executions/" + id + "/").ok(),
				k.as("walter").get("/api/v1/slipway/executions/" + id + "/waiting").ok()}
		}
		before := shown()
		require.Contains(t, before[0], code)
		require.Contains(t, before[1], code)
		require.Contains(t, before[2], `"confirmation"`)
		k.as("olga").post(pipelines+"by-name/ship/executions/"+id+"/cancel", nil).ok()
		after := shown()
		require.NotContains(t, after[0], id)
		require.NotContains(t, after[1], code)
		require.NotContains(t, after[2], `"confirmation"`)
		require.Equal(t, models.ConfirmationPending, status(k, id), "its workflow has not heard of it yet")
	})
}
