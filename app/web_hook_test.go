package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// From the configuration to the receiver, and back to whoever looks at what was sent: administrators and nobody else.
func TestConfiguredWebHook(t *testing.T) {
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		require.NotEmpty(t, r.Header.Get("X-Slipway-Signature"))
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(receiver.Close)
	t.Setenv("SLIPWAY_WEB_HOOK", receiver.URL+"/api/v1/internal/notification")
	t.Setenv("SLIPWAY_WEB_HOOK_SECRET", "hunter2")
	t.Setenv("SLIPWAY_ALLOW_PRIVATE_ADDRESSES", "true")
	a := open(t)
	ctx := t.Context()
	handler, err := a.API()
	require.NoError(t, err)
	token := func(name string, admin bool) string {
		u := &models.User{Name: name, Admin: admin}
		require.NoError(t, a.Store.CreateUser(ctx, u))
		secret, err := a.Store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: name})
		require.NoError(t, err)
		return secret
	}
	root, ann := token("root", true), token("ann", false)
	call := func(method, path, token string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader("{}")).WithContext(ctx)
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}

	m := &release.Metadata{APIVersion: release.APIVersion, Name: "app", Version: "1", Project: "ns"}
	m.Normalise()
	by := policies.Subject{ID: "ann", Name: "ann"}
	_, err = a.Inventory.Register(ctx, "ns", m, by)
	require.NoError(t, err)
	require.NoError(t, a.Inventory.SetNamespaceHooks(ctx, "ns", map[string]map[string]string{"slack": {"url": "http://127.0.0.1:1/chat", "secret": "hunter3"}}, by))
	var archive bytes.Buffer
	require.NoError(t, release.WriteArchive(&archive, m, fstest.MapFS{}))
	require.NoError(t, a.Inventory.Upload(ctx, m.ID(), &archive, by))

	const base = "/api/v1/slipway/deliveries/"
	var list []struct{ ID, Hook, Event, Status, Target string }
	status, body := call(http.MethodGet, base, root)
	require.Equal(t, 200, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	require.Len(t, list, 1, "the delivery of the namespace's own hook is the namespace's")
	require.Equal(t, []string{"installation/upload", "NEW_UPLOAD", "new", receiver.URL + "/…"}, []string{list[0].Hook, list[0].Event, list[0].Status, list[0].Target})
	id := list[0].ID
	for _, path := range []string{base, base + id + "/"} {
		status, _ = call(http.MethodGet, path, "")
		require.Equal(t, 401, status, path)
		status, _ = call(http.MethodGet, path, ann)
		require.Equal(t, 403, status, path)
	}
	status, body = call(http.MethodGet, "/api/v1/slipway/namespaces/ns/deliveries/"+id+"/", root)
	require.Equal(t, 404, status, body)
	status, body = call(http.MethodPost, base+id+"/redeliver", root)
	require.Equal(t, 409, status, body)

	out, err := a.Deliveries.Attempt(ctx, id)
	require.NoError(t, err)
	require.True(t, out.Ok(), out.Reason)
	require.Equal(t, []string{`POST /api/v1/internal/notification {"event":"NEW_UPLOAD","project":"ns","project_hooks":{"slack":{"url":"http://127.0.0.1:1/chat"}},"unit":"app","unit_hooks":{},` +
		`"downstream_hooks":[],"version":"v1","release":"ns/app-v1","username":"ann"}`}, got)
	status, body = call(http.MethodGet, base+id+"/", root)
	require.Equal(t, 200, status)
	require.Contains(t, body, `"status_code":202`)
	require.NotContains(t, body, "hunter")
	require.NotContains(t, body, "/chat")
	status, _ = call(http.MethodPost, base+id+"/redeliver", ann)
	require.Equal(t, 403, status)
	status, body = call(http.MethodPost, base+id+"/redeliver", root)
	require.Equal(t, 202, status, body)
	require.Contains(t, body, `"redelivery_of":"`+id+`"`)
	lines, err := a.Store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []string{"installation:update", "delivery", "root"}, []string{lines[0].Action, lines[0].ResourceKind, lines[0].ActorName})
}
