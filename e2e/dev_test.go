package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
)

// startDev runs `slipway dev` on the stack's folder and waits until it is ready.
func (s *stack) startDev(name string) *process {
	s.t.Helper()
	p := s.start(name, []string{"dev", "--data", filepath.Join(s.dir, "dev"), "--listen", s.address(), "--ui-port", "0"},
		"SLIPWAY_DATABASE_URL=", "SLIPWAY_STORAGE_URL=", "SLIPWAY_KEY_FILE=", "SLIPWAY_TEMPORAL_NAMESPACE=default", "SLIPWAY_PUBLIC_URL=", "PATH="+os.Getenv("PATH"))
	p.printed("Ctrl-C ends everything")
	await(s.t, name+" is ready", func() (bool, string) {
		a, err := s.try(http.MethodGet, "/ready", nil)
		return err == nil && a.status == http.StatusOK, string(a.body)
	})
	return p
}

// children are the processes below one, at any depth.
func children(pid int) []int {
	var below []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if parentOf(child) == pid {
			below = append(append(below, child), children(child)...)
		}
	}
	return below
}

// The embedded stack, API, workers and Temporal in one, is killed with SIGKILL under a build and a deployment, and started
// again on its data. Then it is asked to end, and nothing of it is left.
func TestR1R2KilledDev(t *testing.T) {
	t.Parallel()
	if _, err := temporaldev.FindCommand(); err != nil {
		testenv.Unavailable(t, "temporal", err.Error())
	}
	s := newStack(t, stackOptions{processes: true})
	dev := s.startDev("dev")
	token, err := os.ReadFile(filepath.Join(s.dir, "dev", "admin-token"))
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(s.dir, "dev", "admin-token"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s.token = strings.TrimSpace(string(token))
	require.Equal(t, 1, strings.Count(dev.out.String(), s.token), "printed once")
	s.client = s.as(s.token)
	p := s.project("dev")
	p.release()
	g := newGate(t)
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	p.job("web", "", "echo pid $$", "exec sleep 1000")
	p.pipeline("ask", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}})
	build, deploy, asks := p.trigger("long"), p.deploy("web"), p.triggerPipeline("ask")
	s.line(build, "pid ")
	s.line(deploy, "pid ")
	link := s.link(asks)
	below := children(dev.pid())
	require.GreaterOrEqual(t, len(below), 4, "Temporal, a supervisor, two scripts")
	dev.kill()
	gone := func() {
		t.Helper()
		await(t, "nothing of it is left", func() (bool, string) {
			for _, pid := range below {
				if alive(pid) {
					return false, strconv.Itoa(pid)
				}
			}
			return true, ""
		})
	}
	gone()
	require.Empty(t, processesOf(t, deploy.ID))

	dev = s.startDev("dev-again")
	require.NotContains(t, dev.out.String(), s.token, "it is printed at the first start only")
	s.lineAfter(build, "pid ", 1)
	g.open(1)
	s.ok(build)
	s.failed(deploy, "interrupted")
	require.NoError(t, s.client.Approve(t.Context(), link))
	s.ok(asks)

	// Ctrl-C, while a script runs that nobody will wait for.
	retry, err := s.client.Retry(t.Context(), deploy)
	require.NoError(t, err)
	s.line(retry, "pid ")
	require.NoError(t, s.client.Cancel(t.Context(), retry))
	below = children(dev.pid())
	require.NoError(t, dev.cmd.Process.Signal(syscall.SIGINT))
	await(t, "it ends", func() (bool, string) { return dev.ended(), tail(dev.out.String(), 500) })
	require.Zero(t, dev.cmd.ProcessState.ExitCode(), "%s", dev.out)
	gone()
}
