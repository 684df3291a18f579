package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// LoginKind is how a server lets people in.
type LoginKind string

// The ways.
const (
	LoginNone  LoginKind = "none"  // authentication is off
	LoginBasic LoginKind = "basic" // user and password with every request, which this client does not do
	LoginToken LoginKind = "token" // a token, which a password can be changed for
)

// ErrNotSlipway says that something else answers at the address of the server.
var ErrNotSlipway = errors.New("the server does not answer as a Slipway does")

// LoginKind asks a server how it lets people in. It fails with [ErrNotSlipway].
func (c *Client) LoginKind(ctx context.Context) (LoginKind, error) {
	var answer string
	err := c.call(ctx, http.MethodGet, "/api/v1/auth/login-methods", nil, &answer)
	var refused *Error
	switch {
	case err == nil:
		var methods map[string]json.RawMessage
		if json.Unmarshal([]byte(answer), &methods) != nil {
			return "", ErrNotSlipway
		}
		return LoginToken, nil
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		// So says a Slipway without authentication, which knows who everybody is, and every other server.
		if _, err := c.WhoAmI(ctx); err != nil {
			return "", errors.Join(ErrNotSlipway, err)
		}
		return LoginNone, nil
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && c.token == "":
		return LoginBasic, nil
	}
	return "", err
}

// Login changes a name and a password (or a token of that user or service account) for the token of a new login.
func (c *Client) Login(ctx context.Context, name, secret string) (token string, err error) {
	body := struct {
		Name   string `json:"username"`
		Secret string `json:"secret_token"`
	}{name, secret}
	response, err := c.sendJSON(ctx, http.MethodPost, "/api/v1/auth/secret-token", body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if token = response.Header.Get("X-Escape-Token"); token == "" {
		return "", errors.New("the server's answer to the login has no token")
	}
	return token, nil
}

// Logout ends the login that the client's token is of. Tokens that were not made by a login stay.
func (c *Client) Logout(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/api/v1/auth/logout", nil, nil)
}

// Identity is who the server takes the caller for.
type Identity struct {
	Kind      string `json:"kind"` // user or service_account
	Name      string `json:"name"`
	Admin     bool   `json:"admin"`
	TokenRole string `json:"token_role"` // the strongest role that the token can act with; "" for no limit
}

// WhoAmI asks the server who the caller is.
func (c *Client) WhoAmI(ctx context.Context) (Answer[Identity], error) {
	return get[Identity](ctx, c, "/api/v1/slipway/whoami")
}
