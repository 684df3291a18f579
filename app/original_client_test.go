package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/password"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/models"
	"slipway/policies"
)

// originalClient plays the original client where it keeps its state at the server (-r PROJECT): its requests in their order,
// and the state that it holds itself meanwhile.
type originalClient struct {
	t       *testing.T
	server  string
	token   string
	project string
	env     *state.Environment
	puts    int
}

// send makes one request. Success is 200 and nothing else: the client takes 201 and 204 for errors (facts 1.6).
func (c *originalClient) send(method, path string, body any, want int) string {
	c.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(c.t, err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.server+path, r)
	require.NoError(c.t, err)
	req.Header.Set("X-Escape-Token", c.token)
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, want)
}

func (c *originalClient) do(req *http.Request, want int) string {
	c.t.Helper()
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, want, res.StatusCode, "%s %s: %s", req.Method, req.URL, b)
	if token := res.Header.Get("X-Escape-Token"); token != "" {
		c.token = token
	}
	return string(b)
}

// login is `escape login` by a secret token.
func (c *originalClient) login(user, secret string) {
	c.t.Helper()
	var methods map[string]struct{ Type, URL string }
	require.NoError(c.t, json.Unmarshal([]byte(c.send(http.MethodGet, "/api/v1/auth/login-methods", nil, 200)), &methods))
	require.Equal(c.t, "secret-token", methods["service-account"].Type)
	address, err := url.Parse(methods["service-account"].URL)
	require.NoError(c.t, err)
	c.send(http.MethodPost, address.Path, map[string]string{"username": user, "secret_token": secret}, 200)
	require.NotEmpty(c.t, c.token)
}

// loadState is the first request of every command that works on an environment.
func (c *originalClient) loadState(environment string) {
	c.t.Helper()
	c.env = &state.Environment{}
	require.NoError(c.t, json.Unmarshal([]byte(c.send(http.MethodGet, "/api/v1/state/"+c.project+"/environments/"+environment+"/?full=true", nil, 200)), c.env))
	require.Equal(c.t, environment, c.env.Name)
}

// put tells the server of a change, as the client does after each of them.
func (c *originalClient) put(path []string, rootStage string, change func(*state.Stage), stage string) {
	c.t.Helper()
	through := rootStage
	if len(path) == 1 {
		rootStage = ""
	}
	d := c.env.Find(path, through)
	if d == nil {
		d = &state.Deployment{Name: path[len(path)-1]}
		require.NoError(c.t, c.env.Put(path, rootStage, d))
	}
	change(d.EnsureStage(stage))
	c.puts++
	c.send(http.MethodPut, "/api/v1/state/"+c.project+"/environments/"+c.env.Name+"/deployments/?deployment="+url.QueryEscape(path[0]),
		map[string]any{"path": strings.Join(path, ":"), "root_stage": rootStage, "state": d}, 200)
}

func (c *originalClient) status(path []string, rootStage, stage string, codes ...state.Code) {
	c.t.Helper()
	for _, code := range codes {
		c.put(path, rootStage, func(s *state.Stage) {
			s.Status = &state.Status{Code: code, UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, c.puts*1000, time.UTC)}
		}, stage)
	}
}

// apply is a build or a deployment of one release: the order of writes of facts 2.1.
func (c *originalClient) apply(path []string, rootStage, stage, id, version string) {
	c.t.Helper()
	c.put(path, rootStage, func(s *state.Stage) { s.Inputs = map[string]any{"greeting": "yo"} }, stage)
	c.env.Find(path, rootStage).Release = id
	c.status(path, rootStage, stage, state.RunningPreStep)
	c.put(path, rootStage, func(s *state.Stage) {
		s.Version, s.Provides, s.CalculatedInputs = version, []string{"web"}, map[string]any{"greeting": "yo", "count": 3, "flag": true, "tags": []any{"a"}, "METADATA_author": "Alice"}
	}, stage)
	c.status(path, rootStage, stage, state.RunningMainStep)
	c.put(path, rootStage, func(s *state.Stage) { s.CalculatedOutputs = map[string]any{"url": "raw"} }, stage)
	c.status(path, rootStage, stage, state.RunningPostStep)
	c.put(path, rootStage, func(s *state.Stage) { s.CalculatedOutputs = map[string]any{"url": "http://x"} }, stage)
	c.status(path, rootStage, stage, state.OK)
}

func (c *originalClient) destroy(path []string, rootStage, stage string) {
	c.t.Helper()
	c.status(path, rootStage, stage, state.RunningPreDestroyStep, state.RunningMainDestroyStep, state.RunningPostDestroyStep)
	c.put(path, rootStage, func(s *state.Stage) { s.CalculatedInputs = nil }, stage)
	c.put(path, rootStage, func(s *state.Stage) { s.CalculatedOutputs = nil }, stage)
	c.status(path, rootStage, stage, state.Empty)
}

// push registers and uploads a release.
func (c *originalClient) push(m *release.Metadata) {
	c.t.Helper()
	var archive, form bytes.Buffer
	require.NoError(c.t, release.WriteArchive(&archive, m, fstest.MapFS{}))
	c.send(http.MethodPost, "/api/v1/inventory/"+m.Project+"/register", m, 200)
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", m.ArchiveName())
	require.NoError(c.t, err)
	_, err = part.Write(archive.Bytes())
	require.NoError(c.t, err)
	require.NoError(c.t, w.Close())
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.server+"/api/v1/inventory/"+m.Project+"/units/"+m.Name+"/versions/v"+m.Version+"/upload", &form)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("X-Escape-Token", c.token)
	c.do(req, 200)
}

func (c *originalClient) metadata(text string) *release.Metadata {
	c.t.Helper()
	m, err := release.Decode([]byte(text))
	require.NoError(c.t, err)
	return m
}

// agreed requires that the server has the state that the client holds.
func (c *originalClient) agreed() {
	c.t.Helper()
	mine, err := json.Marshal(c.env)
	require.NoError(c.t, err)
	require.JSONEq(c.t, string(mine), c.send(http.MethodGet, "/api/v1/state/"+c.project+"/environments/"+c.env.Name+"/?full=true", nil, 200))
}

// A whole day of the original client against everything at once, without Temporal: logins, `run release -r` in the order of
// its requests (facts 2.1, 3.2), deployments, errands, and what converge deletes.
func TestOriginalClientWithRemoteState(t *testing.T) {
	a := open(t)
	ctx := t.Context()
	handler, err := a.API()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p := &models.Project{Name: "shop"}
	require.NoError(t, a.Store.CreateProject(ctx, p))
	hash, err := password.Hash(ctx, "correct horse battery")
	require.NoError(t, err)
	u := &models.User{Name: "alice", PasswordHash: hash}
	require.NoError(t, a.Store.CreateUser(ctx, u))
	require.NoError(t, a.Store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleOwner}))
	c := &originalClient{t: t, server: server.URL, project: "shop"}
	c.login("alice", "correct horse battery")

	// The environment has to be there, and can be loaded before anything is in it.
	c.send(http.MethodGet, "/api/v1/state/shop/environments/dev/?full=true", nil, 404)
	c.send(http.MethodPost, "/api/v1/state/shop/environments/", map[string]string{"name": "dev"}, 200)
	c.loadState("dev")
	require.Empty(t, c.env.Deployments)
	c.push(c.metadata(`{"name":"base","project":"shop","version":"0.1.0"}`))

	// run release: compile.
	root, nested := []string{"shop/web"}, []string{"shop/web", "base"}
	var dependency release.Metadata
	require.NoError(t, json.Unmarshal([]byte(c.send(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/latest/", nil, 200)), &dependency))
	require.NotEmpty(t, c.send(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/v"+dependency.Version+"/download", nil, 200))
	next := c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/next-version?prefix=0.1.", nil, 200)
	require.Equal(t, "0.1.0", next)
	c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/versions/v"+next+"/", nil, 404) // --skip-if-exists
	c.puts = 0
	// build, test, destroy; deploy, smoke, destroy.
	for _, stage := range []string{state.StageBuild, state.StageDeploy} {
		c.apply(nested, stage, state.StageDeploy, "shop/base", dependency.Version)
		c.apply(root, stage, stage, "shop/web", next)
		c.status(root, stage, stage, state.RunningTestStep, state.OK)
		c.agreed()
		c.destroy(nested, stage, state.StageDeploy)
		c.destroy(root, stage, stage)
	}
	require.Greater(t, c.puts, 40)
	c.agreed()
	// package, push.
	web := c.metadata(fmt.Sprintf(`{"name":"web","project":"shop","version":%q,"provides":["web"],"depends":[{"release_id":"shop/base-v0.1.0","variable":"base"}],"errands":{"backup":{"script":"backup.sh"}}}`, next))
	c.push(web)
	require.Equal(t, "0.1.1", c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/next-version?prefix=0.1.", nil, 200))

	// run deploy, errands, providers.
	c.loadState("dev")
	c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/versions/0.1.@/", nil, 200)
	c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/versions/v0.1.0/download", nil, 200)
	c.apply(nested, state.StageDeploy, state.StageDeploy, "shop/base", "0.1.0")
	c.apply(root, state.StageDeploy, state.StageDeploy, "shop/web", "0.1.0")
	c.agreed()
	require.JSONEq(t, `{"web":["shop/web"]}`, c.send(http.MethodGet, "/api/v1/state/shop/environments/dev/providers/", nil, 200))
	var deployed release.Metadata
	require.NoError(t, json.Unmarshal([]byte(c.send(http.MethodGet, "/api/v1/inventory/shop/units/web/versions/v"+c.env.Deployments["shop/web"].Stages["deploy"].Version+"/", nil, 200)), &deployed))
	require.Contains(t, deployed.Errands, "backup")
	// A failure, as the client writes it, and the next try.
	c.put(root, state.StageDeploy, func(s *state.Stage) { s.Status = &state.Status{Code: state.Failure, Data: "exit status 1", Tried: 1} }, state.StageDeploy)
	c.agreed()
	// run converge: a deployment that is to be deleted goes, and others are still written.
	c.status(root, state.StageDeploy, state.StageDeploy, state.DestroyAndDeletePending)
	c.destroy(nested, state.StageDeploy, state.StageDeploy)
	c.destroy(root, state.StageDeploy, state.StageDeploy)
	c.send(http.MethodDelete, "/api/v1/state/shop/environments/dev/deployments/?deployment="+url.QueryEscape("shop/web"), nil, 200)
	delete(c.env.Deployments, "shop/web")
	c.apply([]string{"other"}, state.StageDeploy, state.StageDeploy, "shop/base", "0.1.0")
	c.agreed()

	// Without a login nothing of it works, and the client says what to do about a 401.
	c.token = "gone"
	c.send(http.MethodGet, "/api/v1/state/shop/environments/dev/?full=true", nil, 401)
	c.send(http.MethodGet, "/api/v1/inventory/shop/units/", nil, 401)
}
