package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/plan"
	"slipway/internal/release"
)

// outlined compiles a plan of files and outlines its release.
func outlined(t *testing.T, b *bench, files map[string]string, name string, steps ReleaseSteps) []OutlinedScript {
	t.Helper()
	dir := source(t, files)
	parsed, err := plan.Parse(name, []byte(files[name]))
	require.NoError(t, err)
	root, err := os.OpenRoot(filepath.Join(dir, filepath.Dir(name)))
	require.NoError(t, err)
	defer root.Close()
	compiled, err := plan.Compile(t.Context(), parsed, root, b.inventory, plan.Options{})
	require.NoError(t, err)
	scripts, err := Outline(t.Context(), compiled.Metadata, steps, "", b.inventory)
	require.NoError(t, err)
	return scripts
}

// What is outlined is what a run then does, in the same order.
func TestOutlineIsWhatRuns(t *testing.T) {
	b := newBench(t)
	ran := func(b *bench) (list []string) {
		for _, s := range b.runner.scripts {
			list = append(list, s.Step+" "+s.Release.Name+" "+s.Deployment)
		}
		return list
	}
	told := func(scripts []OutlinedScript) (list []string) {
		for _, s := range scripts {
			id, err := release.ParseID(s.Release)
			require.NoError(t, err)
			list = append(list, s.Step+" "+id.Name+" "+s.Deployment)
		}
		return list
	}
	first := told(outlined(t, b, firstApp(), "escape.yml", AllSteps))
	b.release(t, firstApp())
	require.Equal(t, ran(b), first)

	b = b.fork(t)
	second := told(outlined(t, b, secondApp(), "app/escape.yml", AllSteps))
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, secondApp()), Plan: "app/escape.yml", Steps: AllSteps})
	require.NoError(t, err)
	require.Equal(t, ran(b), second)
	require.NotEmpty(t, second)

	require.Equal(t, []string{"build backend shop/backend"}, told(outlined(t, b, firstApp(), "escape.yml", ReleaseSteps{Build: true, Package: true})))
}

func TestOutlineNamesProviders(t *testing.T) {
	b := newBench(t)
	scripts := outlined(t, b, map[string]string{"escape.yml": "name: app\nversion: '1'\nconsumes: [postgres, {name: dns, skip_deactivate: true, scopes: [deploy]}]\npre_deploy: {cmd: echo, args: [a, b]}\ndeploy: {inline: echo x}\n"},
		"escape.yml", ReleaseSteps{Deploy: true})
	require.Equal(t, []OutlinedScript{
		{Step: "activate_provider", Provider: "postgres", Deployment: "_/app"},
		{Step: "activate_provider", Provider: "dns", Deployment: "_/app"},
		{Step: "pre_deploy", Release: "_/app-v1", Deployment: "_/app", Runs: "echo a b"},
		{Step: "deploy", Release: "_/app-v1", Deployment: "_/app", Runs: "echo x"},
		{Step: "deactivate_provider", Provider: "postgres", Deployment: "_/app"},
	}, scripts)
}
