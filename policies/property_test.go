package policies

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree is a random tree of organizations with projects below; paths maps each node to its path up to the root.
type tree struct {
	ids   []string
	paths map[string][]string
}

func randomTree(r *rand.Rand) tree {
	t := tree{paths: map[string][]string{}}
	organizations := 1 + r.IntN(6)
	for i := range organizations + r.IntN(8) {
		id := fmt.Sprintf("n%d", i)
		path := []string{id}
		// Several roots occur; only organizations have children.
		if i > 0 && r.IntN(6) > 0 {
			path = append(path, t.paths[fmt.Sprintf("n%d", r.IntN(min(i, organizations)))]...)
		}
		t.ids, t.paths[id] = append(t.ids, id), path
	}
	return t
}

func randomSubject(r *rand.Rand, t tree) Subject {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	s := Subject{
		Kind:  pick(KindUser, KindUser, KindUser, KindServiceAccount, KindConsumer, KindRun, KindAnonymous),
		ID:    "s",
		Name:  "s",
		Admin: r.IntN(8) == 0,
	}
	for range r.IntN(4) {
		s.Grants = append(s.Grants, Grant{Scope: pick(append(t.ids, "gone")...), Role: pick(RoleRead, RoleWrite, RoleOwner, "bogus")})
	}
	s.Token.Role = pick("", "", RoleRead, RoleWrite, RoleOwner, RoleAdmin, "bogus")
	if r.IntN(2) == 0 {
		for range 1 + r.IntN(2) {
			s.Token.Scopes = append(s.Token.Scopes, pick(append(t.ids, "gone")...))
		}
	}
	return s
}

// agrees holds Visible against Allow for every row of many random worlds.
func agrees(t *testing.T, e *Engine) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 11))
	// One action for each requirement there is.
	actions := []string{"build:read", "build:trigger", "build:create", "installation:read", "project:create", "user:read-self", "package:install", "log:write", "no-such:action"}
	allowed, refused := 0, 0
	for range 300 {
		tr := randomTree(r)
		s := randomSubject(r, tr)
		if r.IntN(2) == 0 {
			s = s.Prepare()
		}
		for _, action := range actions {
			v, err := e.Visible(t.Context(), s, action)
			require.NoError(t, err)
			for id, path := range tr.paths {
				ok, err := e.Allow(t.Context(), s, action, Resource{Kind: "thing", ID: id, Scopes: path})
				require.NoError(t, err)
				require.Equal(t, ok, v.Covers(path), "%s on %v by %+v: visible %+v", action, path, s, v)
				if ok {
					allowed++
				} else {
					refused++
				}
			}
		}
	}
	require.Greater(t, allowed, 200, "the random worlds hardly allow anything")
	require.Greater(t, refused, 1000)
}

// S7: what a list shows is what single reads allow.
func TestS7VisibleAgreesWithAllow(t *testing.T) {
	e, err := New(Options{})
	require.NoError(t, err)
	agrees(t, e)
}

// ownersOnly replaces the rules: only owners of a scope and administrators read what is in it, and nobody does more.
const ownersOnly = `package slipway.authz

default allow := false

default visible := {"all": false, "scopes": []}

person if input.subject.kind in {"user", "service_account"}

owned contains scope if some scope, "owner" in input.subject.grants

reading if data.slipway.actions[input.action] == "read"

allow if {
	person
	reading
	some scope in input.resource.scopes
	scope in owned
}

allow if {
	person
	reading
	input.subject.admin
}

visible := {"all": input.subject.admin, "scopes": owned} if {
	person
	reading
}
`

// S7: also with rules of the operator's own.
func TestS7VisibleAgreesWithAllowWhenReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.rego"), []byte(ownersOnly), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data.json"), []byte(`{"slipway":{"actions":{"build:trigger":"read"}}}`), 0o600))
	e, err := New(Options{Path: dir})
	require.NoError(t, err)
	agrees(t, e)
}
