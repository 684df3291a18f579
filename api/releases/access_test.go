package releases_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/api/releases"
	"slipway/models"
	"slipway/policies"
)

// people are tokens of users with each role on the project shop, and of others.
type people struct {
	t      *testing.T
	s      *server
	shop   *models.Project
	tokens map[string]string
}

func newPeople(t *testing.T, s *server) *people {
	t.Helper()
	ctx := t.Context()
	p := &people{t: t, s: s, shop: &models.Project{Name: "shop"}, tokens: map[string]string{"nobody": "", "garbage": "slw_nothing", "bearer": "nothing"}}
	require.NoError(t, s.store.CreateProject(ctx, p.shop))
	other := &models.Project{Name: "other"}
	require.NoError(t, s.store.CreateProject(ctx, other))
	for name, role := range map[string]string{"reader": policies.RoleRead, "writer": policies.RoleWrite, "owner": policies.RoleOwner} {
		p.add(name, p.shop.ID, role)
	}
	p.add("stranger", other.ID, policies.RoleOwner)
	p.add("admin", "", "")
	return p
}

// add makes a user with a role on a project; one without a project is an administrator.
func (p *people) add(name, project, role string) *models.User {
	p.t.Helper()
	ctx := p.t.Context()
	u := &models.User{Name: name, Admin: project == ""}
	require.NoError(p.t, p.s.store.CreateUser(ctx, u))
	if project != "" {
		require.NoError(p.t, p.s.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: project, Role: role}))
	}
	p.token(name, &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: name})
	return u
}

func (p *people) token(name string, t *models.Token) {
	p.t.Helper()
	secret, err := p.s.store.CreateToken(p.t.Context(), t)
	require.NoError(p.t, err)
	p.tokens[name] = secret
}

// S1: every row with every kind of caller. Rows that change something come from a fresh namespace each time.
func TestS1EveryRowWithEveryCaller(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	u, err := s.store.UserByName(t.Context(), "owner")
	require.NoError(t, err)
	// A token that was made yesterday and has ended since.
	past := time.Now().Add(-time.Hour)
	yesterday, err := models.Open(t.Context(), s.store.URL(), models.Options{Now: func() time.Time { return past.Add(-time.Hour) }})
	require.NoError(t, err)
	p.tokens["expired"], err = yesterday.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "expired", ExpiresAt: &past})
	require.NoError(t, err)
	require.NoError(t, yesterday.Close())
	revoked := &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "revoked"}
	p.token("revoked", revoked)
	require.NoError(t, s.store.RevokeToken(t.Context(), revoked.ID))

	reset := func() {
		t.Helper()
		s.do(http.MethodDelete, inv+"/shop/hard-delete", p.tokens["admin"], "")
		for _, v := range []string{"1", "2"} {
			a := s.do(http.MethodPost, inv+"/shop/register", p.tokens["owner"], `{"name":"app","version":"`+v+`"}`)
			require.Equal(t, 200, a.status, a.body)
		}
		require.Equal(t, 200, s.upload(inv+"/shop/units/app/versions/v2/upload", p.tokens["owner"], packageOf(t, `{"name":"app","version":"2"}`, nil)).status)
	}
	contentType, archive := form(t, "file", "x.tgz", packageOf(t, `{"name":"app","version":"1"}`, nil))
	bodies := map[string]string{
		"updateNamespace": `{"name":"shop"}`, "updateNamespaceHooks": `{}`, "updateUnitHooks": `{}`, "registerRelease": `{"name":"app","version":"3"}`,
		"tagRelease": `{"release_id":"shop/app-v1","tag":"ci"}`, "uploadPackage": string(archive), "searchReleases": `{}`,
		"addNamespace": `{"name":"shop2","project":"shop"}`, "addNamespaceInternal": `{"name":"shop3","project":"shop"}`, "secretTokenLogin": `{}`,
	}
	// What a good call answers, where it is not 200; and the weakest role that may make it.
	success := map[string]int{"updateNamespace": 201, "updateNamespaceHooks": 201, "updateUnitHooks": 201, "secretTokenLogin": 400, "redeemToken": 400}
	weakest := map[string]string{"tagRelease": "writer", "registerRelease": "writer", "uploadPackage": "writer", "updateNamespace": "owner",
		"hardDeleteNamespace": "owner", "getNamespaceHooks": "owner", "updateNamespaceHooks": "owner", "getUnitHooks": "owner", "updateUnitHooks": "owner",
		"addNamespace": "owner", "addNamespaceInternal": "owner"}
	rank := map[string]int{"reader": 1, "writer": 2, "owner": 3, "admin": 4}
	for _, row := range s.group.Rows {
		reset()
		path := strings.NewReplacer("{namespace}", "shop", "{name}", "app", "{version}", "v2", "{diffWith}", "v1").Replace(row.Path)
		if row.Operation == "uploadPackage" {
			path = strings.Replace(path, "/v2/", "/v1/", 1)
		}
		for _, who := range []string{"nobody", "garbage", "bearer", "expired", "revoked", "stranger", "reader", "writer", "owner", "admin"} {
			want := 200
			if c, ok := success[row.Operation]; ok {
				want = c
			}
			need := 1
			if w, ok := weakest[row.Operation]; ok {
				need = rank[w]
			}
			named := strings.Contains(row.Path, "{namespace}") && row.Operation != "addNamespace" // the body names it
			switch {
			case strings.HasPrefix(row.Path, "/api/v1/auth/"):
				// How to get a credential asks for none, and takes no offence at an old one.
			case who == "garbage" || who == "bearer" || who == "expired" || who == "revoked":
				want = 401
			case row.Permission.Public:
			case who == "nobody":
				want = 401
			case row.Operation == "getNextVersion":
				// Says nothing about what the caller may not see.
			case who == "stranger" && !named:
				want = 400 // there is no such project, as far as it knows
			case who == "stranger":
				want = 404
			case rank[who] < need:
				want = 403
			}
			if need > 1 && want < 300 || row.Operation == "hardDeleteNamespace" {
				reset()
				s.do(http.MethodDelete, inv+"/shop2/hard-delete", p.tokens["admin"], "")
				s.do(http.MethodDelete, inv+"/shop3/hard-delete", p.tokens["admin"], "")
			}
			header := []string{"Content-Type", "application/json"}
			if row.Operation == "uploadPackage" {
				header[1] = contentType
			}
			if who == "bearer" {
				header = append(header, "Authorization", "Bearer nothing")
			}
			a := s.do(row.Method, path, map[bool]string{false: p.tokens[who], true: ""}[who == "bearer"], bodies[row.Operation], header...)
			require.Equal(t, want, a.status, "%s %s as %s: %s", row.Method, path, who, a.body)
			if want == 404 || want == 401 {
				require.Empty(t, a.body)
			}
			if row.Operation == "getNextVersion" && who == "stranger" {
				require.Equal(t, "0", a.body)
			}
		}
	}
}

// S2, S4: what a caller may not see is in no list, no search, no graph, and no count.
func TestS4ListsShowOnlyWhatTheCallerMaySee(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, database string) {
		s := newServer(t, options{mode: releases.LoginTokens, database: database})
		p := newPeople(t, s)
		post := func(path, token, body string) {
			t.Helper()
			a := s.do(http.MethodPost, path, token, body)
			require.Equal(t, 200, a.status, a.body)
		}
		post(inv+"/shop/register", p.tokens["owner"], `{"name":"app","version":"1","description":"findme","provides":["web"]}`)
		post(inv+"/other/register", p.tokens["stranger"], `{"name":"app","version":"7","description":"findme","provides":["web"],"depends":["shop/app-v1"]}`)
		post(inv+"/orphan/register", p.tokens["admin"], `{"name":"app","version":"8","description":"findme","provides":["web"]}`)

		names := func(token, path string) map[string]any {
			t.Helper()
			return decode[map[string]any](t, s.do(http.MethodGet, path, token, "").body)
		}
		for who, sees := range map[string][]string{"nobody": {}, "reader": {"shop"}, "owner": {"shop"}, "stranger": {"other"}, "admin": {"shop", "other", "orphan"}} {
			token := p.tokens[who]
			list := names(token, inv+"/")
			require.Len(t, list, len(sees), who)
			for _, n := range sees {
				require.Contains(t, list, n, who)
			}
			require.Len(t, names(token, inv+"/__providers?name=web"), len(sees), who)
			require.Len(t, decode[[]any](t, s.do(http.MethodPost, inv+"/search", token, `{"query":"findme"}`).body), len(sees), who)
			inProject := names(token, "/api/v1/internal/get_namespaces_for_project?project=shop")
			require.Equal(t, who != "nobody" && who != "stranger", len(inProject) == 1, who)
			require.Empty(t, names(token, "/api/v1/internal/get_namespaces_for_project?project=nothing"))
		}
		require.Equal(t, "read", names(p.tokens["reader"], inv+"/")["shop"].(map[string]any)["permission"])
		require.Equal(t, "write", names(p.tokens["writer"], inv+"/shop/")["permission"])
		require.Equal(t, "owner", names(p.tokens["owner"], inv+"/shop/")["permission"])
		require.Equal(t, "admin", names(p.tokens["admin"], inv+"/")["shop"].(map[string]any)["permission"])

		const downstream = inv + "/shop/units/app/versions/v1/downstream"
		check(t, s.do(http.MethodGet, downstream, p.tokens["reader"], ""), 200, jsonType, "[]\n")
		require.Contains(t, s.do(http.MethodGet, downstream, p.tokens["admin"], "").body, `"project":"other"`)
		const graph = inv + "/shop/units/app/versions/v1/dependency-graph"
		require.NotContains(t, s.do(http.MethodGet, graph, p.tokens["reader"], "").body, "other/app")
		require.Contains(t, s.do(http.MethodGet, graph, p.tokens["admin"], "").body, "other/app")

		// What is there and what is not look alike from outside.
		require.Equal(t, s.do(http.MethodGet, inv+"/shop/", p.tokens["stranger"], "").status, s.do(http.MethodGet, inv+"/nothing/", p.tokens["stranger"], "").status)
		check(t, s.do(http.MethodGet, inv+"/shop/units/app/next-version", p.tokens["stranger"], ""), 200, textType, "0")
		check(t, s.do(http.MethodGet, inv+"/shop/units/app/next-version", p.tokens["reader"], ""), 200, textType, "2")
	})
}

// S2: names and ids of others in a query or a body lead nowhere, and are answered like those that do not exist.
func TestS2NamesOfOthersInQueriesAndBodies(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	for who, ns := range map[string]string{"owner": "shop", "stranger": "other"} {
		for _, v := range []string{"1", "2"} {
			a := s.do(http.MethodPost, inv+"/"+ns+"/register", p.tokens[who], `{"name":"app","version":"`+v+`","provides":["of-`+ns+`"],"metadata":{"of":"`+ns+`"}}`)
			require.Equal(t, 200, a.status, a.body)
		}
		require.Equal(t, 200, s.do(http.MethodPost, inv+"/"+ns+"/units/app/tags/", p.tokens[who], `{"release_id":"`+ns+`/app-v1","tag":"of-`+ns+`"}`).status)
	}
	theirs := decode[[]struct{ ID string }](t, s.do(http.MethodPost, inv+"/search", p.tokens["stranger"], `{}`).body)
	for _, c := range []struct{ method, path, theirs, nobodys string }{
		{"POST", inv + "/search", `{"namespace":"other"}`, `{"namespace":"nothing"}`},
		{"POST", inv + "/search", `{"tag":"of-other"}`, `{"tag":"nothing"}`},
		{"POST", inv + "/search", `{"provider":"of-other"}`, `{"provider":"nothing"}`},
		{"POST", inv + "/search", `{"metadata":{"of":"other"}}`, `{"metadata":{"of":"nothing"}}`},
		{"POST", inv + "/search", `{"query":"other/"}`, `{"query":"nothing/"}`},
		{"GET", inv + "/__providers", "name=of-other", "name=of-nothing"},
		{"GET", "/api/v1/internal/get_namespaces_for_project", "project=other", "project=nothing"},
		{"GET", "/api/v1/internal/get_namespaces_for_project", "namespace=other", "namespace=nothing"},
		{"POST", inv + "/shop/units/app/tags/", `{"release_id":"other/app-v1","tag":"ci"}`, `{"release_id":"nothing/app-v1","tag":"ci"}`},
		{"POST", inv + "/shop/units/app/tags/", `{"release_id":"shop/app:of-other","tag":"ci"}`, `{"release_id":"shop/app:nothing","tag":"ci"}`},
		{"POST", "/api/v1/internal/add-namespace", `{"name":"fresh","project":"other"}`, `{"name":"fresh","project":"nothing"}`},
		{"PUT", inv + "/shop/", `{"name":"shop","project":"other"}`, `{"name":"shop","project":"nothing"}`},
	} {
		send := func(text string) answer {
			if c.method == http.MethodGet {
				return s.do(c.method, c.path+"?"+text, p.tokens["owner"], "")
			}
			return s.do(c.method, c.path, p.tokens["owner"], text)
		}
		a, b := send(c.theirs), send(c.nobodys)
		require.Equal(t, b.status, a.status, "%s %s", c.path, c.theirs)
		require.Equal(t, strings.ReplaceAll(b.body, "nothing", "other"), a.body, "%s %s", c.path, c.theirs)
	}
	// The id of somebody else's release as the place where a page begins shows no more than any other place.
	for _, r := range theirs {
		require.NotContains(t, s.do(http.MethodPost, inv+"/search", p.tokens["owner"], `{"page_from":"`+r.ID+`"}`).body, "other/")
	}
}

// Hooks hold secret addresses: they show to owners alone, wherever a namespace or a unit is shown.
func TestS9HooksShowToOwnersOnly(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	require.Equal(t, 200, s.do(http.MethodPost, inv+"/shop/register", p.tokens["owner"], `{"name":"app","version":"1"}`).status)
	const hooks = `{"events":{"secret":"canary","url":"http://canary"}}`
	require.Equal(t, 201, s.do(http.MethodPut, inv+"/shop/hooks/", p.tokens["owner"], hooks).status)
	require.Equal(t, 201, s.do(http.MethodPut, inv+"/shop/units/app/hooks/", p.tokens["owner"], hooks).status)
	for _, path := range []string{inv + "/", inv + "/shop/", inv + "/shop/units/", inv + "/shop/units/app/"} {
		require.Contains(t, s.do(http.MethodGet, path, p.tokens["owner"], "").body, "canary", path)
		require.NotContains(t, s.do(http.MethodGet, path, p.tokens["writer"], "").body, "canary", path)
	}
	entries, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{Limit: 100})
	require.NoError(t, err)
	for _, e := range entries {
		require.NotContains(t, e.Detail, "canary")
		for _, v := range e.Detail {
			require.NotContains(t, v, "canary")
		}
	}
}

// Who may make a namespace, and where.
func TestNewNamespacesNeedTheOwnerOfTheirProject(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	register := func(who, namespace string) int {
		return s.do(http.MethodPost, inv+"/"+namespace+"/register", p.tokens[who], `{"name":"app","version":"1"}`).status
	}
	require.Equal(t, 404, register("stranger", "shop"))
	require.Equal(t, 403, register("reader", "shop"))
	require.Equal(t, 403, register("writer", "shop"), "the first release makes the namespace")
	require.Equal(t, 200, register("owner", "shop"))
	require.Equal(t, 404, register("owner", "nobodys"), "without a project it is the organization's")
	require.Equal(t, 200, register("admin", "nobodys"))
	require.Equal(t, 404, register("owner", "nobodys"))
	n, err := s.store.NamespaceByName(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, p.shop.ID, *n.ProjectID)

	add := func(who, body string) answer {
		return s.do(http.MethodPost, "/api/v1/internal/add-namespace", p.tokens[who], body)
	}
	require.Equal(t, 403, add("writer", `{"name":"mine","project":"shop"}`).status)
	require.Equal(t, 400, add("owner", `{"name":"mine","project":"other"}`).status)
	require.Equal(t, 404, add("owner", `{"name":"mine"}`).status)
	require.Equal(t, 200, add("owner", `{"name":"mine","project":"shop"}`).status)
	require.Equal(t, 409, add("owner", `{"name":"mine","project":"shop"}`).status)

	// A namespace moves only between projects that the caller owns.
	move := func(who, project string) int {
		return s.do(http.MethodPut, inv+"/mine/", p.tokens[who], `{"name":"mine","project":"`+project+`"}`).status
	}
	require.Equal(t, 400, move("owner", "other"))
	require.Equal(t, 404, move("stranger", "other"))
	require.Equal(t, 201, move("admin", "other"))
	require.Equal(t, 404, s.do(http.MethodGet, inv+"/mine/", p.tokens["owner"], "").status)
	require.Equal(t, 200, s.do(http.MethodGet, inv+"/mine/", p.tokens["stranger"], "").status)
}

// S5: a token can do less than its owner.
func TestS5TokensLimit(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	require.Equal(t, 200, s.do(http.MethodPost, inv+"/shop/register", p.tokens["owner"], `{"name":"app","version":"1"}`).status)
	require.Equal(t, 200, s.do(http.MethodPost, inv+"/other/register", p.tokens["admin"], `{"name":"app","version":"1"}`).status)
	u, err := s.store.UserByName(t.Context(), "admin")
	require.NoError(t, err)
	p.token("readonly", &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "r", Role: policies.RoleRead})
	p.token("shoponly", &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "s", Scopes: []string{p.shop.ID}})
	require.Equal(t, 200, s.do(http.MethodGet, inv+"/other/", p.tokens["readonly"], "").status)
	require.Equal(t, 403, s.do(http.MethodPost, inv+"/other/register", p.tokens["readonly"], `{"name":"app","version":"2"}`).status)
	require.Equal(t, 403, s.do(http.MethodPost, "/api/v1/internal/add-namespace", p.tokens["readonly"], `{"name":"new","project":"shop"}`).status)
	require.Equal(t, 200, s.do(http.MethodGet, inv+"/shop/", p.tokens["shoponly"], "").status)
	require.Equal(t, 404, s.do(http.MethodGet, inv+"/other/", p.tokens["shoponly"], "").status)
	require.NotContains(t, s.do(http.MethodGet, inv+"/", p.tokens["shoponly"], "").body, `"other"`)
}

// S3: members of the answers that are not for the caller to set are ignored.
func TestS3MassAssignment(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	body := `{"name":"mine","project":"shop","id":"x","permission":"admin","project_id":"y","organization_id":"z","created_by":"root","hooks":{"events":{"url":"u"}}}`
	require.Equal(t, 200, s.do(http.MethodPost, "/api/v1/internal/add-namespace", p.tokens["owner"], body).status)
	require.Equal(t, 201, s.do(http.MethodPut, inv+"/mine/", p.tokens["owner"], strings.Replace(body, `"project":"shop",`, "", 1)).status)
	n, err := s.store.NamespaceByName(t.Context(), "mine")
	require.NoError(t, err)
	require.Equal(t, p.shop.ID, *n.ProjectID)
	require.Equal(t, p.shop.OrganizationID, n.OrganizationID)
	require.Equal(t, "owner", n.CreatedBy)
	require.Empty(t, n.Hooks)
	require.Contains(t, s.do(http.MethodGet, inv+"/mine/", p.tokens["owner"], "").body, `"permission":"owner"`)
}

// S24: every change has its line in the audit log, with the one who made it.
func TestS24ChangesAreAudited(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	owner := p.tokens["owner"]
	for _, c := range [][3]string{{"POST", "/shop/register", `{"name":"app","version":"1"}`}, {"POST", "/shop/units/app/tags/", `{"release_id":"shop/app-v1","tag":"ci"}`},
		{"PUT", "/shop/", `{"name":"shop"}`}, {"PUT", "/shop/hooks/", `{}`}, {"PUT", "/shop/units/app/hooks/", `{}`}} {
		require.Less(t, s.do(c[0], inv+c[1], owner, c[2]).status, 300, c[1])
	}
	require.Equal(t, 200, s.upload(inv+"/shop/units/app/versions/v1/upload", owner, packageOf(t, `{"name":"app","version":"1"}`, nil)).status)
	require.Equal(t, 200, s.do(http.MethodDelete, inv+"/shop/hard-delete", owner, "").status)
	// Refused ones change nothing and leave no line.
	require.Equal(t, 404, s.do(http.MethodDelete, inv+"/shop/hard-delete", owner, "").status)
	entries, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{ProjectID: p.shop.ID, Limit: 100})
	require.NoError(t, err)
	var have []string
	for _, e := range entries {
		require.Equal(t, "owner", e.ActorName)
		have = append(have, e.Action+" "+e.ResourceName)
	}
	require.Equal(t, []string{"namespace:delete shop", "release:upload shop/app-v1", "hook:update shop/app", "hook:update shop", "namespace:update shop",
		"release:tag shop/app-v1", "release:register shop/app-v1", "namespace:create shop"}, have)
}

// The wrapper must not hide that the authenticator below can read rights anew: the server does so before it refuses.
func TestForLoginsKeepsRefresh(t *testing.T) {
	s := newServer(t, options{mode: releases.LoginTokens})
	p := newPeople(t, s)
	auth, err := api.NewAuthenticator(s.store, api.AuthenticatorOptions{})
	require.NoError(t, err)
	wrapped, ok := releases.ForLogins(auth).(interface {
		Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error)
	})
	require.True(t, ok)
	u, err := s.store.UserByName(t.Context(), "reader")
	require.NoError(t, err)
	fresh, err := wrapped.Refresh(t.Context(), policies.Subject{Kind: policies.KindUser, ID: u.ID})
	require.NoError(t, err)
	require.Equal(t, []policies.Grant{{Scope: p.shop.ID, Role: policies.RoleRead}}, fresh.Grants)
}
