package releases

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// LoginMode says how callers prove who they are.
type LoginMode string

const (
	// LoginNone: authentication is off; clients are told that they need no login.
	LoginNone LoginMode = "none"
	// LoginBasic: clients send user and password with every request.
	LoginBasic LoginMode = "basic"
	// LoginTokens: clients log in once and send the token that they get. Basic works too.
	LoginTokens LoginMode = "tokens"
)

// Sessions starts and ends logins; *api.StoreAuthenticator does.
type Sessions interface {
	Login(ctx context.Context, r *http.Request, name, secret string) (api.Session, error)
	Logout(ctx context.Context, r *http.Request) error
}

// Login configures how to log in.
type Login struct {
	Mode LoginMode
	// Sessions is required for LoginTokens.
	Sessions Sessions
	// PublicURL is where clients and browsers reach the server: "https://slipway.example.com". Empty: the host that a
	// request names.
	PublicURL string
}

// Paths of the login rows.
const (
	authPath   = "/api/v1/auth/"
	secretPath = authPath + "secret-token"
	redeemPath = authPath + "redeem-token"
	logoutPath = authPath + "logout"
)

func (s *surface) loginRows() []api.Row {
	public := api.Permission{Public: true}
	return []api.Row{
		{Method: http.MethodGet, Path: authPath + "login-methods", Operation: "getLoginMethods", Permission: public,
			Handler: api.Handle(s.getLoginMethods), Summary: "How to log in. Not found means that no login is needed."},
		{Method: http.MethodPost, Path: secretPath, Operation: "secretTokenLogin", Permission: public, MaxBody: 16 << 10,
			Handler: api.Handle(s.secretTokenLogin), Summary: "Log in with a name and a password or token. The token stands in the header X-Escape-Token of the answer."},
		{Method: http.MethodGet, Path: logoutPath, Operation: "logout", Permission: public, Effects: true,
			Handler: api.Handle(s.logout), Summary: "End the login that the request carries."},
		{Method: http.MethodGet, Path: redeemPath, Operation: "redeemToken", Permission: public, Effects: true,
			Handler: api.Handle(s.redeemToken), Summary: "Fetch the token of a login that was made in a browser; for browsers, the page to log in."},
	}
}

// challenge answers a request without a good credential.
func (l Login) challenge(w http.ResponseWriter) {
	if l.Mode != LoginBasic {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	// The client asks for user and password when this challenge stands first, and then only.
	api.ChallengeBasic(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte("Not Authorized\n"))
}

// base is the address that clients reach the server at, without a slash at its end.
func (l Login) base(r *http.Request) string {
	if l.PublicURL != "" {
		return strings.TrimSuffix(l.PublicURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host}).String()
}

// secure says whether browsers reach the server over HTTPS.
func (l Login) secure(r *http.Request) bool { return strings.HasPrefix(l.base(r), "https:") }

// loginMethod is one way to log in, as clients know it.
type loginMethod struct {
	Type        string `json:"type"` // secret-token, or oauth for a browser
	URL         string `json:"url"`
	RedeemToken string `json:"redeem-token,omitempty"`
	RedeemURL   string `json:"redeem-url,omitempty"`
}

func (s *surface) getLoginMethods(ctx context.Context, _ *struct{}) (map[string]loginMethod, error) {
	switch s.Login.Mode {
	case LoginNone:
		return nil, problem.New(problem.NotFound, "authentication is off")
	case LoginBasic:
		return nil, problem.New(problem.Unauthenticated, "send user and password")
	}
	base := s.Login.base(api.From(ctx).HTTP)
	key := rand.Text()
	return map[string]loginMethod{
		// A client that is given a user name takes the method of this name, also for people.
		"service-account": {Type: "secret-token", URL: base + secretPath},
		"browser": {Type: "oauth", URL: base + redeemPath + "?" + url.Values{redeemKey: {key}}.Encode(),
			RedeemToken: key, RedeemURL: base + redeemPath},
	}, nil
}

type secretTokenRequest struct {
	ContentType string `header:"Content-Type"`
	Body        []byte `body:"raw"`
}

func (s *surface) secretTokenLogin(ctx context.Context, req *secretTokenRequest) (api.Response, error) {
	if s.Login.Mode != LoginTokens {
		return api.Response{}, problem.New(problem.NotFound, "there is no login of this kind here")
	}
	if kind, _, _ := mime.ParseMediaType(req.ContentType); kind == "application/x-www-form-urlencoded" {
		return s.browserLogin(ctx, req.Body)
	}
	var credential struct {
		Username    string `json:"username"`
		SecretToken string `json:"secret_token"`
	}
	if err := api.CheckBody(req.Body); err != nil {
		return api.Response{}, err
	}
	if err := json.Unmarshal(req.Body, &credential); err != nil {
		return api.Response{}, problem.Wrap(problem.Invalid, err, api.BodyError)
	}
	if credential.Username == "" || credential.SecretToken == "" {
		return api.Response{}, problem.New(problem.Invalid, "Missing 'username' or 'secret_token'")
	}
	r := api.From(ctx).HTTP
	session, err := s.Login.Sessions.Login(ctx, r, credential.Username, credential.SecretToken)
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Header: http.Header{
		api.TokenHeader: {session.Secret},
		"Set-Cookie":    {session.Cookie(s.Login.secure(r)).String()},
	}}, nil
}

func (s *surface) logout(ctx context.Context, _ *struct{}) (api.Response, error) {
	r := api.From(ctx).HTTP
	if s.Login.Mode == LoginTokens {
		if err := s.Login.Sessions.Logout(ctx, r); err != nil {
			return api.Response{}, err
		}
	}
	return api.Response{Header: http.Header{"Set-Cookie": {api.EndedCookie(s.Login.secure(r)).String()}}}, nil
}

const (
	// redeemKey is the parameter with the client's key.
	redeemKey = "redeem-token"
	// redeemTime is how long a login waits for the client: it asks for at most about three minutes.
	redeemTime = 5 * time.Minute
	// Bounds of a key, in characters: at least as hard to guess as what getLoginMethods gives.
	minRedeemKey, maxRedeemKey = 26, 200
)

func goodRedeemKey(key string) bool { return len(key) >= minRedeemKey && len(key) <= maxRedeemKey }

type redeemRequest struct {
	Key    string `query:"redeem-token"`
	Accept string `header:"Accept"`
}

// redeemToken gives the client its token once somebody has logged in for it, and 404 until then. Browsers, which say
// that they want HTML, get the page to log in.
func (s *surface) redeemToken(ctx context.Context, req *redeemRequest) (api.Response, error) {
	if s.Login.Mode != LoginTokens {
		return api.Response{}, problem.New(problem.NotFound, "there is no login of this kind here")
	}
	if req.Key == "" {
		return api.Response{}, problem.New(problem.Invalid, "Missing parameter '%s'", redeemKey)
	}
	if !goodRedeemKey(req.Key) {
		return api.Response{}, problem.New(problem.NotFound, "unknown key")
	}
	if wantsHTML(req.Accept) {
		return loginPage(http.StatusOK, loginForm{Key: req.Key, Action: secretPath}), nil
	}
	var secret string
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		l, err := tx.TakeLoginRedemption(ctx, models.HashToken(req.Key))
		if err != nil {
			return err
		}
		t := &models.Token{Purpose: models.TokenSession, Name: "login for the command line", SubjectKind: l.SubjectKind, SubjectID: l.SubjectID,
			Role: l.Role, Scopes: l.Scopes, ExpiresAt: &l.TokenExpiresAt}
		if secret, err = tx.CreateToken(ctx, t); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{ActorKind: l.SubjectKind, ActorID: l.SubjectID, Action: "session:create", ResourceKind: "session", ResourceID: t.ID})
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{ContentType: "text/plain; charset=utf-8", Body: []byte(secret)}, nil
}

// wantsHTML says whether a browser asks: HTML by its name, and not the */* of programs.
func wantsHTML(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "text/html" {
			return true
		}
	}
	return false
}
