package e2e

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
	"slipway/workflows"
)

// R1: Temporal cannot be reached for longer than the heartbeat timeout. It will give the work to another worker, so what
// runs here must end before it can: two of the same must never run at once.
func TestR1Partition(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{temporal: server})
	p := s.project("partition")
	p.release()
	g := newGate(t)
	inside := p.dir + "/inside"
	p.build("build", "mkdir "+inside+" || { echo overlap; exit 9; }", "trap 'rmdir "+inside+"' EXIT", "echo pid $$", g.wait())
	h := newGate(t)
	p.job("web", "", "trap '' TERM", "echo pid $$", h.wait())
	build, deploy := p.trigger("build"), p.deploy("web")
	pid, err := strconv.Atoi(s.line(build, "pid "))
	require.NoError(t, err)
	s.line(deploy, "pid ")

	temporal := server.PID()
	require.NoError(t, syscall.Kill(temporal, syscall.SIGSTOP))
	began := time.Now()
	await(t, "the scripts are ended", func() (bool, string) {
		return !alive(pid) && len(processesOf(t, build.ID))+len(processesOf(t, deploy.ID)) == 0, ""
	})
	require.Less(t, time.Since(began), workflows.HeartbeatTimeout+4*time.Second)
	require.NoError(t, syscall.Rmdir(inside), "a script that is killed cleans nothing up")
	require.NoError(t, syscall.Kill(temporal, syscall.SIGCONT))
	s.failed(deploy, "interrupted")
	s.lineAfter(build, "pid ", 1)
	g.open(1)
	s.ok(build)
}

// R12: a worker that is asked to stop waits for its scripts as long as it was told to, then gives builds to another
// without waiting for a heartbeat timeout, and is gone.
func TestR12DrainingWorker(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	first := s.start("worker-1", []string{"worker", "--drain", "1s"})
	first.printed("the worker serves its queues")
	p := s.project("drain")
	p.release()
	g := newGate(t)
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	p.job("web", "", "echo pid $$", "exec sleep 1000")
	build, deploy := p.trigger("long"), p.deploy("web")
	s.line(build, "pid ")
	s.line(deploy, "pid ")
	s.startWorker("worker-2")
	asked := time.Now()
	first.stop()
	require.Less(t, time.Since(asked), 12*time.Second)
	require.Zero(t, first.cmd.ProcessState.ExitCode(), "%s", first.out)
	s.lineAfter(build, "pid ", 1)
	g.open(1)
	s.ok(build)
	s.failed(deploy, "interrupted")
	require.Empty(t, processesOf(t, deploy.ID))
	require.Equal(t, models.StatusFailed, s.row(deploy).Status)
}
