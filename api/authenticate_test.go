package api

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/keyring"
	"slipway/internal/password"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

const annsPassword = "correct horse battery"

// identities is a store with a few people in it, an authenticator over it, and a clock that tests move.
type identities struct {
	*StoreAuthenticator
	store   *models.Store
	path    string
	elapsed atomic.Int64
	ann     *models.User
	token   string // ann's
}

var annsHash = sync.OnceValues(func() (string, error) { return password.Hash(context.Background(), annsPassword) })

func newIdentities(t *testing.T, o AuthenticatorOptions) *identities {
	t.Helper()
	i := &identities{path: filepath.Join(t.TempDir(), "slipway.db")}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { return start.Add(time.Duration(i.elapsed.Load())) }
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	i.store, err = models.Open(t.Context(), "sqlite:"+i.path, models.Options{Now: o.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, i.store.Close()) })
	require.NoError(t, i.store.Migrate(t.Context()))
	hash, err := annsHash()
	require.NoError(t, err)
	i.ann = &models.User{Name: "ann", Email: "ann@example.com", PasswordHash: hash}
	require.NoError(t, i.store.CreateUser(t.Context(), i.ann))
	i.token = i.newToken(t, &models.Token{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID})
	i.StoreAuthenticator, err = NewAuthenticator(i.store, o)
	require.NoError(t, err)
	return i
}

func (i *identities) newToken(t *testing.T, tok *models.Token) string {
	t.Helper()
	secret, err := i.store.CreateToken(t.Context(), tok)
	require.NoError(t, err)
	return secret
}

func (i *identities) move(d time.Duration) { i.elapsed.Add(int64(d)) }

// elsewhere changes the database as another process would: without this process's caches hearing of it.
func (i *identities) elsewhere(t *testing.T, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", i.path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

// request makes a request with headers given as "Name: value".
func request(method string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://slipway.example.com/", nil)
	r.RemoteAddr = "192.0.2.7:1234"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimPrefix(value, " "))
	}
	return r
}

func basic(user, text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+text))
}

func (i *identities) who(t *testing.T, headers ...string) policies.Subject {
	t.Helper()
	s, err := i.Authenticate(t.Context(), request("GET", headers...))
	require.NoError(t, err)
	return s
}

func (i *identities) refuses(t *testing.T, kind problem.Kind, headers ...string) error {
	t.Helper()
	s, err := i.Authenticate(t.Context(), request("GET", headers...))
	require.True(t, problem.Is(err, kind), "%v: %v", headers, err)
	require.Zero(t, s.ID)
	return err
}

func TestCredentials(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	for _, headers := range [][]string{
		{"X-Escape-Token: " + i.token},
		{"Authorization: Bearer " + i.token},
		{"Authorization: bearer   " + i.token},
		{"Authorization: Token " + i.token},
		{"Authorization: " + i.token},
		{"Cookie: X-Escape-Token=" + i.token},
		{basic("ann", annsPassword)},
		{basic("ANN", annsPassword)},
		{basic("ann@example.com", annsPassword)},
		{basic("ann", i.token)},
		{basic("token", i.token)},
		{basic("", i.token)},
		{"X-Escape-Token:", basic("ann", annsPassword)},
		{"X-Escape-Token: " + i.token, basic("ann", annsPassword)},
		{"X-Escape-Token: " + i.token, "Cookie: X-Escape-Token=" + i.token, "Authorization: Bearer " + i.token},
	} {
		s := i.who(t, headers...)
		require.Equal(t, policies.KindUser, s.Kind, "%v", headers)
		require.Equal(t, i.ann.ID, s.ID, "%v", headers)
		require.Equal(t, "ann", s.Name)
	}
	for _, headers := range [][]string{{}, {"X-Escape-Token:"}, {"X-Escape-Token:   "}, {"Authorization:"}, {"Cookie: X-Escape-Token="}, {"Cookie: other=1"}} {
		require.Equal(t, policies.KindAnonymous, i.who(t, headers...).Kind, "%v", headers)
	}
}

// S1: whatever is not a good credential is refused, also beside a good one.
func TestS1BadCredentials(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{Limits: LoginLimits{PerPair: 1000, PerAccount: 1000, PerAddress: 1000, Decay: time.Second}})
	good := "X-Escape-Token: " + i.token
	for _, bad := range []string{
		"X-Escape-Token: nothing",
		"X-Escape-Token: slw_",
		"X-Escape-Token: " + i.token + "x",
		"X-Escape-Token: " + i.token[:len(i.token)-1],
		"X-Escape-Token: " + strings.ToUpper(i.token),
		"X-Escape-Token: slw_" + strings.Repeat("A", 100_000),
		"X-Escape-Token: slw_\x00",
		"X-Escape-Token: slw_\xff",
		"X-Escape-Token: slw_' OR 1=1 --",
		"Authorization: Bearer nothing",
		"Authorization: Bearer",
		"Authorization: Bearer " + models.HashToken(i.token),
		"Authorization: Token",
		"Authorization: Digest username=ann",
		"Authorization: nothing",
		"Authorization: Basic",
		"Authorization: Basic !!!",
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("no colon")),
		basic("ann", ""),
		basic("", ""),
		basic("ann", "wrong password"),
		basic("ann", annsPassword+" "),
		basic("bob", annsPassword),
		basic("", annsPassword),
		basic("ann\x00", annsPassword),
		basic("ann", "slw_wrong"),
		basic("' OR 1=1 --", annsPassword),
		"Cookie: X-Escape-Token=nothing",
		"Cookie: X-Escape-Token=slw_nothing",
	} {
		i.refuses(t, problem.Unauthenticated, bad)
		i.refuses(t, problem.Unauthenticated, bad, good)
	}
	i.refuses(t, problem.Unauthenticated, good, good, good, good, good)
}

func TestFirstCredentialIsTheCaller(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	bob := &models.User{Name: "bob"}
	require.NoError(t, i.store.CreateUser(t.Context(), bob))
	bobs := i.newToken(t, &models.Token{SubjectKind: models.SubjectUser, SubjectID: bob.ID, Role: policies.RoleRead})
	s := i.who(t, "Cookie: X-Escape-Token="+i.token, basic("ann", annsPassword), "X-Escape-Token: "+bobs)
	require.Equal(t, "bob", s.Name)
	require.Equal(t, policies.RoleRead, s.Token.Role, "the limits of the explicit token hold")
}

// S1: expired, revoked, disabled, removed.
func TestS1EndedCredentials(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ctx := t.Context()
	soon := i.options.Now().Add(500 * time.Millisecond)
	short := i.newToken(t, &models.Token{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID, ExpiresAt: &soon})
	i.who(t, "X-Escape-Token: "+short)
	i.move(500 * time.Millisecond)
	require.ErrorContains(t, i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+short), "expired", "also while the cache still has it")
	require.Equal(t, policies.KindAnonymous, i.who(t, "Cookie: X-Escape-Token="+short).Kind, "a browser sends an ended login's cookie until the next login")

	revoked := &models.Token{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID}
	secret := i.newToken(t, revoked)
	i.who(t, "X-Escape-Token: "+secret)
	require.NoError(t, i.store.RevokeToken(ctx, revoked.ID))
	require.ErrorContains(t, i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+secret), "revoked")

	i.who(t, basic("ann", annsPassword))
	require.NoError(t, i.store.SetDisabled(ctx, i.ann.ID, true))
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+i.token)
	i.refuses(t, problem.Unauthenticated, basic("ann", annsPassword))
	i.refuses(t, problem.Unauthenticated, "Cookie: X-Escape-Token="+i.token)
	require.NoError(t, i.store.SetDisabled(ctx, i.ann.ID, false))
	i.who(t, "X-Escape-Token: "+i.token)
	require.NoError(t, i.store.DeleteUser(ctx, i.ann.ID))
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+i.token)
	i.refuses(t, problem.Unauthenticated, basic("ann", annsPassword))
}

// S6: who is removed through another process is out within a second.
func TestS6RemovedElsewhereIsOutWithinASecond(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	i.who(t, "X-Escape-Token: "+i.token)
	i.who(t, basic("ann", annsPassword))
	i.elsewhere(t, "UPDATE users SET disabled = 1 WHERE id = ?", i.ann.ID)
	i.move(999 * time.Millisecond)
	i.who(t, "X-Escape-Token: "+i.token)
	i.move(time.Millisecond)
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+i.token)
	i.refuses(t, problem.Unauthenticated, basic("ann", annsPassword))

	i.elsewhere(t, "UPDATE users SET disabled = 0 WHERE id = ?", i.ann.ID)
	s := i.who(t, "X-Escape-Token: "+i.token)
	i.elsewhere(t, "UPDATE tokens SET revoked_at = ? WHERE subject_id = ?", i.options.Now(), i.ann.ID)
	_, err := i.Refresh(t.Context(), s)
	require.True(t, problem.Is(err, problem.Unauthenticated), "an open stream asks past the cache: %v", err)
	i.move(time.Second)
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+i.token)
}

// S6: who asks again and again, as open streams do, says how old an answer may be.
func TestS6StreamsAreToldOfAChangeElsewhereBeforeTheSecondIsOver(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Escape-Token", i.token)
	ask := func() error {
		_, err := i.Authenticate(WithMaxAge(t.Context(), 400*time.Millisecond), r)
		return err
	}
	require.NoError(t, ask())
	i.elsewhere(t, "UPDATE users SET disabled = 1 WHERE id = ?", i.ann.ID)
	i.move(399 * time.Millisecond)
	require.NoError(t, ask())
	i.move(time.Millisecond)
	require.True(t, problem.Is(ask(), problem.Unauthenticated))
	_, err := i.Authenticate(t.Context(), r)
	require.NoError(t, err, "others go on with what was read less than a second ago")
}

// Who makes a project can use it in his next request.
func TestNewGrantCountsAtOnce(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ctx := t.Context()
	require.Empty(t, i.who(t, "X-Escape-Token: "+i.token).Grants)
	require.Empty(t, i.who(t, basic("ann", annsPassword)).Grants)
	p := &models.Project{Name: "shop"}
	require.NoError(t, i.store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.CreateProject(ctx, p); err != nil {
			return err
		}
		return tx.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: policies.RoleOwner})
	}))
	want := []policies.Grant{{Scope: p.ID, Role: policies.RoleOwner}}
	require.Equal(t, want, i.who(t, "X-Escape-Token: "+i.token).Grants)
	require.Equal(t, want, i.who(t, basic("ann", annsPassword)).Grants)

	s := i.who(t, "X-Escape-Token: "+i.token)
	i.elsewhere(t, "DELETE FROM grants")
	fresh, err := i.Refresh(ctx, s)
	require.NoError(t, err)
	require.Empty(t, fresh.Grants)
	require.Equal(t, s.Token.ID, fresh.Token.ID)
}

// newExecution makes an execution that is open, with its token.
func (i *identities) newExecution(t *testing.T) (id, token string) {
	t.Helper()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keys.json"))
	require.NoError(t, err)
	i.store.UseEncrypter(keys)
	e, _, err := i.store.CreateExecution(t.Context(), models.NewExecution{Kind: models.KindBuild, ProjectID: "p", SubjectID: models.NewID(), SubjectName: "web",
		Definition: models.BuildDefinition{Name: "web"}})
	require.NoError(t, err)
	token, err = i.store.RunToken(e.ID)
	require.NoError(t, err)
	return e.ID, token
}

// S5: what a token may do at most comes with the subject.
func TestS5TokenLimits(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	secret := i.newToken(t, &models.Token{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID, Role: policies.RoleRead, Scopes: []string{"p1"}})
	s := i.who(t, "Authorization: Bearer "+secret)
	require.Equal(t, policies.RoleRead, s.Token.Role)
	require.Equal(t, []string{"p1"}, s.Token.Scopes)

	execution, run := i.newExecution(t)
	s = i.who(t, "X-Escape-Token: "+run)
	require.Equal(t, policies.KindRun, s.Kind)
	require.Equal(t, execution, s.Execution)
	require.Empty(t, s.Grants)
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+run[:len(run)-3]+"AAA")
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: slw_run_")
	_, err := i.store.FinishExecution(t.Context(), execution, models.StatusOK, "")
	require.NoError(t, err)
	i.move(time.Second)
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+run)

	org, err := i.store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
	require.NoError(t, err)
	robot := &models.ServiceAccount{OrganizationID: org.ID, Name: "robot"}
	require.NoError(t, i.store.CreateServiceAccount(t.Context(), robot))
	robots := i.newToken(t, &models.Token{SubjectKind: models.SubjectServiceAccount, SubjectID: robot.ID})
	require.Equal(t, policies.KindServiceAccount, i.who(t, "X-Escape-Token: "+robots).Kind)
	i.refuses(t, problem.Unauthenticated, basic("robot", annsPassword))
	require.NoError(t, i.store.SetServiceAccountDisabled(t.Context(), robot.ID, true))
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+robots)
}

// S17: wrong passwords are counted for account and address, and forgotten with time.
func TestS17BruteForce(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{Limits: LoginLimits{PerPair: 3, PerAccount: 5, PerAddress: 7, Decay: 10 * time.Second}})
	from := func(address, user, text string) error {
		r := request("GET", basic(user, text))
		r.RemoteAddr = address
		_, err := i.Authenticate(t.Context(), r)
		return err
	}
	is := func(kind problem.Kind, err error) {
		t.Helper()
		require.True(t, problem.Is(err, kind), "expected %s: %v", kind, err)
	}
	for range 3 {
		is(problem.Unauthenticated, from("192.0.2.1:1", "ann", "wrong"))
	}
	err := from("192.0.2.1:2", "ann", annsPassword)
	is(problem.TooMany, err)
	var p *problem.Error
	require.ErrorAs(t, err, &p)
	require.Equal(t, 10*time.Second, p.RetryAfter)
	i.who(t, "X-Escape-Token: "+i.token) // tokens are not affected

	require.NoError(t, from("192.0.2.2:1", "ann", annsPassword), "the owner gets in from elsewhere")
	require.NoError(t, from("192.0.2.1:1", "ann", annsPassword), "and what was right a moment ago is not asked again")

	is(problem.Unauthenticated, from("192.0.2.3:1", "ann", "wrong"))
	is(problem.Unauthenticated, from("192.0.2.3:1", "ann", "wrong"))
	is(problem.TooMany, from("192.0.2.4:1", "ann", "wrong")) // five for the account, from three addresses

	i.move(10 * time.Second)
	is(problem.Unauthenticated, from("192.0.2.1:1", "ann", "wrong")) // one is forgotten
	is(problem.TooMany, from("192.0.2.1:1", "ann", "wrong"))

	i.move(time.Hour)
	for n := range 7 {
		is(problem.Unauthenticated, from("[2001:db8::1]:1", fmt.Sprintf("guess%d", n), "wrong"))
	}
	is(problem.TooMany, from("[2001:db8::ffff]:1", "guess-more", "wrong")) // the same network
	is(problem.Unauthenticated, from("[2001:db8:1::1]:1", "guess-more", "wrong"))
}

// S17, S19: many attempts at once do not all slip through before the first is counted.
func TestS17BruteForceInParallel(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{Limits: LoginLimits{PerPair: 4, PerAccount: 100, PerAddress: 100, Decay: time.Minute}})
	var tried, refused atomic.Int32
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			_, err := i.Authenticate(t.Context(), request("GET", basic("ann", fmt.Sprintf("wrong %d", n))))
			switch {
			case problem.Is(err, problem.Unauthenticated):
				tried.Add(1)
			case problem.Is(err, problem.TooMany):
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 4, tried.Load())
	require.EqualValues(t, 60, refused.Load())
}

func TestLoginLimiterIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLoginLimiter(LoginLimits{PerPair: 1, PerAccount: 1, PerAddress: 10, Decay: time.Second}, func() time.Time { return now })
	for n := range maxBuckets {
		l.take(fmt.Sprint("name", n), fmt.Sprint("address", n%20_000))
	}
	require.LessOrEqual(t, len(l.buckets), maxBuckets+3)
	now = now.Add(time.Hour)
	giveBack, wait := l.take("ann", "here")
	require.Zero(t, wait)
	giveBack()
	l.prune(now)
	_, wait = l.take("ann", "here")
	require.Zero(t, wait, "a right password is no attempt")
}

// A password that was right is remembered by a keyed hash only, and forgotten when it changes.
func TestVerifiedPasswords(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{Limits: LoginLimits{PerPair: 1, PerAccount: 1, PerAddress: 1, Decay: time.Hour}})
	for range 50 {
		i.who(t, basic("ann", annsPassword))
	}
	for key := range i.verified.cache.m {
		require.NotContains(t, key, "horse")
		require.Len(t, key, 64)
	}
	hash, err := password.Hash(t.Context(), "another good password")
	require.NoError(t, err)
	require.NoError(t, i.store.SetPassword(t.Context(), i.ann.ID, hash))
	i.who(t, basic("ann", "another good password"))
	i.refuses(t, problem.Unauthenticated, basic("ann", annsPassword))
}

// S17: a page of another site changes nothing with what the browser adds by itself.
func TestS17CrossSite(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{TrustedOrigins: []string{"https://ui.example.com"}})
	cookie, pass, header := "Cookie: X-Escape-Token="+i.token, basic("ann", annsPassword), "X-Escape-Token: "+i.token
	const evil, site = "Origin: https://evil.example.com", "Sec-Fetch-Site: cross-site"
	upgrade := []string{"Upgrade: WebSocket", "Connection: Upgrade"}
	for _, c := range []struct {
		method  string
		headers []string
		allowed bool
	}{
		{"POST", []string{cookie, site}, false},
		{"POST", []string{cookie, "Sec-Fetch-Site: same-site"}, false},
		{"POST", []string{cookie, evil}, false},
		{"PUT", []string{cookie, evil}, false},
		{"PATCH", []string{cookie, evil}, false},
		{"DELETE", []string{cookie, evil}, false},
		{"POST", []string{pass, evil}, false},
		{"POST", []string{basic("x", i.token), evil}, false},
		{"GET", append(upgrade, cookie, evil), false},
		{"POST", []string{cookie, "Origin: null"}, false},
		{"GET", []string{cookie, site}, true},
		{"POST", []string{cookie}, true}, // no browser
		{"POST", []string{cookie, "Sec-Fetch-Site: same-origin"}, true},
		{"POST", []string{cookie, "Origin: http://slipway.example.com"}, true},
		{"POST", []string{cookie, "Origin: https://ui.example.com", site}, true},
		{"POST", []string{header, evil, site}, true}, // no page of another site can add this header
		{"POST", []string{header, cookie, evil}, true},
		{"GET", append(upgrade, cookie, "Origin: http://slipway.example.com"), true},
		{"POST", []string{evil}, true}, // nobody
	} {
		_, err := i.Authenticate(t.Context(), request(c.method, c.headers...))
		if c.allowed {
			require.NoError(t, err, "%s %v", c.method, c.headers)
		} else {
			require.True(t, problem.Is(err, problem.Forbidden), "%s %v: %v", c.method, c.headers, err)
		}
	}
	_, err := NewAuthenticator(i.store, AuthenticatorOptions{TrustedOrigins: []string{"ui.example.com"}})
	require.ErrorContains(t, err, "trusted origin")
}

func TestAuthenticationOff(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{None: true})
	for _, h := range [][]string{{}, {"X-Escape-Token: garbage"}, {basic("x", "y")}, {"Authorization: Digest x"}, {"X-Escape-Token: " + i.token}} {
		s := i.who(t, h...)
		require.Equal(t, "anonymous-admin", s.ID, "%v", h)
		require.True(t, s.Admin)
	}
	execution, run := i.newExecution(t)
	require.Equal(t, execution, i.who(t, "X-Escape-Token: "+run).Execution, "a run is still itself")
	_, err := i.Authenticate(t.Context(), request("POST", "Sec-Fetch-Site: cross-site"))
	require.True(t, problem.Is(err, problem.Forbidden), "a web page must not use the reader's network: %v", err)
	s, err := i.Refresh(t.Context(), AnonymousAdmin)
	require.NoError(t, err)
	require.True(t, s.Admin)
}

func TestLogin(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ctx := t.Context()
	r := request("POST")
	first, err := i.Login(ctx, r, "Ann", annsPassword)
	require.NoError(t, err)
	require.Equal(t, "ann", i.who(t, "X-Escape-Token: "+first.Secret).Name)
	require.Equal(t, i.options.Now().Add(12*time.Hour), first.Expires)

	// S17: a login always makes a new token; what the request carried is not taken over.
	second, err := i.Login(ctx, request("POST", "Cookie: X-Escape-Token="+first.Secret), "ann", annsPassword)
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, second.Secret)

	for _, c := range [][2]string{{"ann", "wrong password"}, {"bob", annsPassword}, {"ann", ""}, {"", ""}, {"bob", i.token}, {"ann", "slw_nothing"}} {
		_, err := i.Login(ctx, r, c[0], c[1])
		require.True(t, problem.Is(err, problem.Unauthenticated), "%v: %v", c, err)
	}

	require.NoError(t, i.Logout(ctx, request("GET", "X-Escape-Token: "+first.Secret)))
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+first.Secret)
	i.who(t, "X-Escape-Token: "+second.Secret)
	require.NoError(t, i.Logout(ctx, request("GET", "X-Escape-Token: "+i.token)))
	i.who(t, "X-Escape-Token: "+i.token) // a token that no login made stays

	// S17: log out everywhere.
	require.NoError(t, i.store.EndSessions(ctx, models.SubjectUser, i.ann.ID))
	i.refuses(t, problem.Unauthenticated, "X-Escape-Token: "+second.Secret)

	log, err := i.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: "session:create"})
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, "ann", log[0].ActorName)
	require.Equal(t, "192.0.2.7", log[0].Detail["address"])
	for _, e := range log {
		require.NotContains(t, fmt.Sprint(e), "slw_")
	}
}

// S5, S6: a login with a limited token is no way around its limits.
func TestS6LoginWithLimitedToken(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	ends := i.options.Now().Add(time.Hour)
	limited := i.newToken(t, &models.Token{SubjectKind: models.SubjectUser, SubjectID: i.ann.ID, Role: policies.RoleRead, Scopes: []string{"p1"}, ExpiresAt: &ends})
	s, err := i.Login(t.Context(), request("POST"), "ann", limited)
	require.NoError(t, err)
	require.Equal(t, ends, s.Expires)
	got := i.who(t, "X-Escape-Token: "+s.Secret)
	require.Equal(t, policies.RoleRead, got.Token.Role)
	require.Equal(t, []string{"p1"}, got.Token.Scopes)
	_, run := i.newExecution(t)
	_, err = i.Login(t.Context(), request("POST"), "run", run)
	require.True(t, problem.Is(err, problem.Unauthenticated))
}

func TestSessionCookie(t *testing.T) {
	s := Session{Secret: "slw_x", Expires: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	require.Equal(t, "X-Escape-Token=slw_x; Path=/; Expires=Sun, 01 Mar 2026 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax", s.Cookie(true).String())
	require.NotContains(t, s.Cookie(false).String(), "Secure")
	require.Contains(t, EndedCookie(true).String(), "Max-Age=0")
}

// R3: a database that is away is no wrong credential.
func TestR3DatabaseAway(t *testing.T) {
	i := newIdentities(t, AuthenticatorOptions{})
	i.elsewhere(t, "ALTER TABLE tokens RENAME TO away")
	_, err := i.Authenticate(t.Context(), request("GET", "X-Escape-Token: "+i.token))
	require.Error(t, err)
	require.False(t, problem.Is(err, problem.Unauthenticated), "%v", err)
	i.elsewhere(t, "ALTER TABLE away RENAME TO tokens")
	i.who(t, "X-Escape-Token: "+i.token)
}

// S20: nothing in the headers makes the reader of credentials fail, and nothing but a token or a password comes out.
func FuzzCredentials(f *testing.F) {
	for _, s := range []string{"", "Bearer x", "Basic YTpi", "Basic", "slw_x", "Token  ", "bearer\tx", "Basic \xff"} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, header, authorization, cookie string) {
		r := &http.Request{Header: http.Header{TokenHeader: {header}, "Authorization": {authorization}, "Cookie": {TokenHeader + "=" + cookie}}}
		found, err := credentialsOf(r)
		if err != nil {
			require.True(t, problem.Is(err, problem.Unauthenticated))
			return
		}
		for _, c := range found {
			require.True(t, (c.token == "") != (c.password == ""), "%+v", c)
		}
	})
}
