package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/policies"
)

func runAssets(t *testing.T, address string, args ...string) (string, string, error) {
	t.Helper()
	c := newAssetsCommand(func(ctx context.Context) (*models.Store, error) { return models.Open(ctx, address, models.Options{}) })
	var out, progress bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&progress)
	c.SetArgs(args)
	c.SilenceUsage = true
	err := c.ExecuteContext(t.Context())
	return out.String(), progress.String(), err
}

func TestAssetsCommands(t *testing.T) {
	address := "sqlite:" + filepath.Join(t.TempDir(), "slipway.db")
	_, _, err := runAssets(t, address, "import", "nosuch")
	require.ErrorIs(t, err, models.ErrNotMigrated)
	s, err := models.Open(t.Context(), address, models.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Close())

	file := filepath.Join(t.TempDir(), "images.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(`{"registry":"docker.io","repository":"team/app","config_digest":"sha256:%064d"}`+"\nwrong\n", 1)), 0o600))
	_, _, err = runAssets(t, address, "import", file)
	require.ErrorContains(t, err, "line 2")
	out, progress, err := runAssets(t, address, "import", "--skip-bad", file)
	require.NoError(t, err)
	require.Contains(t, out, "went on behind line 1")
	require.Contains(t, out, "2 lines, 1 assets created, 0 updated, 1 lines skipped")
	require.Contains(t, progress, "line 2 is skipped")
	require.Contains(t, progress, "[##############################] 2 lines")
	_, _, err = runAssets(t, address, "import", t.TempDir())
	require.ErrorContains(t, err, "no regular file")
	_, _, err = runAssets(t, address, "import", "--organization", "nosuch", file)
	require.ErrorContains(t, err, "no organization")

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	img, err := random.Image(100, 1)
	require.NoError(t, err)
	ref, err := name.ParseReference(u.Host+"/team/web:1", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img))
	_, _, err = runAssets(t, address, "scan", server.URL)
	require.ErrorContains(t, err, "not allowed")
	_, _, err = runAssets(t, address, "scan", "--allow", "x", server.URL)
	require.ErrorContains(t, err, "--allow")
	out, progress, err = runAssets(t, address, "scan", "--allow", "127.0.0.0/8", server.URL)
	require.NoError(t, err)
	require.Contains(t, out, "1 of 1 repositories, 1 images, 1 assets created, 0 failures")
	require.Contains(t, progress, "1 of 1 repositories")

	// A registry that was set up otherwise keeps what the command does not name.
	s, err = models.Open(t.Context(), address, models.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	o, err := s.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
	require.NoError(t, err)
	before := &models.AssetRegistry{OrganizationID: o.ID, Name: "hub", URL: server.URL, Username: "robot", Repositories: []string{"team/api", "team/web"}, Schedule: "0 3 * * *"}
	require.NoError(t, s.PutAssetRegistry(t.Context(), before, nil))
	_, _, err = runAssets(t, address, "scan", "--name", "hub", "--allow", "127.0.0.0/8", "--resume", models.NewID(), server.URL)
	require.ErrorContains(t, err, "--resume")
	_, _, err = runAssets(t, address, "scan", "--name", "hub", "--allow", "127.0.0.0/8", server.URL, "team/WEB")
	require.ErrorContains(t, err, `got "team/WEB"`)
	out, progress, err = runAssets(t, address, "scan", "--name", "hub", "--allow", "127.0.0.0/8", server.URL+"/", "team/web")
	require.NoError(t, err)
	require.Contains(t, out, "1 of 1 repositories, 1 images, 0 assets created, 0 failures")
	id, _, _ := strings.Cut(strings.TrimPrefix(out, "scan "), ":")
	require.Contains(t, progress, "--resume "+id)
	after, err := s.AssetRegistryByName(t.Context(), o.ID, "hub")
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, _, err = runAssets(t, address, "scan", "--name", "hub", "--allow", "127.0.0.0/8", "--resume", id, server.URL, "team/web")
	require.NoError(t, err, "a scan that has ended has nothing left to read")

	lines, err := s.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{})
	require.NoError(t, err)
	var actions []string
	for _, l := range lines {
		require.Equal(t, "operator", l.ActorKind)
		actions = append(actions, l.Action)
	}
	slices.Sort(actions)
	require.Equal(t, []string{"asset-registry:update", "asset-scan:create", "asset-scan:create", "asset-scan:create", "asset-scan:create", "asset:import", "asset:import"}, actions)
}

// onWrite does something at the first write, as a person at a terminal would.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }

// TestAssetsCommandsThatAreInterrupted say how to go on.
func TestAssetsCommandsThatAreInterrupted(t *testing.T) {
	address := "sqlite:" + filepath.Join(t.TempDir(), "slipway.db")
	s, err := models.Open(t.Context(), address, models.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Close())
	file := filepath.Join(t.TempDir(), "images.jsonl")
	var lines bytes.Buffer
	lines.WriteString("wrong\n")
	for n := range 11_000 {
		fmt.Fprintf(&lines, `{"registry":"docker.io","repository":"team/app","config_digest":"sha256:%064d"}`+"\n", n)
	}
	require.NoError(t, os.WriteFile(file, lines.Bytes(), 0o600))
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	for want, args := range map[string][]string{
		"the same command goes on":          {"import", "--skip-bad", file},
		"interrupted: go on with --resume ": {"scan", "--allow", "127.0.0.0/8", server.URL},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c := newAssetsCommand(func(ctx context.Context) (*models.Store, error) { return models.Open(ctx, address, models.Options{}) })
		c.SetOut(io.Discard)
		c.SetErr(onWrite(cancel))
		c.SetArgs(args)
		c.SilenceUsage = true
		require.ErrorContains(t, c.ExecuteContext(ctx), want)
		cancel()
	}
}
