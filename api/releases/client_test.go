package releases_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/api/releases"
	"slipway/internal/password"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// client plays the command-line client: its requests, their headers and order, and what it makes of the answers.
type client struct {
	t        *testing.T
	server   string
	token    string
	user     string // Basic, for inventory calls
	password string
}

// send is one request of the client: Content-Type and X-Escape-Token on all, GET too.
func (c *client) send(method, url string, body any, bare bool) *http.Response {
	c.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(c.t, err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, r)
	require.NoError(c.t, err)
	if !bare {
		req.Header.Set("X-Escape-Token", c.token)
		req.Header.Set("Content-Type", "application/json")
		if c.password != "" {
			req.SetBasicAuth(c.user, c.password)
		}
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, res.Body.Close())
	res.Body = io.NopCloser(bytes.NewReader(b))
	return res
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(b)
}

// login is `escape login`. It returns what the command would say.
func (c *client) login(user, secret, method string) string {
	c.t.Helper()
	res := c.send(http.MethodGet, c.server+"/api/v1/auth/login-methods", nil, true)
	switch res.StatusCode {
	case 404:
		return "Authentication not required"
	case 401:
		if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic realm") {
			return "Unauthorized"
		}
		try := client{t: c.t, server: c.server, token: c.token, user: user, password: secret}
		if try.send(http.MethodGet, c.server, nil, false).StatusCode != 200 {
			return "Wrong password"
		}
		c.user, c.password = user, secret
		return "Logged in"
	case 200:
	default:
		return fmt.Sprint("status ", res.StatusCode)
	}
	var methods map[string]struct {
		Type        string
		URL         string
		RedeemToken string `json:"redeem-token"`
		RedeemURL   string `json:"redeem-url"`
	}
	require.NoError(c.t, json.Unmarshal([]byte(text(c.t, res)), &methods))
	chosen, ok := methods["service-account"]
	if user == "" || !ok {
		chosen = methods[method]
	}
	switch chosen.Type {
	case "secret-token":
		res := c.send(http.MethodPost, chosen.URL, map[string]string{"username": user, "secret_token": secret}, false)
		if res.StatusCode != 200 {
			return fmt.Sprint("status ", res.StatusCode, " ", text(c.t, res))
		}
		c.token = res.Header.Get("X-Escape-Token")
		return "Logged in"
	case "oauth":
		poll := func() *http.Response {
			return c.send(http.MethodGet, chosen.RedeemURL+"?redeem-token="+chosen.RedeemToken, nil, true)
		}
		require.Equal(c.t, 404, poll().StatusCode, "not yet")
		browse(c.t, chosen.URL, "alice", "correct horse battery")
		res := poll()
		require.Equal(c.t, 200, res.StatusCode)
		c.token = text(c.t, res)
		require.Equal(c.t, 404, poll().StatusCode, "a login is fetched once")
		return "Logged in"
	}
	return "not supported by this client"
}

// browse is what a person does in the browser: read the page, fill in the form, send it.
func browse(t *testing.T, address, user, secret string) {
	t.Helper()
	get, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	get.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	res, err := http.DefaultClient.Do(get)
	require.NoError(t, err)
	page := text(t, res)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	u, err := url.Parse(address)
	require.NoError(t, err)
	key := u.Query().Get("redeem-token")
	require.Contains(t, page, `name="redeem-token" value="`+key+`"`)
	_, action, ok := strings.Cut(page, `action="`)
	require.True(t, ok)
	action, _, _ = strings.Cut(action, `"`)
	origin := u.Scheme + "://" + u.Host
	send := func(secret, site string) *http.Response {
		post, err := http.NewRequest(http.MethodPost, origin+action, strings.NewReader(url.Values{"redeem-token": {key}, "username": {user}, "secret_token": {secret}}.Encode()))
		require.NoError(t, err)
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		post.Header.Set("Origin", origin)
		post.Header.Set("Sec-Fetch-Site", site)
		res, err := http.DefaultClient.Do(post)
		require.NoError(t, err)
		return res
	}
	require.Equal(t, 403, send(secret, "cross-site").StatusCode, "S17: no form of another site")
	wrong := send("wrong password", "same-origin")
	require.Equal(t, 401, wrong.StatusCode)
	require.Contains(t, text(t, wrong), "User or password is wrong.")
	done := send(secret, "same-origin")
	require.Equal(t, 200, done.StatusCode)
	require.Contains(t, text(t, done), "You are logged in as <strong>alice</strong>")
	require.Contains(t, done.Header.Get("Set-Cookie"), "HttpOnly; SameSite=Lax")
}

// The client understands exactly these statuses as success.
func (c *client) ok(method, path string, body any) string {
	c.t.Helper()
	res := c.send(method, c.server+path, body, false)
	b := text(c.t, res)
	require.Equal(c.t, 200, res.StatusCode, "%s %s: %s", method, path, b)
	return b
}

// push is the end of `escape run release`: next version, register, upload.
func (c *client) push(project, name, prefix string, files map[string]string, more string) string {
	c.t.Helper()
	next := c.ok(http.MethodGet, "/api/v1/inventory/"+project+"/units/"+name+"/next-version?prefix="+url.QueryEscape(prefix), nil)
	document := fmt.Sprintf(`{"api_version":15,"name":%q,"project":%q,"version":%q%s}`, name, project, next, more)
	archive := packageOf(c.t, document, files)
	m, err := release.CheckArchive(bytes.NewReader(archive), release.ID{Project: project, Name: name, Version: next}, release.DefaultLimits)
	require.NoError(c.t, err)
	c.ok(http.MethodPost, "/api/v1/inventory/"+project+"/register", m)

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", name+"-v"+next+".tgz")
	require.NoError(c.t, err)
	_, err = part.Write(archive)
	require.NoError(c.t, err)
	require.NoError(c.t, w.Close())
	req, err := http.NewRequest(http.MethodPost, c.server+"/api/v1/inventory/"+project+"/units/"+name+"/versions/v"+next+"/upload", &form)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("X-Escape-Token", c.token)
	if c.password != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, 200, res.StatusCode, text(c.t, res))
	return next
}

// pull is `escape run deploy` of a release from the inventory: look it up, check it, download, unpack.
func (c *client) pull(project, name, query string) *release.Metadata {
	c.t.Helper()
	var m release.Metadata
	require.NoError(c.t, json.Unmarshal([]byte(c.ok(http.MethodGet, "/api/v1/inventory/"+project+"/units/"+name+"/versions/"+query+"/", nil)), &m))
	require.NotEmpty(c.t, m.Name)
	require.Equal(c.t, project, m.Project)
	require.True(c.t, m.APIVersion >= 1 && m.APIVersion <= 15)
	archive := c.ok(http.MethodGet, "/api/v1/inventory/"+project+"/units/"+name+"/versions/v"+m.Version+"/download", nil)
	dir, err := os.OpenRoot(c.t.TempDir())
	require.NoError(c.t, err)
	defer dir.Close()
	_, err = release.Unpack(strings.NewReader(archive), m.ID(), release.DefaultLimits, dir)
	require.NoError(c.t, err)
	return &m
}

// work is a day with the client.
func (c *client) work() {
	c.t.Helper()
	require.Equal(c.t, "0.1.0", c.push("shop", "base", "0.1.", map[string]string{"a.sh": "echo 1\n"}, ""))
	require.Equal(c.t, "0.1.1", c.push("shop", "base", "0.1.", map[string]string{"a.sh": "echo 2\n"}, `,"provides":["base"]`))
	require.Equal(c.t, "0", c.push("shop", "web", "", nil, `,"depends":[{"release_id":"shop/base-v0.1.1"}],"errands":{"backup":{"script":"backup.sh"}}`))
	require.Equal(c.t, "0.1.1", c.pull("shop", "base", "0.1.@").Version)
	m := c.pull("shop", "web", "latest")
	require.Equal(c.t, "shop/base-v0.1.1", m.Depends[0].ReleaseID)
	require.Contains(c.t, m.Errands, "backup")

	// inventory query
	var units map[string]struct{ Versions []string }
	require.NoError(c.t, json.Unmarshal([]byte(c.ok(http.MethodGet, "/api/v1/inventory/shop/units/", nil)), &units))
	require.Len(c.t, units, 2)
	var unit struct {
		LatestVersion string `json:"latest_version"`
		Versions      []string
	}
	require.NoError(c.t, json.Unmarshal([]byte(c.ok(http.MethodGet, "/api/v1/inventory/shop/units/base/", nil)), &unit))
	require.Equal(c.t, []string{"0.1.0", "0.1.1"}, unit.Versions)
	var versions []string
	require.NoError(c.t, json.Unmarshal([]byte(c.ok(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/", nil)), &versions))
	require.Len(c.t, versions, 2)
	require.Contains(c.t, c.ok(http.MethodGet, "/api/v1/inventory/", nil), `"shop":{"name":"shop"`)
	require.Contains(c.t, c.ok(http.MethodGet, "/api/v1/inventory/__providers?name=base", nil), "shop/base-v0.1.1")

	// inventory tag, and a pull by it
	c.ok(http.MethodPost, "/api/v1/inventory/shop/units/base/tags/", map[string]string{"release_id": "shop/base-v0.1.0", "tag": "production"})
	require.Equal(c.t, "0.1.0", c.pull("shop", "base", "production").Version)

	// plan diff: the release before the one that is being made
	require.Contains(c.t, c.ok(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/0.1.1/previous/", nil), `"version":"0.1.0"`)
	require.Contains(c.t, c.ok(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/v0.1.1/diff/", nil), `"Files":{"change":[{"Path":["Files","[\"a.sh\"]"]`)
	require.Contains(c.t, c.ok(http.MethodGet, "/api/v1/inventory/shop/units/base/versions/v0.1.1/downstream", nil), `"name":"web"`)
}

func hashed(t *testing.T, text string) string {
	t.Helper()
	h, err := password.Hash(t.Context(), text)
	require.NoError(t, err)
	return h
}

// withAlice adds a project and its owner.
func withAlice(t *testing.T, s *server) *models.Project {
	t.Helper()
	ctx := t.Context()
	p := &models.Project{Name: "shop"}
	require.NoError(t, s.store.CreateProject(ctx, p))
	u := &models.User{Name: "alice", PasswordHash: hashed(t, "correct horse battery")}
	require.NoError(t, s.store.CreateUser(ctx, u))
	require.NoError(t, s.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleOwner}))
	return p
}

func TestClientWithoutAuthentication(t *testing.T) {
	s := newServer(t, options{})
	c := &client{t: t, server: s.url}
	require.Equal(t, "Authentication not required", c.login("", "", ""))
	c.work()
}

func TestClientWithBasic(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginBasic})
	withAlice(t, s)
	c := &client{t: t, server: s.url}
	require.Equal(t, "Wrong password", c.login("alice", "wrong password", ""))
	require.Equal(t, "Logged in", c.login("alice", "correct horse battery", ""))
	c.work()
	a := s.get(inv + "/shop/")
	check(t, a, 401, textType, "Not Authorized\n")
	require.Equal(t, api.BasicChallenge, a.header.Get("WWW-Authenticate"))
}

func TestClientWithSecretToken(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	withAlice(t, s)
	c := &client{t: t, server: s.url}
	require.Equal(t, "status 401 ", c.login("alice", "wrong password", ""))
	require.Equal(t, "status 401 ", c.login("nobody", "correct horse battery", ""))
	require.Contains(t, c.login("alice", "", ""), "status 400 Missing")
	require.Equal(t, "Logged in", c.login("alice", "correct horse battery", ""))
	c.work()
	require.Contains(t, s.do(http.MethodGet, inv+"/shop/units/web/", c.token, "").body, `"uploaded_by":"alice"`)
	check(t, s.get(inv+"/shop/"), 401, "", "")

	require.Equal(t, 200, s.do(http.MethodGet, "/api/v1/auth/logout", c.token, "").status)
	check(t, s.do(http.MethodGet, inv+"/shop/", c.token, ""), 401, "", "")
	old := c.token
	require.Equal(t, "Logged in", c.login("alice", "correct horse battery", ""), "the client sends its old token along")
	require.NotEqual(t, old, c.token)
	c.pull("shop", "web", "latest")
}

// A service account logs in with its name and a token that was made for it.
func TestServiceAccountLogsIn(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := withAlice(t, s)
	ctx := t.Context()
	a := &models.ServiceAccount{OrganizationID: p.OrganizationID, Name: "ci"}
	require.NoError(t, s.store.CreateServiceAccount(ctx, a))
	require.NoError(t, s.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectServiceAccount, SubjectID: a.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleOwner}))
	secret, err := s.store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectServiceAccount, SubjectID: a.ID, Name: "ci"})
	require.NoError(t, err)
	c := &client{t: t, server: s.url}
	require.Equal(t, "Logged in", c.login("ci", secret, ""))
	require.NotEqual(t, secret, c.token)
	c.work()
}

func TestClientWithBrowser(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	withAlice(t, s)
	c := &client{t: t, server: s.url}
	require.Equal(t, "Logged in", c.login("", "", "browser"))
	c.work()
}

func TestLoginRows(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens, publicURL: "https://slipway.example.com/"})
	withAlice(t, s)
	methods := decode[map[string]map[string]string](t, s.get("/api/v1/auth/login-methods").body)
	require.Equal(t, map[string]string{"type": "secret-token", "url": "https://slipway.example.com/api/v1/auth/secret-token"}, methods["service-account"])
	key := methods["browser"]["redeem-token"]
	require.GreaterOrEqual(t, len(key), 26)
	require.Equal(t, "https://slipway.example.com/api/v1/auth/redeem-token", methods["browser"]["redeem-url"])
	require.Equal(t, "https://slipway.example.com/api/v1/auth/redeem-token?redeem-token="+key, methods["browser"]["url"])

	a := s.do(http.MethodPost, "/api/v1/auth/secret-token", "", `{"username":"alice","secret_token":"correct horse battery"}`)
	check(t, a, 200, "", "")
	require.Regexp(t, "^X-Escape-Token="+a.header.Get("X-Escape-Token")+"; Path=/; Expires=.*; HttpOnly; Secure; SameSite=Lax$", a.header.Get("Set-Cookie"))
	check(t, s.do(http.MethodPost, "/api/v1/auth/secret-token", "", `{`), 400, textType, "Invalid JSON")
	check(t, s.do(http.MethodPost, "/api/v1/auth/secret-token", "", `{"username":5}`), 400, textType, "Invalid JSON")
	check(t, s.do(http.MethodPost, "/api/v1/auth/secret-token", "", `{}`), 400, textType, "Missing 'username' or 'secret_token'")
	check(t, s.get("/api/v1/auth/redeem-token"), 400, textType, "Missing parameter 'redeem-token'")
	check(t, s.get("/api/v1/auth/redeem-token?redeem-token=short"), 404, "", "")
	check(t, s.get("/api/v1/auth/redeem-token?redeem-token="+key), 404, "", "")
	// S16: the key comes from the address and is shown in the page.
	page := s.do(http.MethodGet, "/api/v1/auth/redeem-token?redeem-token="+url.QueryEscape(`"><script>alert(1)</script>xxxxxxx`), "", "", "Accept", "text/html")
	require.Equal(t, 200, page.status)
	require.NotContains(t, page.body, "<script>")

	off := newServer(t, options{})
	for _, c := range [][2]string{{"GET", "login-methods"}, {"POST", "secret-token"}, {"GET", "redeem-token"}} {
		check(t, off.do(c[0], "/api/v1/auth/"+c[1], "", "{}"), 404, "", "")
	}
	require.Equal(t, 200, off.get("/api/v1/auth/logout").status)
}

// A login that nobody fetches expires; one whose key is used twice is refused.
func TestRedemptionExpires(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	withAlice(t, s)
	u, err := s.store.UserByName(t.Context(), "alice")
	require.NoError(t, err)
	now := s.store.Now()
	key := "abcdefghijklmnopqrstuvwxyz"
	r := models.LoginRedemption{Hash: models.HashToken(key), SubjectKind: models.SubjectUser, SubjectID: u.ID, TokenExpiresAt: now.Add(1e12), ExpiresAt: now.Add(-1)}
	require.NoError(t, s.store.CreateLoginRedemption(t.Context(), &r))
	check(t, s.get("/api/v1/auth/redeem-token?redeem-token="+key), 404, "", "")
	r.ExpiresAt = now.Add(1e12)
	require.NoError(t, s.store.CreateLoginRedemption(t.Context(), &r), "the expired one is gone")
	require.ErrorIs(t, s.store.CreateLoginRedemption(t.Context(), &r), models.ErrExists)
	// Of many who ask at once, one gets the token.
	counts := together(10, func(int) int {
		a, err := s.try(http.MethodGet, "/api/v1/auth/redeem-token?redeem-token="+key, "", "")
		if err != nil {
			return 0
		}
		return a.status
	})
	require.Equal(t, map[int]int{200: 1, 404: 9}, counts)
}
