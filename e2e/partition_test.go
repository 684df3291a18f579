package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/activities"
	"slipway/internal/client"
	"slipway/internal/config"
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

// R1, R10: the same while a script that was cancelled has its grace period, however long that is: the server shows the
// execution as ended and lets the next one at its deployment.
func TestR1PartitionInTheGracePeriod(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{temporal: server, tune: func(c *config.Config) { c.ScriptGrace = time.Minute }})
	p := s.project("grace")
	p.release()
	stubborn := []string{"trap 'echo asked' TERM", "echo pid $$", "while :; do sleep 0.05; done"}
	p.job("web", "", stubborn...)
	p.build("build", stubborn...)
	build, deploy := p.trigger("build"), p.deploy("web")
	for _, ref := range []client.Ref{build, deploy} {
		s.line(ref, "pid ")
	}
	s.followed(build)
	for _, ref := range []client.Ref{build, deploy} {
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.line(ref, "asked")
	}
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGSTOP))
	began := time.Now()
	await(t, "the scripts are killed", func() (bool, string) {
		return len(processesOf(t, build.ID))+len(processesOf(t, deploy.ID)) == 0, ""
	})
	require.Less(t, time.Since(began), workflows.HeartbeatTimeout+4*time.Second)
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGCONT))
	s.reaches(build, models.StatusCancelled)
	s.reaches(deploy, models.StatusCancelled)
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

// freeze stops a worker that runs a build and a deployment, without ending it, and waits until their scripts are gone.
func freeze(t *testing.T) (s *stack, p *project, g *gate, frozen *process, build, deploy client.Ref) {
	t.Helper()
	s = newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	frozen = s.startWorker("worker-1")
	p = s.project("frozen")
	p.release()
	g = newGate(t)
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	p.job("web", "", "trap '' TERM", "echo pid $$", "exec sleep 1000")
	build, deploy = p.trigger("long"), p.deploy("web")
	s.line(build, "pid ")
	s.line(deploy, "pid ")
	require.NoError(t, syscall.Kill(frozen.pid(), syscall.SIGSTOP))
	began := time.Now()
	await(t, "the frozen worker's scripts are gone", func() (bool, string) {
		return len(processesOf(t, deploy.ID))+len(processesOf(t, build.ID)) == 0, ""
	})
	require.Less(t, activities.Lease, workflows.HeartbeatTimeout, "before the server can give them to another")
	require.Less(t, time.Since(began), workflows.HeartbeatTimeout+5*time.Second, "with time for a busy machine")
	return s, p, g, frozen, build, deploy
}

// R1, R7: a worker that stands still (not dead: its connections are open) loses its scripts before another can take over,
// so that a deployment is never changed by two.
func TestR1FrozenWorker(t *testing.T) {
	t.Parallel()
	s, p, g, frozen, build, deploy := freeze(t)
	// It wakes up, finds that nothing is its own any more, and works on.
	require.NoError(t, syscall.Kill(frozen.pid(), syscall.SIGCONT))
	s.failed(deploy, "interrupted")
	s.lineAfter(build, "pid ", 1)
	g.open(1)
	s.ok(build)
	g.open(1)
	s.ok(p.trigger("long"))
	require.False(t, frozen.ended())
}

// R1: the process that supervises scripts is killed: nothing of its scripts is left, builds begin again.
func TestR1KilledSupervisor(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("supervisor")
	g := newGate(t)
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	ref := p.trigger("long")
	pid, err := strconv.Atoi(s.line(ref, "pid "))
	require.NoError(t, err)
	supervisor := parentOf(pid)
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	await(t, "its script is gone", func() (bool, string) { return !alive(pid), "" })
	s.lineAfter(ref, "pid ", 1)
	g.open(1)
	s.ok(ref)

	// A script that takes its worker down with it does not go round for ever.
	p.build("deadly", "echo pid $$", "kill -9 $PPID", "exec sleep 1000")
	ref = p.trigger("deadly")
	s.failed(ref, "times in a row")
	require.Equal(t, workflows.MaxTries-1, strings.Count(s.logText(ref), " begins."), "each but the first is said")
}
