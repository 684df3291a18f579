package releases

import (
	"context"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/policies"
)

// ForLogins makes an authenticator let everybody through to the login rows, as nobody where the credential is not good.
// The client sends its last token with every request, the next login included: once that token has expired, refusing it
// there would keep its owner out for good. All other rows, public ones too, refuse a bad credential as before.
func ForLogins(a api.Authenticator) api.Authenticator { return loginAuthenticator{a} }

type loginAuthenticator struct{ api.Authenticator }

func (a loginAuthenticator) Authenticate(ctx context.Context, r *http.Request) (policies.Subject, error) {
	s, err := a.Authenticator.Authenticate(ctx, r)
	if strings.HasPrefix(r.URL.Path, authPath) && problem.Is(err, problem.Unauthenticated) {
		return policies.Subject{Kind: policies.KindAnonymous}, nil
	}
	return s, err
}

// Refresh reads a subject's rights again where the authenticator below answers from a cache: see api.StoreAuthenticator.
func (a loginAuthenticator) Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error) {
	below, ok := a.Authenticator.(interface {
		Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error)
	})
	if !ok {
		return s, nil
	}
	return below.Refresh(ctx, s)
}
