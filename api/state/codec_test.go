package state_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"slipway/api/own"
	"slipway/executions"
)

// browse sends what the page of a site at origin would send, with the login cookie of a user.
func browse(k *kit, method, path, user, origin string, body any) (*http.Response, []byte) {
	k.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(k.t, err)
	r, err := http.NewRequestWithContext(k.t.Context(), method, k.server.URL+path, bytes.NewReader(b))
	require.NoError(k.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", "same-site")
	if method != http.MethodOptions {
		r.AddCookie(&http.Cookie{Name: "X-Escape-Token", Value: k.tokens[user]})
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(k.t, err)
	defer func() { require.NoError(k.t, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	require.NoError(k.t, err)
	return res, text
}

// TestCodecForTheWebUI: the pages of Temporal's Web UI read encrypted histories with an administrator's login, and can do
// nothing else with it; the pages of any other site cannot even do that.
func TestCodecForTheWebUI(t *testing.T) {
	k := onSQLite(t)
	plain, err := converter.GetDefaultDataConverter().ToPayload(map[string]string{"reason": "step smoke failed"})
	require.NoError(t, err)
	sealed, err := executions.NewCodec(k.sealer).Encode([]*commonpb.Payload{plain, plain})
	require.NoError(t, err)
	open := own.Payload{Metadata: plain.GetMetadata(), Data: []byte(`"in the clear"`)}
	ask := own.Payloads{Payloads: []own.Payload{{Metadata: sealed[0].GetMetadata(), Data: sealed[0].GetData()}, open}}
	const path = own.CodecPath + "/decode"

	res, _ := browse(k, http.MethodOptions, path, "", webUI, nil)
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Equal(t, webUI, res.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", res.Header.Get("Access-Control-Allow-Credentials"))

	res, text := browse(k, http.MethodPost, path, "admin", webUI, ask)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", text)
	require.Equal(t, webUI, res.Header.Get("Access-Control-Allow-Origin"))
	var got own.Payloads
	require.NoError(t, json.Unmarshal(text, &got))
	require.JSONEq(t, `{"reason":"step smoke failed"}`, string(got.Payloads[0].Data))
	require.Equal(t, "json/plain", string(got.Payloads[0].Metadata["encoding"]))
	require.Equal(t, open, got.Payloads[1], "payloads from before encryption pass")

	res, _ = browse(k, http.MethodPost, path, "olga", webUI, ask)
	require.Equal(t, http.StatusForbidden, res.StatusCode, "histories are of all projects")

	res, _ = browse(k, http.MethodPost, path, "admin", "https://evil.example.com", ask)
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
	res, _ = browse(k, http.MethodOptions, path, "", "https://evil.example.com", nil)
	require.Equal(t, http.StatusNotFound, res.StatusCode)

	res, _ = browse(k, http.MethodPost, "/api/v1/slipway/tokens/", "admin", webUI, map[string]any{"name": "mine"})
	require.Equal(t, http.StatusForbidden, res.StatusCode, "the Web UI's pages change nothing")
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))

	damaged := bytes.Clone(sealed[0].GetData())
	damaged[len(damaged)-1] ^= 1
	res, text = browse(k, http.MethodPost, path, "admin", webUI, own.Payloads{Payloads: []own.Payload{{Metadata: sealed[0].GetMetadata(), Data: damaged}}})
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Contains(t, string(text), "not encrypted with this installation's key")
}
