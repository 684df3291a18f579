package state_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

const quotasPath = "/api/v1/slipway/organizations/default/quotas/"

// TestS1QuotasAsEverybody: readers of an organization see what it has, and nobody of it can let it have more.
func TestS1QuotasAsEverybody(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	o, err := k.store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
	require.NoError(t, err)
	for user, role := range map[string]string{"olga": policies.RoleOwner, "walter": policies.RoleWrite, "rita": policies.RoleRead} {
		u, err := k.store.UserByName(t.Context(), user)
		require.NoError(t, err)
		require.NoError(t, k.store.AddGrant(t.Context(), &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeOrganization, ScopeID: o.ID, Role: role}))
	}
	for user, c := range map[string]struct{ read, write int }{
		"": {401, 401}, "sam": {404, 404}, "rita": {200, 403}, "walter": {200, 403}, "olga": {200, 403}, "admin": {200, 200},
	} {
		k.as(user).get(quotasPath).is(c.read)
		k.as(user).do("HEAD", quotasPath, nil).is(c.read)
		k.as(user).put(quotasPath+"projects", map[string]any{"maximum": 7}).is(c.write)
		k.as(user).delete(quotasPath + "assets").is(c.write)
		k.as(user).put("/api/v1/slipway/organizations/ghost/quotas/projects", map[string]any{"maximum": 7}).is(map[bool]int{true: 401, false: 404}[user == ""])
	}
	limited, err := k.store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: func() string {
		u, err := k.store.UserByName(t.Context(), "admin")
		require.NoError(t, err)
		return u.ID
	}(), Name: "an administrator's, for less", Role: policies.RoleOwner})
	require.NoError(t, err)
	(&caller{k: k, token: limited, head: http.Header{}}).put(quotasPath+"projects", map[string]any{"maximum": 9}).is(403)
}

func TestQuotasAreSetAndShown(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		admin := k.as("admin")
		require.JSONEq(t, `[{"resource":"executions","maximum":null,"used":0},{"resource":"projects","maximum":null,"used":1},
			{"resource":"storage","maximum":null,"used":0},{"resource":"assets","maximum":null,"used":0}]`, admin.get(quotasPath).ok())
		admin.put(quotasPath+"executions", map[string]any{"maximum": 0}).ok()
		require.JSONEq(t, `[{"resource":"executions","maximum":0,"used":0},{"resource":"projects","maximum":2,"used":1},
			{"resource":"storage","maximum":null,"used":0},{"resource":"assets","maximum":null,"used":0}]`, admin.put(quotasPath+"projects", map[string]any{"maximum": 2}).ok())
		k.as("sam").post("/api/v1/state/second/add-project", map[string]any{"name": "second"}).ok()
		require.Equal(t, "organization 'default' may have no more than 2 projects",
			k.as("sam").post("/api/v1/state/third/add-project", map[string]any{"name": "third"}).is(http.StatusForbidden))
		k.as("sam").get("/api/v1/state/third/").is(404)
		admin.delete(quotasPath + "executions").ok()
		k.as("sam").delete("/api/v1/state/second/").ok()
		k.as("sam").post("/api/v1/state/third/add-project", map[string]any{"name": "third"}).ok()

		for body, want := range map[string]string{`{}`: "maximum", `{"maximum":null}`: "maximum", `{"maximum":-1}`: "maximum", `{"maximum":1.5}`: "maximum", `{"maximum":1,"resource":"x"}`: "resource",
			`{"maximum":9223372036854775808}`: "maximum"} {
			require.Contains(t, admin.put(quotasPath+"projects", body).is(http.StatusBadRequest), want, body)
		}
		require.Contains(t, admin.put(quotasPath+"builds", map[string]any{"maximum": 1}).is(http.StatusBadRequest), "executions, projects, storage, assets")
		require.Contains(t, admin.delete(quotasPath+"builds").is(http.StatusBadRequest), "executions, projects, storage, assets")

		lines, err := k.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{Action: "quota:update"})
		require.NoError(t, err)
		require.Len(t, lines, 3, "what is refused has no line")
		require.Equal(t, "admin", lines[0].ActorName)
		require.Equal(t, "organization", lines[0].ResourceKind)
		require.Equal(t, "default", lines[0].ResourceName)
		require.Equal(t, map[string]any{"resource": "executions", "maximum": nil}, lines[0].Detail)
		require.Equal(t, map[string]any{"resource": "projects", "maximum": 2.0}, lines[1].Detail)
	})
}

// S19: as many triggers as the quota has room for start something, and the others nothing.
func TestS19TriggersStopAtTheQuota(t *testing.T) {
	const room = 5
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		k.as("admin").put(quotasPath+"executions", map[string]any{"maximum": room}).ok()
		path := "/api/v1/state/shop/environments/dev/builds/by-name/web/trigger-build"
		var wg sync.WaitGroup
		var started, refused atomic.Int64
		for range 64 {
			wg.Go(func() {
				switch a := k.as("walter").post(path, nil); a.status {
				case 200, 201, 202:
					started.Add(1)
				case http.StatusForbidden:
					refused.Add(1)
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, room, started.Load())
		require.EqualValues(t, 64-room, refused.Load())
		require.Equal(t, "organization 'default' may have no more than 5 executions that have not ended: wait for an end, or cancel some", k.as("walter").post(path, nil).is(http.StatusForbidden))
		open, err := k.store.ListExecutions(t.Context(), models.ExecutionFilter{})
		require.NoError(t, err)
		require.Len(t, open, room)
		_, err = k.store.FinishExecution(t.Context(), open[0].ID, models.StatusOK, "")
		require.NoError(t, err)
		k.as("walter").post(path, nil).id()
		k.as("walter").post(path, nil).is(http.StatusForbidden)
	})
}
