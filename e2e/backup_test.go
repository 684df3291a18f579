package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
)

// R16: database, files and key file are saved while executions are open and restored elsewhere, as docs/running.md says.
// The executions go on, secrets can be read, and packages are there.
func TestR16BackupAndRestore(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	api, worker := s.startAPI("api", s.address()), s.startWorker("worker")
	p := s.project("saved")
	p.release()
	g := newGate(t)
	p.job("web", "", "echo $step of $more", g.wait())
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	p.pipeline("ask", []client.PipelineStep{confirmationStep}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}})
	asks := p.triggerPipeline("ask")
	link := s.link(asks)
	builds := p.trigger("long")
	s.line(builds, "pid ")

	saved := t.TempDir()
	dump := filepath.Join(saved, "slipway.dump")
	run := func(name string, args ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), testenv.PostgresCommand(t, name), args...).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
	run("pg_dump", "--format=custom", "--file="+dump, s.database)
	require.NoError(t, os.CopyFS(filepath.Join(saved, "files"), os.DirFS(strings.TrimPrefix(s.cfg.StorageURL, "file://"))))
	key, err := os.ReadFile(s.cfg.KeyFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(saved, "keyset.json"), key, 0o600))
	worker.kill()
	api.kill()

	restored := testenv.Postgres(t)
	run("pg_restore", "--no-owner", "--exit-on-error", "--dbname="+restored, dump)
	elsewhere := []string{"SLIPWAY_DATABASE_URL=" + restored, "SLIPWAY_STORAGE_URL=file://" + filepath.Join(saved, "files"), "SLIPWAY_KEY_FILE=" + filepath.Join(saved, "keyset.json")}
	s.startAPI("restored-api", s.address(), elsewhere...)
	s.startWorker("restored-worker", elsewhere...)
	g.open(2)
	s.ok(builds)
	require.Equal(t, link, s.link(asks), "the link stays")
	require.NoError(t, s.client.Approve(t.Context(), link))
	s.ok(asks)
}
