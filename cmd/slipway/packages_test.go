package main

import (
	"archive/zip"
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	surface "slipway/api/packages"
	"slipway/internal/blob"
	"slipway/internal/keyring"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
)

// packagesServer serves the packages surface and gives its address and an administrator's token.
func packagesServer(t *testing.T) (address, token string) {
	ctx := t.Context()
	store, err := models.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	store.UseEncrypter(keys)
	files, err := blob.Open(ctx, "file://"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { files.Close() })
	service := &packages.Service{Store: store, Blob: files}
	repository := packages.NewRepository(service, nil)
	policy, err := policies.New(policies.Options{})
	require.NoError(t, err)
	people, err := api.NewAuthenticator(store, api.AuthenticatorOptions{})
	require.NoError(t, err)
	handler, err := api.New(api.Options{
		Groups: []api.Group{surface.New(surface.Options{Store: store, Service: service, Repository: repository, Policy: policy,
			Scopes: api.NewScopes(store, api.ScopesOptions{})})},
		Authenticator: surface.NewAuthenticator(surface.AuthenticatorOptions{Next: people, Repository: repository}),
		Policy:        policy,
	})
	require.NoError(t, err)
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	u := &models.User{Name: "admin", Admin: true}
	require.NoError(t, store.CreateUser(ctx, u))
	token, err = store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID})
	require.NoError(t, err)
	return web.URL, token
}

func TestPackagesCommand(t *testing.T) {
	address, token := packagesServer(t)
	c := newCLI(t)
	t.Setenv(urlVariable, address)
	t.Setenv(tokenVariable, token)
	try := func(args ...string) (string, error) {
		return c.try("", append([]string{"packages"}, args...)...)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := try(args...)
		require.NoError(t, err, out)
		return out
	}
	archive := filepath.Join(t.TempDir(), "hello.zip")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("composer.json")
	require.NoError(t, err)
	_, err = w.Write([]byte(`{"name":"acme/hello"}`))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(archive, b.Bytes(), 0o600))

	require.Equal(t, "acme/hello is package 1\n", run("create", "acme/hello", "--description", "Says hello"))
	require.Regexp(t, `(?m)^1 +acme/hello +enabled +Says hello$`, run("list"))
	require.Regexp(t, `^acme/hello 5\.1\.0: \d+ bytes, sha256 [0-9a-f]{64}\n$`, run("upload", "acme/hello", "5.1.0", archive))
	run("upload", "acme/hello", "5.1.0", archive) // the same bytes again
	require.Regexp(t, `(?m)^1 +5\.1\.0 +enabled +\d+ +0$`, run("list", "acme/hello"))
	require.Contains(t, run("list", "-o", "json"), `"name": "acme/hello"`)

	out := run("grant", "ann@example.com", "acme/hello", "5.*")
	require.Contains(t, out, "ann@example.com may install acme/hello 5.*\n")
	keys := regexp.MustCompile(`composer config http-basic\.\S+ (\w{60}) (\w{60})\n`).FindStringSubmatch(out)
	require.NotNil(t, keys, out)
	out = run("grant", "ann@example.com", "acme/hello", "-o", "json")
	require.Contains(t, out, keys[1])
	require.NotContains(t, out, keys[2], "the private key is printed once")

	for _, bad := range []struct {
		args []string
		says string
	}{
		{[]string{"create", "acme/hello"}, "name is the name of another package already"},
		{[]string{"create", "novendor"}, "vendor/package"},
		{[]string{"upload", "acme/none", "1.0", archive}, `no package "acme/none"`},
		{[]string{"upload", "acme/hello", "1.0", archive + "x"}, "no such file"},
		{[]string{"grant", "ann@example.com", "acme/hello", "5.*.3"}, "5.*.3"},
		{[]string{"list", "-o", "xml"}, "expected table or json"},
		{[]string{"list", "--context", "nowhere"}, "there is no login 'nowhere'"},
	} {
		_, err := try(bad.args...)
		require.ErrorContains(t, err, bad.says)
	}
	t.Setenv(tokenVariable, "")
	_, err = try("list")
	require.ErrorContains(t, err, "does not let you in")
	require.Equal(t, exitNotAllowed, exitCode(err))
}
