package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/app"
	"slipway/models"
)

// site is the API of a whole process, with an administrator, a stranger, and something of most nouns.
type site struct {
	*httptest.Server
	t             *testing.T
	groups        []api.Group
	admin, nobody string // tokens
}

func openSite(t *testing.T, change func(a *app.App)) *site {
	t.Helper()
	a := open(t)
	if change != nil {
		change(a)
	}
	handler, err := a.API()
	require.NoError(t, err)
	s := &site{t: t, groups: handler.Groups(), Server: httptest.NewServer(handler)}
	t.Cleanup(s.Close)
	for _, name := range []string{"admin", "stranger"} {
		u := &models.User{Name: name, Admin: name == "admin"}
		require.NoError(t, a.Store.CreateUser(t.Context(), u))
		token, err := a.Store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: name})
		require.NoError(t, err)
		if name == "admin" {
			s.admin = token
		} else {
			s.nobody = token
		}
	}
	return s
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send gives the answer to a request; header is pairs.
func (s *site) send(method, path, token, body string, header ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(s.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, res.Body.Close())
	return answer{res.StatusCode, res.Header, string(b)}
}

var parameter = regexp.MustCompile(`\{([a-zA-Z_]+)\}`)

func filled(path string, values map[string]string) string {
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		if v := values[strings.Trim(p, "{}")]; v != "" {
			return v
		}
		return "nothing"
	})
}

// S19: who sends too much is told so in the shape of each surface's errors, and when to come back.
func TestS19TooManyRequestsInEachSurfacesShape(t *testing.T) {
	s := openSite(t, func(a *app.App) { a.Config.RateCaller, a.Config.RateAddress = 1, 0 })
	require.Equal(t, 200, s.send("GET", "/api/v1/slipway/whoami", s.admin, "").status)
	for surface, c := range map[string]struct{ path, mediaType, body string }{
		"own":      {"/api/v1/slipway/whoami", "application/json", `{"error":{"kind":"too_many","message":"you send more requests than allowed: slow down","request_id":"r1"}}` + "\n"},
		"state":    {"/api/v1/state/", "text/plain; charset=utf-8", "you send more requests than allowed: slow down"},
		"releases": {"/api/v1/inventory/", "text/plain; charset=utf-8", "you send more requests than allowed: slow down"},
		"packages": {"/packages", "application/json", `{"message":"you send more requests than allowed: slow down"}` + "\n"},
		"assets":   {"/tenants/default/inventory/assets?version=2024-10-15", "application/vnd.api+json", ""},
	} {
		t.Run(surface, func(t *testing.T) {
			a := s.send("GET", c.path, s.admin, "", "X-Request-Id", "r1")
			require.Equal(t, http.StatusTooManyRequests, a.status, a.body)
			require.Regexp(t, `^([1-9]|[1-5][0-9]|60)$`, a.header.Get("Retry-After"))
			require.Equal(t, c.mediaType, a.header.Get("Content-Type"))
			if surface != "assets" {
				require.Equal(t, c.body, a.body)
				return
			}
			var document struct {
				Errors []struct{ Status, Code, Detail string }
			}
			require.NoError(t, json.Unmarshal([]byte(a.body), &document))
			require.Equal(t, "429", document.Errors[0].Status)
			require.Equal(t, "you send more requests than allowed: slow down", document.Errors[0].Detail)
		})
	}
	for range 3 {
		require.Equal(t, 200, s.send("GET", "/health", s.admin, "").status, "probes are always answered")
		require.Equal(t, 200, s.send("GET", "/ready", s.admin, "").status)
	}
}

// S18: whoever is refused for want of a credential is told which kinds there are, on every row of every surface.
func TestS18EveryRefusalNamesTheCredentials(t *testing.T) {
	s := openSite(t, nil)
	var loose []string
	for _, g := range s.groups {
		for _, row := range g.Rows {
			path := filled(row.Path, nil)
			tokens := []string{"slw_garbage"}
			if !row.Permission.Public {
				tokens = append(tokens, "")
			}
			for _, token := range tokens {
				a := s.send(row.Method, path, token, "")
				if a.status != http.StatusUnauthorized {
					loose = append(loose, row.Operation)
					continue
				}
				want := []string{api.BearerChallenge, api.BasicChallenge}
				if row.Permission.Action == "package:install" { // Composer looks at the first
					slices.Reverse(want)
				}
				require.Equal(t, want, a.header.Values("WWW-Authenticate"), row.Operation)
			}
		}
	}
	require.ElementsMatch(t, []string{"getLoginMethods", "secretTokenLogin", "logout", "redeemToken"}, loose, "who logs in may hold an old token")
	own := "/api/v1/slipway/whoami"
	require.Equal(t, []string{api.BearerChallenge}, s.send("GET", own, "", "", "Sec-Fetch-Mode", "cors").header.Values("WWW-Authenticate"),
		"the user of a page is not asked for a password by the page's scripts")
	require.Len(t, s.send("GET", own, "", "", "Sec-Fetch-Mode", "navigate").header.Values("WWW-Authenticate"), 2)
	for _, status := range []int{s.send("GET", own, s.admin, "").status, s.send("GET", "/api/v1/state/ghost/", s.admin, "").status} {
		require.NotEqual(t, 401, status)
	}
	require.Empty(t, s.send("GET", "/api/v1/state/ghost/", s.admin, "").header.Values("WWW-Authenticate"))
}

// HEAD is GET without the body, on every row that is no stream: status, headers and permission are the same.
func TestHeadIsAnsweredForEveryGet(t *testing.T) {
	var process *app.App
	s := openSite(t, func(a *app.App) { process = a })
	for _, c := range []struct{ path, body string }{
		{"/api/v1/state/shop/add-project", `{"name":"shop"}`},
		{"/api/v1/state/shop/environments/", `{"name":"dev"}`},
		{"/api/v1/state/shop/add-namespace", `{"name":"shop-ns"}`},
		{"/api/v1/state/shop/environments/dev/builds/", `{"name":"web","repo":"https://example.com/web.git","branch":"main"}`},
		{"/api/v1/pipelines/by-project/shop/add", `{"name":"ship"}`},
	} {
		a := s.send("POST", c.path, s.admin, c.body)
		require.Less(t, a.status, 300, "%s: %s", c.path, a.body)
	}
	values := map[string]string{"project": "shop", "environment": "dev", "build": "web", "pipeline": "ship", "namespace": "shop-ns", "organization": "default",
		"tenant_id": "default", "org_id": "default", "group_id": "default", "group_field": "registry", "filter_id": "registry"}
	differ := []string{"X-Request-Id", "Date", "Snyk-Request-Id"}
	good, without := 0, []string{}
	for _, g := range s.groups {
		for _, row := range g.Rows {
			if row.Method != http.MethodGet {
				continue
			}
			path := filled(row.Path, values)
			if g.Surface.Name == "assets" {
				path += "?version=2024-10-15"
			}
			for who, token := range map[string]string{"admin": s.admin, "stranger": s.nobody, "nobody": "", "garbage": "slw_garbage"} {
				head := s.send("HEAD", path, token, "")
				require.Empty(t, head.body)
				if !row.AnswersHead() {
					require.Equal(t, http.StatusNotFound, head.status, row.Operation)
					if who == "admin" {
						without = append(without, row.Operation)
					}
					continue
				}
				get := s.send("GET", path, token, "")
				for _, h := range differ {
					get.header.Del(h)
					head.header.Del(h)
				}
				if get.header.Get("Content-Length") == "0" {
					get.header.Del("Content-Length") // the server says so of bodies only
				}
				require.Equal(t, get.status, head.status, "%s as %s", row.Operation, who)
				require.Equal(t, get.header, head.header, "%s as %s", row.Operation, who)
				if get.status == 200 {
					good++
				}
			}
		}
	}
	require.Greater(t, good, 60)
	require.Equal(t, 200, s.send("HEAD", "/ready", "", "").status)
	require.ElementsMatch(t, []string{
		"logout", "redeemToken", // their GET changes something
		"getBuildLogs", "realTimeBuildLogs", "getDeploymentJobLogs", "realTimeDeploymentJobLogs", "followExecution", "exportProjectAuditLog", // streams
	}, without)
	families, err := process.Registry.Gather()
	require.NoError(t, err)
	counted := map[string]int{}
	for _, f := range families {
		if f.GetName() != "slipway_http_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "method" {
					counted[l.GetValue()] += int(m.GetCounter().GetValue())
				}
			}
		}
	}
	require.Greater(t, counted["HEAD"], 4*60, "HEAD is counted as what it is")
	require.Greater(t, counted["GET"], 4*60)
}
