package examples

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/engine"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/internal/version"
)

// shelf is an inventory in memory.
type shelf struct {
	releases map[string]*release.Metadata
	packages map[string][]byte
}

func (s *shelf) find(id release.ID) *release.Metadata {
	var versions []string
	for _, m := range s.releases {
		if m.Project == id.Project && m.Name == id.Name {
			versions = append(versions, m.Version)
		}
	}
	query, err := version.ParseQuery(id.Query())
	if err != nil {
		return nil
	}
	found, ok := query.Select(versions)
	if !ok {
		return nil
	}
	return s.releases[id.Project+"/"+id.Name+"-v"+found]
}

func (s *shelf) Release(_ context.Context, id release.ID) (*release.Metadata, error) {
	if m := s.find(id); m != nil {
		return m, nil
	}
	return nil, engine.ErrNotFound
}

func (s *shelf) NextVersion(_ context.Context, project, name, prefix string) (string, error) {
	var versions []string
	for _, m := range s.releases {
		if m.Project == project && m.Name == name {
			versions = append(versions, m.Version)
		}
	}
	return version.Next(versions, prefix), nil
}

func (s *shelf) Package(_ context.Context, id release.ID) (io.ReadCloser, error) {
	content, ok := s.packages[id.String()]
	if !ok {
		return nil, engine.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (s *shelf) Register(_ context.Context, m *release.Metadata) error {
	s.releases[m.ID().String()] = m
	return nil
}

func (s *shelf) Upload(_ context.Context, id release.ID, open func() (io.ReadCloser, error)) error {
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	s.packages[id.String()] = content
	return err
}

// TestShopThroughTheEngine takes the sample from its plans to a running service and back, with the real engine.
func TestShopThroughTheEngine(t *testing.T) {
	source := t.TempDir()
	require.NoError(t, Write(Shop(), source))
	runDir := filepath.Join(t.TempDir(), "run")
	store := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(store, []byte(`{"name":"shop","environments":{"prod":{"name":"prod","inputs":{"language":"fr","run_dir":"`+runDir+`"}}}}`), 0o600))
	local, err := engine.NewLocalState(store, "shop", "prod")
	require.NoError(t, err)
	inventory := &shelf{releases: map[string]*release.Metadata{}, packages: map[string][]byte{}}
	var out bytes.Buffer
	e := &engine.Engine{Inventory: inventory, Scripts: &engine.LocalRunner{Stdout: &out, Stderr: &out}, State: local}
	target := engine.Target{Project: "shop", Environment: "prod"}

	for _, application := range []string{"greeter", "storefront", "greeter", "storefront"} {
		result, err := e.Release(t.Context(), engine.ReleaseRequest{
			Target: target, Dir: source, Plan: application + "/escape.yml",
			Steps: engine.ReleaseSteps{Build: true, Test: true, DestroyBuild: true, Package: true, Push: true},
		})
		require.NoError(t, err, out.String())
		require.Equal(t, "demo", result.ID.Project)
	}
	m := inventory.releases["demo/storefront-v0.1.1"]
	require.NotNil(t, m, "the second release of the storefront")
	require.Equal(t, "demo/greeter-v0.1.1", m.Depends[0].ReleaseID)
	require.Contains(t, m.Files, "bin/storefront")

	web := target
	web.Deployment = "web"
	deployed, err := e.Deploy(t.Context(), engine.DeployRequest{Target: web, Dir: t.TempDir(), Release: release.ID{Project: "demo", Name: "storefront", Version: "latest"}})
	require.NoError(t, err, out.String())
	address := deployed.Outputs["url"].(string)
	require.Equal(t, 200, status(t, address))
	_, err = e.Smoke(t.Context(), engine.DeployedRequest{Target: web, Dir: t.TempDir()})
	require.NoError(t, err, out.String())
	environment, err := local.Environment(t.Context())
	require.NoError(t, err)
	stage := environment.Deployments["web"].Stages[state.StageDeploy]
	require.Equal(t, "Bienvenue dans la boutique", stage.CalculatedInputs["greeting"])
	require.Equal(t, state.OK, stage.Status.Code)

	_, err = e.Destroy(t.Context(), engine.DeployedRequest{Target: web, Dir: t.TempDir()})
	require.NoError(t, err, out.String())
	require.Zero(t, status(t, address))
	require.NoDirExists(t, runDir)
	require.Equal(t, 2, strings.Count(out.String(), "built bin/storefront"))
}
