package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/keyring"
	"slipway/models"
	"slipway/policies"
)

// S11: the key is replaced while a server runs: what it wrote before and after is readable all the time, nothing is left under
// the old key, and only then it goes.
func TestS11KeyRotationOnline(t *testing.T) {
	a := newAdminCLI(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	t.Setenv("SLIPWAY_KEY_FILE", path)
	t.Setenv("SLIPWAY_DATABASE_URL", a.address)
	keys, err := keyring.Open(path)
	require.NoError(t, err)
	a.store.UseEncrypter(keys) // the server's
	ctx := t.Context()
	old := keys.Primary()

	organization, err := a.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	p := &models.Project{Name: "shop", OrganizationID: organization.ID}
	require.NoError(t, a.store.CreateProject(ctx, p))
	environment := &models.Environment{ProjectID: p.ID, Name: "dev", Inputs: map[string]any{"token": "canary"}}
	require.NoError(t, a.store.CreateEnvironment(ctx, environment))
	key := "-----BEGIN KEY-----"
	build := &models.Build{ProjectID: p.ID, EnvironmentID: environment.ID, Name: "web", Repo: "https://example.org/web.git"}
	require.NoError(t, a.store.CreateBuild(ctx, build, models.BuildSecrets{PrivateKey: &key}))
	namespace := &models.Namespace{Name: "shop-ns", ProjectID: &p.ID, OrganizationID: organization.ID}
	require.NoError(t, a.store.CreateNamespace(ctx, namespace))
	require.NoError(t, a.store.SetNamespaceHooks(ctx, namespace.ID, `{"slack":{"url":"https://example.org/canary"}}`))
	readable := func() {
		t.Helper()
		e, err := a.store.EnvironmentByName(ctx, p.ID, "dev")
		require.NoError(t, err)
		require.Equal(t, map[string]any{"token": "canary"}, e.Inputs)
		b, err := a.store.BuildByName(ctx, environment.ID, "web")
		require.NoError(t, err)
		opened, _, _, err := a.store.SecretsOf(b)
		require.NoError(t, err)
		require.Equal(t, key, opened)
		n, err := a.store.NamespaceByName(ctx, "shop-ns")
		require.NoError(t, err)
		require.Contains(t, n.Hooks, "canary")
	}
	list := func() map[string]int {
		t.Helper()
		var rows []struct {
			Key     string
			Primary bool
			Values  int
		}
		require.NoError(t, json.Unmarshal([]byte(a.run("key", "list", "-o", "json")), &rows))
		values := map[string]int{}
		for _, r := range rows {
			values[r.Key] = r.Values
			require.Equal(t, r.Key == keyName(keys.Primary()), r.Primary, "%s", r.Key)
		}
		return values
	}
	before := list()
	require.Len(t, before, 1)
	require.GreaterOrEqual(t, before[keyName(old)], 4)

	require.Contains(t, a.run("key", "add"), "Copy the key file to every machine")
	readable()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), "copy.json")
	require.NoError(t, os.WriteFile(copied, b, 0o600))
	require.Contains(t, a.run("key", "rotate"), "values were encrypted again")
	readable()
	require.NotEqual(t, old, keys.Primary(), "the server took the new key up when it met it")
	require.Equal(t, map[string]int{keyName(old): 0, keyName(keys.Primary()): before[keyName(old)]}, list())

	a.fails("the last rotation is too fresh", "key", "prune", "--forget")

	// A machine whose copy of the file is old writes something.
	behind, err := keyring.Open(copied)
	require.NoError(t, err)
	require.Equal(t, old, behind.Primary())
	a.store.UseEncrypter(behind)
	require.NoError(t, a.store.SetNamespaceHooks(ctx, namespace.ID, `{"slack":{"url":"https://example.org/canary"}}`))
	a.store.UseEncrypter(keys)
	a.later = pruneAfter
	a.fails("key "+keyName(old)+" encrypts 1 values", "key", "prune", "--forget")
	require.Contains(t, a.run("key", "reseal"), "1 values were encrypted again")
	require.Contains(t, a.run("key", "prune", "--forget"), "Removed "+keyName(old))
	readable()
	require.Equal(t, map[string]int{keyName(keys.Primary()): before[keyName(old)]}, list())
	require.Contains(t, a.run("key", "prune", "--forget"), "There is no other key")

	// What no key opens stops nothing, and is told.
	lost, err := behind.Encrypt([]byte("x"), "elsewhere")
	require.NoError(t, err)
	a.store.UseEncrypter(constant(lost))
	require.NoError(t, a.store.SetNamespaceHooks(ctx, namespace.ID, "{}"))
	a.store.UseEncrypter(keys)
	_, err = a.try("", "key", "rotate")
	require.ErrorContains(t, err, "1 values cannot be decrypted with any key of the file and were left as they are, such as namespaces/hooks/"+namespace.ID)
	require.Contains(t, a.run("key", "list"), "is missing")
	a.later *= 3
	require.Contains(t, a.run("key", "prune", "--forget"), "Removed")

	lines, err := a.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{})
	require.NoError(t, err)
	var actions []string
	for _, l := range lines {
		actions = append(actions, l.Action)
	}
	require.Subset(t, actions, []string{"key:add", "key:rotate", "key:prune"}, strings.Join(actions, " "))
}

// constant is an encrypter that gives the same for everything.
type constant []byte

func (c constant) Encrypt([]byte, string) ([]byte, error) { return c, nil }
func (c constant) Decrypt([]byte, string) ([]byte, error) { return nil, keyring.ErrDecrypt }
