package engine

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
)

func TestLocalInventory(t *testing.T) {
	dir := t.TempDir()
	local := NewLocalInventory(dir)
	b := newBench(t)
	b.Inventory = local
	b.release(t, firstApp())
	b.release(t, firstApp())
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, secondApp()), Plan: "app/escape.yml", Steps: AllSteps})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, "shop/backend-v0.1.1", result.Metadata.Depends[0].ReleaseID)
	for _, name := range []string{"index.json", "backend-v0.1.0.json", "backend-v0.1.0.tgz", "backend-v0.1.1.tgz"} {
		require.FileExists(t, filepath.Join(dir, "shop/backend", name))
	}
	_, err = NewLocalInventory(dir).Release(t.Context(), b.mustID(t, "shop/backend-v0.1.@"))
	require.NoError(t, err)
	_, err = local.Release(t.Context(), b.mustID(t, "shop/backend:ci"))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = local.Release(t.Context(), release.ID{Project: "..", Name: "x", Version: "1"})
	require.EqualError(t, err, "Invalid release format: ../x.")
	_, err = local.Package(t.Context(), b.mustID(t, "shop/backend-v9"))
	require.ErrorIs(t, err, ErrNotFound)

	m, err := local.Release(t.Context(), b.mustID(t, "shop/backend-v0.1.0"))
	require.NoError(t, err)
	require.ErrorIs(t, local.Register(t.Context(), m), ErrExists)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("bad"))), nil }
	require.ErrorIs(t, local.Upload(t.Context(), m.ID(), open), ErrExists)
	archive := filepath.Join(dir, "shop/backend/backend-v0.1.0.tgz")
	before, err := os.ReadFile(archive)
	require.NoError(t, err)
	var invalid *release.InvalidError
	require.ErrorAs(t, local.Replace(t.Context(), m, open), &invalid)
	other := *m
	other.Description = "another one"
	require.EqualError(t, local.Replace(t.Context(), &other, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(before)), nil }),
		"The release.json of the package says something else than what was registered, in: 'description'")
	after, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.Equal(t, before, after, "a bad package replaces nothing")
	other.Version = "0.0.9"
	require.ErrorIs(t, local.Replace(t.Context(), &other, open), ErrNotFound)
	entries, err := filepath.Glob(filepath.Join(dir, "shop/backend/.*"))
	require.NoError(t, err)
	require.Empty(t, entries)
	forced, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, firstApp()), Steps: AllSteps, OverrideVersion: "0.1.1", ForceOverwrite: true})
	require.NoError(t, err)
	require.Equal(t, "0.1.1", forced.ID.Version)
	files := firstApp()
	files["escape.yml"] = strings.Replace(files["escape.yml"], "license: Apache-2.0", "license: replaced", 1)
	forced, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps, OverrideVersion: "0.1.1", ForceOverwrite: true})
	require.NoError(t, err)
	m, err = local.Release(t.Context(), forced.ID)
	require.NoError(t, err)
	require.Equal(t, "replaced", m.License)
	packed, err := local.Package(t.Context(), forced.ID)
	require.NoError(t, err)
	m, err = release.CheckArchive(packed, forced.ID, release.DefaultLimits)
	require.NoError(t, errors.Join(err, packed.Close()))
	require.Equal(t, "replaced", m.License)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop/backend/index.json"), []byte("{"), 0o600))
	_, err = local.Release(t.Context(), m.ID())
	require.ErrorContains(t, err, "shop/backend/index.json")
}

// BenchmarkRelease is a release whose build runs one script, against starting that script alone.
func BenchmarkRelease(b *testing.B) {
	files := map[string]string{"escape.yml": "name: app\nversion: '@'\nbuild: 'true'\n"}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "escape.yml"), []byte(files["escape.yml"]), 0o600); err != nil {
		b.Fatal(err)
	}
	runner := &LocalRunner{}
	b.Run("engine", func(b *testing.B) {
		e := &Engine{Inventory: newMemory(), Scripts: runner, State: &saves{environment: newEnvironment()}}
		for b.Loop() {
			if _, err := e.Release(b.Context(), ReleaseRequest{Dir: dir, Steps: ReleaseSteps{Build: true}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("script", func(b *testing.B) {
		for b.Loop() {
			if _, err := runner.RunScript(b.Context(), Script{Dir: dir, Argv: []string{"true"}, OutputsFile: outputsFile}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
