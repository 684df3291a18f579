package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
)

// shellBlocks are the commands of a page, and with them the program of their fences.
var shellBlocks = regexp.MustCompile("(?s)```sh\n(.*?)```\n")

// TestFirstProject runs the page docs/first-project.md, word by word, but for where things are.
func TestFirstProject(t *testing.T) {
	if _, err := temporaldev.FindCommand(); err != nil {
		testenv.Unavailable(t, "temporal", err.Error())
	}
	for _, name := range []string{"git", "bash"} {
		if _, err := exec.LookPath(name); err != nil {
			testenv.Unavailable(t, name, err.Error())
		}
	}
	page, err := os.ReadFile("../../docs/first-project.md")
	require.NoError(t, err)
	var blocks []string
	for _, found := range shellBlocks.FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, found[1])
	}
	require.Equal(t, "make dev\n", blocks[0])

	t.Setenv("SLIPWAY_DATABASE_URL", "")
	home, bin, site := t.TempDir(), t.TempDir(), t.TempDir()
	d, err := startDev(t.Context(), devOptions{Dir: filepath.Join(home, devFolder), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.stop()) })
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "slipway"), []byte("#!/bin/sh\n"+runMain+"=1 exec "+self+" \"$@\"\n"), 0o755)) //nolint:gosec // a program
	here := strings.NewReplacer("http://127.0.0.1:7770", d.url, "/tmp/slipway-first-", site+"/", `export PATH="$PWD/bin:$PATH"`, ":")
	folder := home // where the terminal of the page is
	run := func(script string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", here.Replace(script))
		c.Dir = folder
		c.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "PATH="+bin+":"+os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1")
		return c
	}
	shell := func(script string) string {
		t.Helper()
		out, err := run(script).CombinedOutput()
		require.NoError(t, err, "%s\n%s", script, out)
		if strings.Contains(script, "cd ~/slipway-first") {
			folder = filepath.Join(home, "slipway-first")
		}
		return string(out)
	}

	ship := 0
	for i, block := range blocks {
		if strings.HasPrefix(block, "slipway pipeline run") {
			ship = i
		}
	}
	require.Positive(t, ship)
	for _, block := range blocks[1:ship] {
		shell(block)
	}
	require.NotContains(t, shell("slipway apply slipway.yaml"), "changed (", "the file says what is there")

	followed := newOutput()
	pipeline := run(blocks[ship])
	pipeline.Stdout, pipeline.Stderr = followed, followed
	require.NoError(t, pipeline.Start())
	id := idIn(followed.await(t, "slipway pipeline approve "))
	require.Contains(t, shell(strings.ReplaceAll(blocks[ship+1], "EXECUTION", id)), "You approved 'go to production'")
	require.NoError(t, pipeline.Wait(), followed)

	out := shell(blocks[ship+2])
	require.Regexp(t, `(?m)^acme +prod +hello +acme/hello +0\.1\.0 +ok +just now +admin$`, out)
	require.True(t, strings.HasSuffix(out, "<h1>Hello, world</h1>\n"), out)
	shell(blocks[ship+3])
	require.NoFileExists(t, filepath.Join(site, "prod.html"))
	require.FileExists(t, filepath.Join(site, "dev.html"))
	require.Len(t, blocks, ship+4, "all of the page")
}
