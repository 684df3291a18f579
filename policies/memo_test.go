package policies

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A remembered decision is one of this subject, this resource and this policy.
func TestDecisionsAreRememberedForOnePolicyOnly(t *testing.T) {
	dir := t.TempDir()
	same, err := os.ReadFile("data.json")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data.json"), same, 0o600))
	e, err := New(Options{Path: dir})
	require.NoError(t, err)
	reader := Subject{Kind: KindUser, ID: "u", Grants: []Grant{{Scope: "p", Role: RoleRead}}}.Prepare()
	ask := func(s Subject, action, scope string) bool {
		ok, err := e.Allow(t.Context(), s, action, Resource{Kind: "build", ID: "b", Scopes: []string{scope}})
		require.NoError(t, err)
		return ok
	}
	for range 2 {
		require.True(t, ask(reader, "build:read", "p"))
		require.False(t, ask(reader, "build:read", "q"))
		require.False(t, ask(reader, "build:trigger", "p"))
	}
	promoted := reader
	promoted.Grants = []Grant{{Scope: "p", Role: RoleWrite}}
	require.True(t, ask(promoted, "build:trigger", "p"), "a changed subject does not get the old one's answers")
	require.False(t, ask(reader, "build:trigger", "p"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "deny.rego"), []byte("package slipway.authz\n\ndefault allow := false\n\ndefault visible := {\"all\": false, \"scopes\": []}\n"), 0o600))
	_, err = e.Reload(t.Context())
	require.NoError(t, err)
	require.False(t, ask(reader, "build:read", "p"), "the old policy's answer is forgotten")
}
