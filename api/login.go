package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"slipway/models"
	"slipway/policies"
)

// Session is a login: a token for the one who logged in.
type Session struct {
	// Secret is the token. It is shown once and goes into the header or the cookie X-Escape-Token.
	Secret  string
	Expires time.Time
	Subject policies.Subject
}

// Login starts a session for a name and a secret: a user's password, or a token of the named user or service account. A
// session that comes from a limited token has the token's limits. Every login makes a new token, whatever the request
// already carries, so that nobody can plant one. The error is of kind Unauthenticated or TooMany.
func (a *StoreAuthenticator) Login(ctx context.Context, r *http.Request, name, secret string) (Session, error) {
	session := Session{Expires: a.options.Now().Add(a.options.SessionTime).UTC()}
	t := &models.Token{Purpose: models.TokenSession, Name: "login", ExpiresAt: &session.Expires}
	if models.LooksLikeToken(secret) {
		id, err := a.identityOf(ctx, secret)
		if err != nil {
			return Session{}, err
		}
		if id.subject.Kind == policies.KindRun || !strings.EqualFold(id.subject.Name, name) {
			return Session{}, refused(wrongCredential)
		}
		t.Role, t.Scopes = id.token.Role, id.token.Scopes
		if e := id.token.ExpiresAt; e != nil && e.Before(session.Expires) {
			session.Expires = *e
		}
		session.Subject = id.subject
	} else {
		s, err := a.byPassword(ctx, r, name, secret)
		if err != nil {
			return Session{}, err
		}
		session.Subject = s
	}
	t.SubjectKind, t.SubjectID = session.Subject.Kind, session.Subject.ID
	err := a.store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if session.Secret, err = tx.CreateToken(ctx, t); err != nil {
			return err
		}
		entry := models.AuditEntry{Action: "session:create", ResourceKind: "session", ResourceID: t.ID, Detail: map[string]any{"address": a.options.Address(r)}}
		return tx.Audit(ctx, entry.ActorOf(session.Subject))
	})
	if err != nil {
		return Session{}, err
	}
	session.Subject.Token = policies.Token{ID: t.ID, Role: t.Role, Scopes: t.Scopes}
	session.Subject = session.Subject.Prepare()
	return session, nil
}

// Logout ends the sessions whose tokens a request carries. Tokens that were not made by a login stay.
func (a *StoreAuthenticator) Logout(ctx context.Context, r *http.Request) error {
	found, err := credentialsOf(r)
	if err != nil {
		return err
	}
	for _, c := range found {
		if c.token == "" {
			continue
		}
		t, err := a.store.TokenByHash(ctx, models.HashToken(c.token))
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if t.Purpose == models.TokenSession {
			if err := a.store.RevokeToken(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Cookie carries the session in a browser: out of reach of scripts, and not sent with requests that other sites make,
// except when somebody follows a link. secure is for servers that browsers reach over HTTPS.
func (s Session) Cookie(secure bool) *http.Cookie {
	return &http.Cookie{Name: TokenHeader, Value: s.Secret, Path: "/", Expires: s.Expires, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}

// EndedCookie takes the cookie of a session out of the browser.
func EndedCookie(secure bool) *http.Cookie {
	return &http.Cookie{Name: TokenHeader, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}
