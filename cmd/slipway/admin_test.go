package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/password"
	"slipway/models"
	"slipway/policies"
)

// adminCLI runs `slipway admin` on a database of its own.
type adminCLI struct {
	t       *testing.T
	address string
	store   *models.Store
	// later is added to the command's clock.
	later time.Duration
}

func newAdminCLI(t *testing.T) *adminCLI {
	t.Helper()
	a := &adminCLI{t: t, address: "sqlite:" + filepath.Join(t.TempDir(), "slipway.db")}
	var err error
	a.store, err = models.Open(t.Context(), a.address, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.store.Close()) })
	require.NoError(t, a.store.Migrate(t.Context()))
	return a
}

func (a *adminCLI) try(stdin string, args ...string) (stdout string, err error) {
	c := newAdminCommand(func(ctx context.Context) (*models.Store, error) {
		return models.Open(ctx, a.address, models.Options{Now: func() time.Time { return time.Now().Add(a.later) }})
	})
	var out, errOut bytes.Buffer
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&errOut)
	c.SetArgs(args)
	c.SilenceUsage = true
	err = c.ExecuteContext(a.t.Context())
	return out.String(), err
}

func (a *adminCLI) run(args ...string) string {
	a.t.Helper()
	out, err := a.try("", args...)
	require.NoError(a.t, err, "%v", args)
	return out
}

func (a *adminCLI) fails(want string, args ...string) {
	a.t.Helper()
	_, err := a.try("", args...)
	require.ErrorContains(a.t, err, want, "%v", args)
}

func TestAdminUsers(t *testing.T) {
	a := newAdminCLI(t)
	ctx := t.Context()
	out := a.run("user", "create", "Root", "--admin", "--email", "root@example.com")
	_, made, found := strings.Cut(out, "(shown only now): ")
	require.True(t, found, out)
	root, err := a.store.UserByName(ctx, "root")
	require.NoError(t, err)
	require.True(t, root.Admin)
	ok, err := password.Verify(ctx, strings.TrimSpace(made), root.PasswordHash)
	require.NoError(t, err)
	require.True(t, ok, "the printed password must be the user's")

	out, err = a.try("correct horse battery\n", "user", "create", "ann", "--password-stdin")
	require.NoError(t, err)
	require.NotContains(t, out, "horse", "what the caller knows already is not printed")
	ann, err := a.store.UserByName(ctx, "ann")
	require.NoError(t, err)
	ok, err = password.Verify(ctx, "correct horse battery", ann.PasswordHash)
	require.NoError(t, err)
	require.True(t, ok)

	a.fails("exists already", "user", "create", "ANN")
	a.fails("cannot be the name", "user", "create", "a b")
	_, err = a.try("short\n", "user", "create", "bob", "--password-stdin")
	require.ErrorContains(t, err, "at least 12")
	_, err = a.try("", "user", "create", "bob", "--password-stdin")
	require.ErrorContains(t, err, "at least 12")

	out = a.run("user", "list")
	require.Contains(t, out, "root@example.com")
	var users []map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.run("user", "list", "-o", "json")), &users))
	require.Len(t, users, 2)
	require.NotContains(t, out, "argon2")
	a.fails("expected table or json", "user", "list", "-o", "xml")

	// S6: the last administrator stays, also at the command line.
	a.fails("last administrator", "user", "disable", "root")
	a.fails("last administrator", "user", "demote", "root")
	a.fails("last administrator", "user", "delete", "root")
	a.run("user", "promote", "ann")
	a.run("user", "disable", "root")
	root, err = a.store.UserByName(ctx, "root")
	require.NoError(t, err)
	require.True(t, root.Disabled)
	a.run("user", "enable", "root")
	a.run("user", "demote", "ann")

	var changed struct{ Password string }
	require.NoError(t, json.Unmarshal([]byte(a.run("user", "passwd", "ann", "-o", "json")), &changed))
	ann, err = a.store.UserByName(ctx, "ann")
	require.NoError(t, err)
	ok, err = password.Verify(ctx, changed.Password, ann.PasswordHash)
	require.NoError(t, err)
	require.True(t, ok)
	a.run("user", "delete", "ann")
	a.fails("there is no user 'ann'", "user", "passwd", "ann")
	a.fails("there is no user", "user", "disable", "nobody")

	log, err := a.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{})
	require.NoError(t, err)
	var actions []string
	for _, e := range log {
		require.Equal(t, "operator", e.ActorKind)
		require.NotEmpty(t, e.ResourceID)
		require.NotContains(t, fmt.Sprint(e), changed.Password)
		actions = append(actions, e.Action)
	}
	require.Equal(t, []string{"user:delete", "user:passwd", "user:demote", "user:enable", "user:disable", "user:promote", "user:create", "user:create"}, actions)
}

func TestAdminTokens(t *testing.T) {
	a := newAdminCLI(t)
	ctx := t.Context()
	a.run("user", "create", "ann")
	a.run("service-account", "create", "ci")
	p := &models.Project{Name: "shop"}
	require.NoError(t, a.store.CreateProject(ctx, p))

	secret := strings.TrimSpace(a.run("token", "create", "service-account:ci", "--name", "deploys", "--role", "write", "--scope", "project:shop", "--expires", "90d"))
	tok, err := a.store.TokenByHash(ctx, models.HashToken(secret))
	require.NoError(t, err, "standard output has the token and nothing else")
	require.Equal(t, policies.RoleWrite, tok.Role)
	require.Equal(t, []string{p.ID}, tok.Scopes)
	require.Equal(t, models.SubjectServiceAccount, tok.SubjectKind)
	require.InDelta(t, 90*24, tok.ExpiresAt.Sub(tok.CreatedAt).Hours(), 1)

	var made struct{ ID, Token string }
	require.NoError(t, json.Unmarshal([]byte(a.run("token", "create", "user:ann", "-o", "json")), &made))
	forever, err := a.store.TokenByHash(ctx, models.HashToken(made.Token))
	require.NoError(t, err)
	require.Nil(t, forever.ExpiresAt)

	out := a.run("token", "list", "service-account:ci")
	require.Contains(t, out, "deploys")
	require.Contains(t, out, "live")
	require.NotContains(t, out, secret)
	require.NotContains(t, a.run("token", "list", "service-account:ci", "-o", "json"), tok.Hash)
	a.run("token", "revoke", tok.ID)
	a.run("token", "revoke", tok.ID)
	require.Contains(t, a.run("token", "list", "service-account:ci"), "revoked")

	a.fails("there is no token", "token", "revoke", "nothing")
	a.fails("there is no user 'bob'", "token", "create", "user:bob")
	a.fails("names no subject", "token", "create", "ann")
	a.fails("names no subject", "token", "create", "martian:ann")
	a.fails("there is no project", "token", "create", "user:ann", "--scope", "project:nothing")
	a.fails("names no scope", "token", "create", "user:ann", "--scope", "shop")
	a.fails("expected read, write", "token", "create", "user:ann", "--role", "god")
	for _, bad := range []string{"soon", "-1h", "0d", "d", "99999999d"} {
		a.fails("no time that a token can last", "token", "create", "user:ann", "--expires="+bad)
	}
	a.run("team", "create", "Ops")
	a.fails("a team has no tokens", "token", "create", "team:Ops")
	log, err := a.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: "token:create"})
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.NotContains(t, fmt.Sprint(log), "slw_")
}

func TestAdminOrganizationsTeamsAndGrants(t *testing.T) {
	a := newAdminCLI(t)
	ctx := t.Context()
	a.run("org", "create", "acme", "--kind", "tenant", "--name", "Acme Inc.")
	a.run("org", "create", "acme-web", "--parent", "acme")
	a.fails("exists already", "org", "create", "acme")
	a.fails("no organization 'lost'", "org", "create", "acme-x", "--parent", "lost")
	a.fails("below itself", "org", "move", "acme-web", "acme-web")
	a.run("org", "move", "acme-web", "default")
	require.Contains(t, a.run("org", "list"), "\n  acme-web")
	a.run("org", "move", "acme-web")
	require.NotContains(t, a.run("org", "list"), "\n  acme-web")

	web, err := a.store.OrganizationByCanonical(ctx, "acme-web")
	require.NoError(t, err)
	require.NoError(t, a.store.CreateProject(ctx, &models.Project{Name: "shop"}))
	require.NoError(t, a.store.CreateProject(ctx, &models.Project{Name: "shop", OrganizationID: web.ID}))
	a.run("user", "create", "ann")
	a.run("team", "create", "Ops")
	a.run("team", "create", "Ops", "--organization", "acme-web")
	a.fails("exists already", "team", "create", "Ops")
	a.run("team", "add", "Ops", "ann")
	a.fails("exists already", "team", "add", "Ops", "ann")
	require.Contains(t, a.run("team", "list"), "ann")
	a.run("service-account", "create", "ci", "--team", "Ops")
	a.fails("there is no team 'Dev'", "service-account", "create", "cd", "--team", "Dev")
	require.Contains(t, a.run("service-account", "list"), "Ops")

	a.run("grant", "add", "user:ann", "read", "project:shop")
	a.run("grant", "add", "user:ann", "owner", "project:shop")
	a.run("grant", "add", "team:Ops", "write", "project:acme-web/shop")
	a.run("grant", "add", "service-account:ci", "write", "organization:acme")
	require.Equal(t, 4, strings.Count(a.run("grant", "list"), "\n"))
	require.Contains(t, a.run("grant", "list", "project:shop"), "user:ann")
	require.NotContains(t, a.run("grant", "list", "project:shop"), "Ops")
	require.Contains(t, a.run("grant", "list", "service-account:ci"), "organization:acme")
	a.fails("expected read, write or owner", "grant", "add", "user:ann", "admin", "project:shop")
	a.fails("there is no project", "grant", "add", "user:ann", "read", "project:nothing")
	ann, err := a.store.UserByName(ctx, "ann")
	require.NoError(t, err)
	grants, err := a.store.GrantsOf(ctx, models.SubjectUser, ann.ID)
	require.NoError(t, err)
	require.Len(t, grants, 2, "her own and her team's")
	a.run("grant", "remove", "user:ann", "project:shop")
	a.fails("there is no role of user:ann", "grant", "remove", "user:ann", "project:shop")
	a.run("team", "remove", "Ops", "ann")
	a.fails("there is no membership", "team", "remove", "Ops", "ann")
	a.run("team", "delete", "Ops")
	a.run("service-account", "disable", "ci")
	require.Contains(t, a.run("service-account", "list"), "yes")
	a.run("service-account", "enable", "ci")
	a.run("service-account", "delete", "ci")
	a.fails("there is no service account", "service-account", "disable", "ci")
}

func TestAdminNeedsTheNewestSchema(t *testing.T) {
	a := &adminCLI{t: t, address: "sqlite:" + filepath.Join(t.TempDir(), "empty.db")}
	a.fails("slipway migrate", "user", "list")
}

// Who tries slipway dev and then an admin command is told which database that is.
func TestAdminNamesTheDatabaseOfDev(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SLIPWAY_DATABASE_URL", "")
	c := newCLI(t)
	_, err := c.try("", "admin", "user", "list")
	require.EqualError(t, err, "SLIPWAY_DATABASE_URL is not set, expected postgres://user:password@host/name or sqlite:PATH")
	require.NoError(t, os.Mkdir(filepath.Join(home, ".slipway"), 0o700))
	file := filepath.Join(home, ".slipway", "slipway.db")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = c.try("", "admin", "user", "list")
	require.ErrorContains(t, err, "\nThe database of slipway dev on this machine is sqlite:"+file)
}
