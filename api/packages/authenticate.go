package packages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
)

// keyLimits slow down who guesses keys: ten wrong ones, then ten a minute. The limit for one consumer from everywhere is
// wide, so that strangers cannot keep it out with wrong keys.
var keyLimits = api.LoginLimits{PerPair: 10, PerAccount: 1000, PerAddress: 100, Decay: api.DefaultLoginLimits.Decay}

// Authenticator knows consumers by their keys, on the paths of the repository and nowhere else; everything else it leaves to
// the next one.
type Authenticator struct {
	next       api.Authenticator
	repository *packages.Repository
	limiter    *api.AttemptLimiter
	address    func(*http.Request) string
	log        *slog.Logger
}

// AuthenticatorOptions configure an Authenticator. Next and Repository are required.
type AuthenticatorOptions struct {
	// Next authenticates everybody who is no consumer.
	Next       api.Authenticator
	Repository *packages.Repository
	// Limiter bounds wrong keys; nil makes one.
	Limiter *api.AttemptLimiter
	// Address gives the caller's address where the server stands behind a proxy; nil takes the connection's.
	Address func(*http.Request) string
	// Log receives refused keys; nil means slog.Default().
	Log *slog.Logger
}

// NewAuthenticator makes an authenticator.
func NewAuthenticator(o AuthenticatorOptions) *Authenticator {
	if o.Limiter == nil {
		o.Limiter = api.NewAttemptLimiter(keyLimits, nil)
	}
	if o.Address == nil {
		o.Address = api.ConnectionAddress
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Authenticator{next: o.Next, repository: o.Repository, limiter: o.Limiter, address: o.Address, log: o.Log}
}

// Authenticate turns a consumer's keys in HTTP Basic into its subject. Errors: *problem.Error of kind Unauthenticated (wrong
// keys, or a consumer that is gone) or TooMany; anything else is the store's.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request) (policies.Subject, error) {
	if !isRepositoryPath(r.URL.Path) {
		return a.next.Authenticate(ctx, r)
	}
	public, private, ok := r.BasicAuth()
	if !ok || models.LooksLikeToken(private) {
		return a.next.Authenticate(ctx, r)
	}
	address := a.address(r)
	giveBack, wait := a.limiter.Take(strings.ToLower(public), address)
	if wait > 0 {
		e := problem.New(problem.TooMany, "too many wrong keys, try again later")
		e.RetryAfter = wait
		return policies.Subject{}, e
	}
	v, err := a.repository.Authenticate(ctx, public, private)
	if errors.Is(err, packages.ErrWrongKeys) {
		a.log.WarnContext(ctx, "wrong keys", "public_key", public, "address", address)
		return policies.Subject{}, wrongKeys()
	}
	giveBack()
	if err != nil {
		return policies.Subject{}, err
	}
	return v.Subject(), nil
}

// Refresh reads a subject's rights again; see the next authenticator. Consumers open no streams that outlive a request.
func (a *Authenticator) Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error) {
	next, ok := a.next.(interface {
		Refresh(ctx context.Context, s policies.Subject) (policies.Subject, error)
	})
	if !ok || s.Kind == policies.KindConsumer {
		return s, nil
	}
	return next.Refresh(ctx, s)
}

func wrongKeys() error {
	return problem.New(problem.Unauthenticated, "these keys are not those of a consumer: public key as user name, private key as password")
}
