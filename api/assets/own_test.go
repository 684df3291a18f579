package assets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	assetsapi "slipway/api/assets"
	ownapi "slipway/api/own"
	"slipway/assets"
	"slipway/models"
	"slipway/policies"
)

// sealer stands for the keyring.
type sealer struct{}

func (sealer) Encrypt(plain []byte, at string) ([]byte, error) {
	return append([]byte(at+"|"), plain...), nil
}

func (sealer) Decrypt(sealed []byte, at string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(at+"|"))
	if !ok {
		return nil, fmt.Errorf("sealed for another place")
	}
	return plain, nil
}

// schedules records what a registry asks of Temporal, and refuses one expression.
type schedules map[string]string

func (s schedules) Check(r *models.AssetRegistry) error { return assets.Schedules{}.Check(r) }

func (s schedules) Put(_ context.Context, r *models.AssetRegistry) error {
	s[r.ID] = r.Schedule
	return nil
}

func (s schedules) Remove(_ context.Context, id string) error { delete(s, id); return nil }

// ownServer adds the rows of Slipway's own surface to a server.
func ownServer(t *testing.T) (*server, schedules, *[]string) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	s.store.UseEncrypter(sealer{})
	planned, cancelled := schedules{}, &[]string{}
	policy, err := policies.New(policies.Options{})
	require.NoError(t, err)
	auth, err := api.NewAuthenticator(s.store, api.AuthenticatorOptions{})
	require.NoError(t, err)
	scopes := api.NewScopes(s.store, api.ScopesOptions{})
	// With the rows of executions: searches and scans are some.
	rows := ownapi.New(ownapi.Options{Store: s.store, Policy: policy, Scopes: scopes, Authenticator: auth}).Rows
	rows = append(rows, assetsapi.OwnRows(assetsapi.OwnOptions{Store: s.store, Service: s.service, Scopes: scopes, Schedules: planned,
		Cancel: func(_ context.Context, id string, _ policies.Subject) error {
			*cancelled = append(*cancelled, id)
			return nil
		}})...)
	s.groups = []api.Group{{Surface: ownapi.Surface(), Rows: rows}, assetsapi.New(assetsapi.Options{Service: s.service, Scopes: scopes})}
	handler, err := api.New(api.Options{Groups: s.groups, Authenticator: auth, Policy: policy, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	h := httptest.NewServer(handler)
	t.Cleanup(h.Close)
	s.URL = h.URL
	s.runs.hold = true
	return s, planned, cancelled
}

func TestRegistriesAndScans(t *testing.T) {
	s, planned, cancelled := ownServer(t)
	base := "/api/v1/slipway/organizations/acme/asset-registries/"
	call := func(token, method, path, body string) answer {
		t.Helper()
		var b any
		if body != "" {
			b = body
		}
		return s.call(t, token, method, path, b, "Content-Type", "application/json")
	}
	put := call(s.owner, "PUT", base+"hub/", `{"url":"https://registry.example.com/","username":"robot","password":"canary","schedule":"0 3 * * *"}`)
	require.Equal(t, 200, put.status, "%s", put.body)
	require.NotContains(t, string(put.body), "canary")
	id := put.JSON["id"].(string)
	require.Equal(t, schedules{id: "0 3 * * *"}, planned)
	got := call(s.owner, "GET", base+"hub/", "")
	require.Equal(t, "https://registry.example.com", got.JSON["url"])
	require.Equal(t, true, got.JSON["has_password"])
	require.Equal(t, 400, call(s.owner, "PUT", base+"hub/", `{"url":"https://registry.example.com","schedule":"nonsense"}`).status)
	require.Equal(t, "0 3 * * *", call(s.owner, "GET", base+"hub/", "").JSON["schedule"], "what is shown is what is in force")
	require.Equal(t, 400, call(s.owner, "PUT", base+"hub/", `{"url":"https://user:pw@example.com"}`).status)
	moved := call(s.owner, "PUT", base+"hub/", `{"url":"https://elsewhere.example.com","username":"robot"}`)
	require.Equal(t, 400, moved.status, "the password goes nowhere else unasked")
	require.Contains(t, string(moved.body), "password")
	require.Equal(t, 400, call(s.owner, "PUT", base+"hub/", `{"url":"http://registry.example.com"}`).status, "nor in the clear")
	require.Equal(t, 400, call(s.owner, "PUT", base+"hub/", `{"url":"https://registry.example.com","organization_id":"x"}`).status)
	require.Equal(t, 404, call(s.stranger, "GET", base+"hub/", "").status)
	require.Equal(t, 404, call(s.stranger, "PUT", base+"hub/", `{"url":"https://registry.example.com"}`).status)
	require.Equal(t, 401, call("", "GET", base, "").status)
	require.Equal(t, 404, call(s.owner, "GET", base+"nosuch/", "").status)

	scan := call(s.owner, "POST", base+"hub/scans/", "")
	require.Equal(t, 202, scan.status, "%s", scan.body)
	scanID := scan.JSON["id"].(string)
	require.NoError(t, s.store.PutAssetScan(t.Context(), &models.AssetScan{ExecutionID: scanID, RegistryID: id, Repositories: 10, RepositoriesDone: 4, Images: 9}))
	progress := call(s.owner, "GET", base+"hub/scans/"+scanID+"/", "")
	require.EqualValues(t, 4, progress.JSON["repositories_done"])
	require.Equal(t, "new", progress.JSON["status"])
	require.Contains(t, string(call(s.owner, "GET", base+"hub/scans/", "").body), scanID)
	require.Equal(t, 202, call(s.owner, "POST", base+"hub/scans/"+scanID+"/cancel/", "").status)
	require.Equal(t, []string{scanID}, *cancelled)
	require.Equal(t, 200, call(s.owner, "PUT", "/api/v1/slipway/organizations/"+s.web.ID+"/asset-registries/hub/", `{"url":"https://registry.example.com"}`).status)
	require.Equal(t, 404, call(s.owner, "GET", "/api/v1/slipway/organizations/"+s.web.ID+"/asset-registries/hub/scans/"+scanID+"/", "").status, "another registry's scan")

	require.Equal(t, 204, call(s.owner, "DELETE", base+"hub/", "").status)
	require.Empty(t, planned)
	require.Equal(t, 404, call(s.owner, "GET", base+"hub/", "").status)
}

func TestBuildsReportImages(t *testing.T) {
	s, _, _ := ownServer(t)
	path := "/api/v1/slipway/organizations/acme-web/assets/"
	image := `{"registry":"docker.io","repository":"team/app","config_digest":"sha256:` + strings.Repeat("a", 64) + `","image_tags":["1"]}`
	call := func(token, body string) answer {
		return s.call(t, token, "POST", path, body, "Content-Type", "application/json")
	}
	require.JSONEq(t, `{"created":1,"updated":0,"unchanged":0}`, string(call(s.owner, `{"images":[`+image+`]}`).body))
	require.JSONEq(t, `{"created":0,"updated":0,"unchanged":1}`, string(call(s.owner, `{"images":[`+image+`]}`).body))
	require.Equal(t, 403, call(s.reader, `{"images":[`+image+`]}`).status)
	require.Equal(t, 404, call(s.stranger, `{"images":[`+image+`]}`).status)
	require.Contains(t, string(call(s.owner, `{"images":[`+image+`,{"registry":"docker.io","repository":"A"}]}`).body), `images[1].repository`)
	for _, bad := range []string{`{"images":[]}`, `{"images":[{}]}`, `{"images":7}`, `{}`, `{"images":[` + image + `],"x":1}`} {
		a := call(s.owner, bad)
		require.Equal(t, 400, a.status, bad)
		require.True(t, json.Valid(a.body))
	}
}

func TestCursorSecretIsShared(t *testing.T) {
	s := newServer(t, "sqlite:"+t.TempDir()+"/slipway.db", noConfig)
	_, err := s.store.AssetCursorSecret(t.Context())
	require.ErrorIs(t, err, models.ErrNoKey)
	s.store.UseEncrypter(sealer{})
	one, err := s.store.AssetCursorSecret(t.Context())
	require.NoError(t, err)
	two, err := s.store.AssetCursorSecret(t.Context())
	require.NoError(t, err)
	require.Equal(t, one, two)
	require.Len(t, one, 32)
	_, err = assets.New(s.store, nil, one[:31], nil, noConfig)
	require.Error(t, err)
}
