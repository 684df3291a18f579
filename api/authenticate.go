package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"slipway/internal/password"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// AuthenticatorOptions configure a StoreAuthenticator. The zero value is right for most.
type AuthenticatorOptions struct {
	// None lets everybody in as an administrator. For trusted networks only.
	None bool
	// TrustedOrigins are further origins ("https://ui.example.com") whose pages may change things with the browser's
	// own credentials.
	TrustedOrigins []string
	// Address gives the caller's address where the server stands behind a proxy; nil takes the connection's.
	Address func(*http.Request) string
	// SessionTime is how long a login lasts; 0 means 12 hours.
	SessionTime time.Duration
	// Limits bound wrong passwords; the zero value means DefaultLoginLimits.
	Limits LoginLimits
	// Now replaces the clock, for tests.
	Now func() time.Time
	// Log receives refused logins; nil means slog.Default().
	Log *slog.Logger
}

// StoreAuthenticator is the Authenticator over the identities in the store.
type StoreAuthenticator struct {
	store   *models.Store
	options AuthenticatorOptions
	origins *http.CrossOriginProtection

	byToken  *identityCache[identity] // by the token's hash
	accounts *identityCache[account]  // by lower-case name or address
	verified *verifiedPasswords
	limiter  *loginLimiter
}

// identity is what a token stands for.
type identity struct {
	subject policies.Subject
	token   models.Token
}

// account is a user with his rights, as a password gives them.
type account struct {
	subject policies.Subject
	hash    string
}

// AnonymousAdmin is everybody when authentication is off.
var AnonymousAdmin = policies.Subject{Kind: policies.KindUser, ID: "anonymous-admin", Name: "anonymous-admin", Admin: true}.Prepare()

// NewAuthenticator makes an authenticator. The error is about TrustedOrigins.
func NewAuthenticator(store *models.Store, o AuthenticatorOptions) (*StoreAuthenticator, error) {
	if o.SessionTime == 0 {
		o.SessionTime = 12 * time.Hour
	}
	if o.Limits == (LoginLimits{}) {
		o.Limits = DefaultLoginLimits
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Address == nil {
		o.Address = ConnectionAddress
	}
	a := &StoreAuthenticator{
		store:    store,
		options:  o,
		origins:  http.NewCrossOriginProtection(),
		byToken:  newIdentityCache[identity](maxIdentityAge, o.Now),
		accounts: newIdentityCache[account](maxIdentityAge, o.Now),
		verified: newVerifiedPasswords(o.Now),
		limiter:  newLoginLimiter(o.Limits, o.Now),
	}
	for _, origin := range o.TrustedOrigins {
		if err := a.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted origin: %w", err)
		}
	}
	return a, nil
}

// Authenticate turns the credentials of a request into a subject. All that are present must be good: X-Escape-Token,
// Authorization (Bearer, Token, Basic with a password or a token) and the cookie X-Escape-Token, in this order; the
// first is who the caller is. An empty X-Escape-Token is none: clients that are not logged in send it so.
//
// Errors: *problem.Error of kind Unauthenticated (wrong, expired, revoked, disabled), Forbidden (a page of another site
// uses the browser's credentials), TooMany (too many wrong passwords); anything else is the store's.
func (a *StoreAuthenticator) Authenticate(ctx context.Context, r *http.Request) (policies.Subject, error) {
	found, err := credentialsOf(r)
	if a.options.None {
		return a.authenticateNone(ctx, r, found)
	}
	if err != nil {
		return policies.Subject{}, err
	}
	if err := a.checkOrigin(r, found); err != nil {
		return policies.Subject{}, err
	}
	var caller *policies.Subject
	for _, c := range found {
		s, err := a.subjectOf(ctx, r, c)
		if c.cookie && errors.Is(err, errEnded) {
			// Browsers send a cookie by themselves until it is replaced. One of a login that has ended means "not
			// logged in"; refusing it would refuse the next login, too.
			continue
		}
		if err != nil {
			return policies.Subject{}, err
		}
		if caller == nil {
			caller = &s
		}
	}
	if caller == nil {
		return policies.Subject{Kind: policies.KindAnonymous}, nil
	}
	return *caller, nil
}

// authenticateNone lets everybody in. Only a run is still itself: its logs are written by nobody else. A page of another
// site must not use the trusted network that the reader's browser happens to be in.
func (a *StoreAuthenticator) authenticateNone(ctx context.Context, r *http.Request, found []credential) (policies.Subject, error) {
	for _, c := range found {
		if c.password != "" {
			continue
		}
		s, err := a.subjectOf(ctx, r, c)
		if err == nil && s.Kind == policies.KindRun {
			return s, nil
		}
	}
	if err := a.checkOrigin(r, nil); err != nil {
		return policies.Subject{}, err
	}
	return AnonymousAdmin, nil
}

// checkOrigin refuses changes that a page of another site makes with credentials that the browser adds by itself: a
// cookie, a remembered password, or none where none is needed. WebSockets are requests of method GET that browsers let
// every site open, so they count as changes.
func (a *StoreAuthenticator) checkOrigin(r *http.Request, found []credential) error {
	for _, c := range found {
		if !c.browser {
			return nil // no page of another site could have added this one
		}
	}
	if len(found) == 0 && !a.options.None {
		return nil
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		as := *r
		as.Method = http.MethodPost
		r = &as
	}
	if err := a.origins.Check(r); err != nil {
		return problem.Wrap(problem.Forbidden, err, "this request comes from a page of another site")
	}
	return nil
}

func (a *StoreAuthenticator) subjectOf(ctx context.Context, r *http.Request, c credential) (policies.Subject, error) {
	if c.token != "" {
		id, err := a.identityOf(ctx, c.token)
		return id.subject, err
	}
	return a.byPassword(ctx, r, c.user, c.password)
}

// errEnded marks the refusal of a token that was good once.
var errEnded = errors.New("the token has ended")

func refused(format string, args ...any) *problem.Error {
	return problem.New(problem.Unauthenticated, format, args...)
}

// wrongCredential is the one text for what could be a guess: it does not tell which part was wrong.
const wrongCredential = "the credential is not valid"

// identityOf finds who a token stands for.
func (a *StoreAuthenticator) identityOf(ctx context.Context, secret string) (identity, error) {
	if !models.LooksLikeToken(secret) || len(secret) > 400 {
		return identity{}, refused(wrongCredential)
	}
	hash := models.HashToken(secret)
	id, err := a.byToken.get(ctx, hash, func(ctx context.Context) (identity, error) {
		if models.IsRunToken(secret) {
			return a.loadRun(ctx, secret)
		}
		t, err := a.store.TokenByHash(ctx, hash)
		if err != nil {
			return identity{}, err
		}
		// The index found it; the comparison in constant time is for whatever the index's collation thinks is equal.
		if subtle.ConstantTimeCompare([]byte(t.Hash), []byte(hash)) != 1 {
			return identity{}, models.ErrNotFound
		}
		return a.load(ctx, t)
	})
	if errors.Is(err, models.ErrNotFound) {
		return identity{}, refused(wrongCredential)
	}
	if err == nil {
		// Once more, since the cache does not know about the token's time.
		err = a.ended(&id.token)
	}
	return id, err
}

// loadRun makes the identity of an execution that is open. That it has ended is not counted as a change of identities, or a
// busy server's cache would never be of use: its token may be good for a second more.
func (a *StoreAuthenticator) loadRun(ctx context.Context, secret string) (identity, error) {
	execution, err := a.store.ExecutionOfRunToken(ctx, secret)
	if errors.Is(err, models.ErrFinal) {
		return identity{}, refused("the execution of this token has ended")
	}
	if err != nil {
		return identity{}, err
	}
	return identity{subject: policies.Subject{Kind: policies.KindRun, ID: execution, Name: "run", Execution: execution}.Prepare()}, nil
}

// load makes the identity of a token that exists.
func (a *StoreAuthenticator) load(ctx context.Context, t *models.Token) (identity, error) {
	if err := a.ended(t); err != nil {
		return identity{}, err
	}
	id := identity{token: *t}
	var err error
	id.subject, err = a.store.Subject(ctx, t.SubjectKind, t.SubjectID)
	if errors.Is(err, models.ErrNotFound) {
		return identity{}, refused("the account is disabled or removed")
	}
	if err != nil {
		return identity{}, err
	}
	id.subject.Token = policies.Token{ID: t.ID, Role: t.Role, Scopes: t.Scopes}
	id.subject = id.subject.Prepare()
	a.touch(ctx, t)
	return id, nil
}

func (a *StoreAuthenticator) ended(t *models.Token) error {
	if t.RevokedAt != nil {
		return problem.Wrap(problem.Unauthenticated, errEnded, "the token has been revoked")
	}
	if !t.Live(a.options.Now()) {
		return problem.Wrap(problem.Unauthenticated, errEnded, "the token has expired")
	}
	return nil
}

// touch notes the token's use. A request does not wait long for it, nor fail by it: the database may be read-only.
func (a *StoreAuthenticator) touch(ctx context.Context, t *models.Token) {
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	if err := a.store.TouchToken(ctx, t); err != nil {
		a.options.Log.DebugContext(ctx, "the token's use was not noted", "token", t.ID, "error", err)
	}
}

// byPassword finds the user of a name (or an address) and a password.
func (a *StoreAuthenticator) byPassword(ctx context.Context, r *http.Request, name, text string) (policies.Subject, error) {
	name = strings.ToLower(name)
	acc, err := a.accounts.get(ctx, name, func(ctx context.Context) (account, error) { return a.accountOf(ctx, name) })
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return policies.Subject{}, err
	}
	known := err == nil && acc.hash != ""
	if known && a.verified.has(name, text, acc.hash) {
		return acc.subject, nil
	}
	// The attempt is counted before the slow comparison, or many at once would all be free.
	address := a.options.Address(r)
	giveBack, wait := a.limiter.take(name, address)
	if wait > 0 {
		e := problem.New(problem.TooMany, "too many wrong passwords, try again later")
		e.RetryAfter = wait
		return policies.Subject{}, e
	}
	ok, err := password.Verify(ctx, text, acc.hash)
	if err != nil {
		giveBack()
		return policies.Subject{}, fmt.Errorf("compare the password: %w", err)
	}
	if !ok || !known {
		a.options.Log.WarnContext(ctx, "wrong password", "name", name, "address", address)
		return policies.Subject{}, refused(wrongCredential)
	}
	giveBack()
	a.verified.add(name, text, acc.hash)
	return acc.subject, nil
}

func (a *StoreAuthenticator) accountOf(ctx context.Context, name string) (account, error) {
	u, err := a.store.UserByName(ctx, name)
	if errors.Is(err, models.ErrNotFound) {
		u, err = a.store.UserByEmail(ctx, name)
	}
	if err != nil {
		return account{}, err
	}
	s, err := a.store.Subject(ctx, models.SubjectUser, u.ID)
	return account{subject: s.Prepare(), hash: u.PasswordHash}, err
}

// Refresh reads a subject's rights again, past the cache: for streams that stay open (at least once a second), and before
// a refusal that a role given through another process a moment ago would turn into a yes. The error is of kind
// Unauthenticated when the credential is no longer good. Subjects that are not from the store stay as they are.
func (a *StoreAuthenticator) Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error) {
	if s.Token.ID != "" {
		t, err := a.store.TokenByID(ctx, s.Token.ID)
		if errors.Is(err, models.ErrNotFound) {
			return policies.Subject{}, refused(wrongCredential)
		}
		if err != nil {
			return policies.Subject{}, err
		}
		id, err := a.load(ctx, t)
		return id.subject, err
	}
	if s.ID == AnonymousAdmin.ID || (s.Kind != policies.KindUser && s.Kind != policies.KindServiceAccount) {
		return s, nil
	}
	fresh, err := a.store.Subject(ctx, s.Kind, s.ID)
	if errors.Is(err, models.ErrNotFound) {
		return policies.Subject{}, refused("the account is disabled or removed")
	}
	return fresh.Prepare(), err
}

// verifiedPasswords remembers which passwords were right, so that a client that sends one with every request does not pay
// for the slow hash each time. Only keyed hashes are kept, and the stored hash is part of them: a changed password is
// forgotten by itself.
type verifiedPasswords struct {
	key   []byte
	cache *identityCache[struct{}]
}

// verifiedFor is how long a right password is remembered.
const verifiedFor = 10 * time.Minute

func newVerifiedPasswords(now func() time.Time) *verifiedPasswords {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: the runtime ends the process instead
	return &verifiedPasswords{key: key, cache: newIdentityCache[struct{}](verifiedFor, now)}
}

func (v *verifiedPasswords) keyOf(name, text, hash string) string {
	h := hmac.New(sha256.New, v.key)
	for _, s := range []string{name, text, hash} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (v *verifiedPasswords) has(name, text, hash string) bool {
	c := v.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[v.keyOf(name, text, hash)]
	return ok && c.now().Sub(e.read) < c.keep
}

func (v *verifiedPasswords) add(name, text, hash string) {
	v.cache.put(v.keyOf(name, text, hash), cached[struct{}]{read: v.cache.now()})
}
