package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// S21: a script finds no credential of the platform: not in its environment, not in the processes above it, not in files.
func TestS21ScriptsSeeNoCredentials(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	extra := []string{"OTHER_CREDENTIAL=platform-credential", "SLIPWAY_SCRIPT_ENV=SHARED", "SHARED=meant for scripts"}
	users := os.Geteuid() == 0
	if users {
		extra = append(extra, "SLIPWAY_SCRIPT_USERS=29000-29010")
	}
	worker := s.startWorker("worker", extra...)
	p := s.project("isolated")
	require.NoError(t, os.Chmod(filepath.Dir(p.repo.Dir), 0o755)) // the user that fetches is another one too
	p.build("looks", "echo '--- environment'; env; echo '--- identity'; id -u",
		"echo '--- processes'; for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do tr '\\0' '\\n' <$f; done 2>/dev/null",
		"echo '--- files'; cat '"+s.cfg.KeyFile+"' '"+filepath.Join(s.dir, "worker")+"'/* 2>&1",
		"echo '--- memory'; cat /proc/"+itoa(worker.pid())+"/mem /proc/"+itoa(worker.pid())+"/maps 2>&1 | head -c 1000", "echo '--- end'")
	ref := p.trigger("looks")
	s.ok(ref)
	text := s.logText(ref)
	_, rest, _ := strings.Cut(text, "--- environment")
	environment, rest, _ := strings.Cut(rest, "--- identity")
	identity, rest, _ := strings.Cut(rest, "--- processes")
	processes, files, _ := strings.Cut(rest, "--- files")
	require.Contains(t, files, "--- end", "all of it ran")
	for _, secret := range []string{"platform-credential", "SLIPWAY_DATABASE_URL", "SLIPWAY_KEY_FILE", "postgres://"} {
		require.NotContains(t, environment, secret)
	}
	require.Contains(t, environment, "SHARED=meant for scripts", "what is configured gets through")
	require.Contains(t, environment, "SLIPWAY_EXECUTION="+ref.ID)
	if !users {
		t.Log("not root: scripts run as this user, so only their environment is apart")
		return
	}
	require.NotContains(t, identity, "\n0\n")
	require.Contains(t, identity, "290", "a user of the range")
	require.NotContains(t, processes, "platform-credential")
	require.NotContains(t, processes, "SLIPWAY_DATABASE_URL=")
	require.NotContains(t, files, "primaryKeyId")
	require.Contains(t, files, "ermission denied")
	// The workspace is wiped.
	left, err := filepath.Glob(filepath.Join(s.dir, "worker", "workspaces", "*"))
	require.NoError(t, err)
	for _, dir := range left {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			require.NotContains(t, e.Name(), "source", "in %s", dir)
		}
	}
}
