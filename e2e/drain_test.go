package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
	"slipway/worker"
)

// R12: a worker that stops lets scripts run for the whole of its drain, and is gone half a second later, however stubborn they
// are, whether or not somebody follows what it began, and whether or not Temporal answers.
func TestR12AStopTakesItsDrain(t *testing.T) {
	t.Parallel()
	const drain = 2 * time.Second
	for _, away := range []bool{false, true} {
		name := "Temporal answers"
		if away {
			name = "Temporal is away"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server *temporaldev.Server // the one that tests share
			if away {
				server = testenv.TemporalServer(t)
			}
			s := newStack(t, stackOptions{processes: true, temporal: server})
			s.cfg.ScriptGrace = time.Minute
			s.startAPI("api", s.address())
			w := s.start("worker", []string{"worker", "--drain", drain.String()})
			w.printed("the worker serves its queues")
			p := s.project("drain")
			p.release()
			asked := filepath.Join(p.dir, "asked-")
			stubborn := []string{"trap 'date +%s%N >" + asked + "$SLIPWAY_EXECUTION' TERM", "echo pid $$", "while :; do sleep 0.02; done"}
			p.build("build", stubborn...)
			p.job("web", "", stubborn...)
			build, deploy := p.trigger("build"), p.deploy("web")
			s.line(build, "pid ")
			s.line(deploy, "pid ")
			s.followed(build)
			unfollowed := p.trigger("build")
			await(t, "it has begun", func() (bool, string) { return len(processesOf(t, unfollowed.ID)) > 0, "" })
			if away {
				require.NoError(t, syscall.Kill(server.PID(), syscall.SIGSTOP))
				defer func() { require.NoError(t, syscall.Kill(server.PID(), syscall.SIGCONT)) }()
			}
			stops := time.Now()
			w.stop()
			took := time.Since(stops)
			t.Logf("the stop took %s", took)
			require.Zero(t, w.cmd.ProcessState.ExitCode(), "%s", w.out)
			require.Less(t, took, drain+worker.StopSlack+time.Second, "a second is for a busy machine")
			for _, ref := range []string{build.ID, deploy.ID, unfollowed.ID} {
				text, err := os.ReadFile(asked + ref)
				require.NoError(t, err, "asked before it was killed")
				at, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Unix(0, at).Sub(stops), drain-20*time.Millisecond, "no earlier than promised")
				noProcessesOf(t, time.Second, ref)
			}
		})
	}
}
