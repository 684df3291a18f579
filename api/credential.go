package api

import (
	"net/http"
	"strings"

	"slipway/models"
)

// TokenHeader is the header, and the name of the cookie, that carries a token.
const TokenHeader = "X-Escape-Token"

// maxCredentials bounds the work that one request can order.
const maxCredentials = 4

// credential is one of the credentials of a request: a token, or a user and a password.
type credential struct {
	token          string
	user, password string
	cookie         bool
	// browser says that browsers add the credential by themselves, whoever makes the request: cookies, and passwords
	// that they remember.
	browser bool
}

// credentialsOf lists what a request brings, in order of precedence. What cannot be understood is refused.
func credentialsOf(r *http.Request) ([]credential, error) {
	var found []credential
	for _, v := range r.Header.Values(TokenHeader) {
		// Clients that are not logged in send the header without a value.
		if v = strings.TrimSpace(v); v != "" {
			found = append(found, credential{token: v})
		}
	}
	for _, v := range r.Header.Values("Authorization") {
		if strings.TrimSpace(v) == "" {
			continue
		}
		c, ok := authorizationOf(v)
		if !ok {
			return nil, refused(wrongCredential)
		}
		found = append(found, c)
	}
	for _, c := range r.CookiesNamed(TokenHeader) {
		if c.Value != "" {
			found = append(found, credential{token: c.Value, cookie: true, browser: true})
		}
	}
	if len(found) > maxCredentials {
		return nil, refused("more than %d credentials in one request", maxCredentials)
	}
	return found, nil
}

func authorizationOf(value string) (credential, bool) {
	value = strings.TrimSpace(value)
	scheme, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer", "token":
		return credential{token: rest}, rest != ""
	case "basic":
		user, text, ok := (&http.Request{Header: http.Header{"Authorization": {"Basic " + rest}}}).BasicAuth()
		if !ok || text == "" {
			return credential{}, false
		}
		if models.LooksLikeToken(text) {
			// A token in the password's place, for clients that know nothing else. The user's name is free.
			return credential{token: text, browser: true}, true
		}
		return credential{user: user, password: text, browser: true}, true
	}
	// Some clients send the bare token.
	return credential{token: value}, rest == "" && models.LooksLikeToken(value)
}
