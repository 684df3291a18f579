package own

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Version is the program's.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Identity is who asks, as the server sees it.
type Identity struct {
	// Kind is user or service_account.
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
	// TokenRole is the strongest role that the credential can act with; absent for no limit.
	TokenRole string `json:"token_role,omitempty"`
	// TokenScopes are the only organizations and projects it works on; absent for no limit.
	TokenScopes []string `json:"token_scopes,omitempty"`
}

// Token is a credential without its secret.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Hint is the end of the secret, to tell tokens apart.
	Hint       string     `json:"hint"`
	Role       string     `json:"role,omitempty"`
	Scopes     []string   `json:"scopes,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// NewToken is a token with its secret, which is shown this once.
type NewToken struct {
	Token
	Secret string `json:"token"`
}

// TokenBody asks for a token for oneself.
type TokenBody struct {
	Name string `json:"name" validate:"required,max=200"`
	// Role is the strongest that the token may act with: read, write, owner or admin; "" for no limit beyond the caller's
	// own.
	Role string `json:"role" validate:"omitempty,oneof=read write owner admin"`
	// Projects are the only ones that the token works on; none for no limit.
	Projects []string `json:"projects" validate:"max=100,dive,max=200"`
	// ExpiresAt is when the token ends; without it, never.
	ExpiresAt *time.Time `json:"expires_at"`
}

func (s *surface) identityRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "version", Operation: "getVersion", Summary: "Get the program's version.",
			Permission: api.Permission{Public: true}, Handler: api.Handle(s.version)},
		{Method: http.MethodGet, Path: base + "whoami", Operation: "whoAmI", Summary: "Get who the caller is.",
			Permission: api.Permission{Action: "user:read-self"}, Handler: api.Handle(s.whoAmI)},
		{Method: http.MethodGet, Path: base + "tokens/", Operation: "listTokens", Summary: "List the caller's tokens.",
			Permission: api.Permission{Action: "token:read"}, Handler: api.Handle(s.listTokens)},
		{Method: http.MethodPost, Path: base + "tokens/", Operation: "createToken", Summary: "Create a token for the caller. The secret is shown once.",
			Permission: api.Permission{Action: "token:create"}, Handler: api.Handle(s.createToken)},
		{Method: http.MethodDelete, Path: base + "tokens/{token_id}", Operation: "revokeToken", Summary: "Revoke one of the caller's tokens.",
			Permission: api.Permission{Action: "token:revoke"}, Handler: api.Handle(s.revokeToken)},
	}
}

func (s *surface) version(context.Context, *struct{}) (Version, error) {
	return Version{Version: s.Version, Go: runtime.Version()}, nil
}

func (s *surface) whoAmI(ctx context.Context, _ *struct{}) (Identity, error) {
	by := api.SubjectOf(ctx)
	return Identity{Kind: by.Kind, ID: by.ID, Name: by.Name, Admin: by.Admin, TokenRole: by.Token.Role, TokenScopes: by.Token.Scopes}, nil
}

func showToken(t *models.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Hint: t.Hint, Role: t.Role, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt}
}

func (s *surface) listTokens(ctx context.Context, _ *struct{}) ([]Token, error) {
	by := api.SubjectOf(ctx)
	list, err := s.Store.ListTokens(ctx, by.Kind, by.ID, models.TokenAPI)
	if err != nil {
		return nil, err
	}
	out := []Token{}
	for i := range list {
		if list[i].Live(s.Store.Now()) {
			out = append(out, showToken(&list[i]))
		}
	}
	return out, nil
}

type tokenCreate struct {
	Body TokenBody `body:"json"`
}

// createToken makes a token that can do no more than the credential it was asked with: a limited token that could make
// an unlimited one would be no limit.
func (s *surface) createToken(ctx context.Context, r *tokenCreate) (*NewToken, error) {
	by := api.SubjectOf(ctx)
	t := &models.Token{SubjectKind: by.Kind, SubjectID: by.ID, Name: r.Body.Name, Role: r.Body.Role, ExpiresAt: r.Body.ExpiresAt}
	for _, name := range r.Body.Projects {
		p, err := s.Scopes.Project(ctx, name)
		visible := false
		if err == nil {
			visible, err = s.Policy.Allow(ctx, by, "project:read", policies.Resource{Kind: "project", Scopes: p.Scopes})
		}
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return nil, err
		}
		if !visible {
			return nil, problem.BadField("projects", "there is no project '%s'", name)
		}
		t.Scopes = append(t.Scopes, p.ID)
	}
	if t.Role == "" {
		t.Role = by.Token.Role
	}
	if len(t.Scopes) == 0 {
		t.Scopes = by.Token.Scopes
	}
	if !by.Token.MayIssue(policies.Token{Role: t.Role, Scopes: t.Scopes}) {
		return nil, problem.New(problem.Forbidden, "a token cannot make one that may do more than it may itself")
	}
	var secret string
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if secret, err = tx.CreateToken(ctx, t); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{Action: "token:create", ResourceKind: "token", ResourceID: t.ID, ResourceName: t.Name}.ActorOf(by))
	})
	if err != nil {
		return nil, err
	}
	return &NewToken{Token: showToken(t), Secret: secret}, nil
}

type tokenRequest struct {
	ID string `path:"token_id" validate:"max=100"`
}

func (s *surface) revokeToken(ctx context.Context, r *tokenRequest) (api.Empty, error) {
	by := api.SubjectOf(ctx)
	t, err := s.Store.TokenByID(ctx, r.ID)
	if err == nil && (t.SubjectKind != by.Kind || t.SubjectID != by.ID) {
		err = models.ErrNotFound
	}
	if err != nil {
		if isNotFound(err) {
			return api.Empty{}, problem.New(problem.NotFound, "you have no such token")
		}
		return api.Empty{}, err
	}
	return api.Empty{}, s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.RevokeToken(ctx, t.ID); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{Action: "token:revoke", ResourceKind: "token", ResourceID: t.ID, ResourceName: t.Name}.ActorOf(by))
	})
}
