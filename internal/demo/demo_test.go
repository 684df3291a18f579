package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// play runs the demo against a fake stack and returns its transcript. Whatever happened, nothing may be left.
func play(t *testing.T, fault func(*fakeStack)) (string, error) {
	t.Helper()
	testenv.Command(t, "git")
	f := newFakeStack(t)
	if fault != nil {
		fault(f)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	var out bytes.Buffer
	err := Run(t.Context(), Options{Start: f.Start, Out: &out, Dir: dir})
	require.NoDirExists(t, dir)
	for _, p := range processes() {
		require.False(t, p.inside(dir), "%s runs on", p.name)
	}
	return out.String(), err
}

func TestDemo(t *testing.T) {
	out, err := play(t, nil)
	require.NoError(t, err, out)
	for _, want := range []string{
		"a decision is awaited: http://",
		"answers: version 0.1.0 in dev: Welcome to the shop",
		"answers: version 0.1.0 in prod: Willkommen im Laden",
		"build storefront | ok",
		"demo/storefront-v0.1.0 with",
		"nobody answers any more",
		"From source to production and back in",
	} {
		require.Contains(t, out, want)
	}
	// Once in the course of events and once in the table.
	require.Equal(t, 2, strings.Count(out, "Run the pipeline"), out)
}

func TestDemoTellsWhatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*fakeStack)
		want  string
	}{
		"a build":                 {func(f *fakeStack) { f.failBuild = true }, "script build.sh of greeter exited with status 3"},
		"a service that stays":    {func(f *fakeStack) { f.keepRunning = true }, "still answers"},
		"another version answers": {func(f *fakeStack) { f.wrongVersion = "0.1.9" }, "Version:0.1.9"},
		"a bad package":           {func(f *fakeStack) { f.badPackage = true }, "package:"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := play(t, c.fault)
			require.ErrorContains(t, err, c.want)
			require.Contains(t, out, "FAILED")
			require.Contains(t, out, "The demo failed after")
		})
	}
}

func TestDemoWithoutAStack(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), Options{Out: &out, Start: func(context.Context) (string, string, func() error, error) {
		return "", "", nil, errors.New("no port is free")
	}})
	require.ErrorContains(t, err, "no port is free")
	require.Contains(t, out.String(), "FAILED")
}

func TestProcessesThatStayAreNoticedAndKilled(t *testing.T) {
	if len(processes()) == 0 {
		t.Skip("proc: processes cannot be listed here")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	content, err := os.ReadFile(sleep)
	require.NoError(t, err)
	program := filepath.Join(dir, "storefront (x)")
	require.NoError(t, os.WriteFile(program, content, 0o755))
	before := children()
	cmd := exec.Command(program, "600")
	require.NoError(t, cmd.Start())
	require.ErrorContains(t, noProcessLeft(dir, before), "still running")
	require.ErrorContains(t, noProcessLeft("/nowhere", before), "still running", "a child of ours")
	require.NoError(t, noProcessLeft("/nowhere", children()))
	require.Zero(t, killDeployed("/nowhere"))
	require.Equal(t, 1, killDeployed(dir))
	require.Error(t, cmd.Wait())
	require.NoError(t, noProcessLeft(dir, before))
}
