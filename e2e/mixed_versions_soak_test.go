//go:build soak

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/testenv"
)

// released is the commit that people may still run while they upgrade. The one after it that changes a workflow changes this, too.
const released = "1dbc32f"

// soakTime is how long the versions work side by side; SOAK_TIME=10m changes it.
func soakTime(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK_TIME")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// releasedProgram builds the released version.
func releasedProgram(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "git -C .. archive "+released+" | tar -x -C "+dir+" && cd "+dir+" && go build -o slipway ./cmd/slipway").CombinedOutput()
	if strings.Contains(string(out), "not a valid object name") {
		t.Skipf("the released version is not in this clone: %s", out)
	}
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "slipway")
}

// R11, R16: an installation is upgraded while it works. The new API migrates the schema under the old processes, then
// old and new workers take turns in the same executions; those that waited for a person before the upgrade go on after
// it. None fails, no deployment runs twice.
func TestSoakR11MixedVersions(t *testing.T) {
	old := releasedProgram(t)
	s := newStack(t, stackOptions{processes: true, database: testenv.Postgres(t), tune: func(c *config.Config) { c.ScriptTimeout = time.Hour }, migrate: func(s *stack) {
		m := s.startProgram("old-migrate", old, []string{"migrate"})
		await(t, "the released schema is there", func() (bool, string) { return m.ended(), m.out.String() })
		require.Zero(t, m.cmd.ProcessState.ExitCode(), "%s", m.out)
	}})
	s.startAPIProgram("old-api", old, s.address())
	oldWorker := s.startProgram("old-worker", old, []string{"worker"})
	oldWorker.printed("the worker serves its queues")
	p := s.project("upgrade")
	p.release()
	ran := p.dir + "/ran"
	p.build("build", "echo b-$SLIPWAY_EXECUTION >>"+ran, "sleep 0.3")
	p.job("web", "", "echo d-$SLIPWAY_EXECUTION >>"+ran, "sleep 0.2")
	p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "build"}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}})
	p.pipeline("ask", []client.PipelineStep{confirmationStep}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}})
	g := newGate(t)
	p.build("long", "echo pid $$", g.wait(), "echo passed")
	var waiting []client.Ref
	for range 3 {
		waiting = append(waiting, p.triggerPipeline("ask"))
	}
	long := p.trigger("long")
	s.line(long, "pid ")

	// The released API answers a call with 500 where the schema changes under it, once for each statement, so calls go to
	// the new one from here on. What the old one has taken on goes on, and so do its reconciler and its worker.
	newAddress := freeAddress(t)
	s.startAPI("new-api", newAddress, "SLIPWAY_PUBLIC_URL=http://"+newAddress)
	s.startWorker("new-worker")
	s.url = "http://" + newAddress
	s.client = s.as(s.token)
	loaded := p.load("all", 700*time.Millisecond)
	require.NoError(t, s.client.Approve(t.Context(), s.link(waiting[0])))
	end := time.After(soakTime(t))
	for {
		select {
		case <-end:
		default:
			// What the old API takes on, either worker runs, and what waits for a person is begun by one and ended by the other.
			ask := p.triggerPipeline("ask")
			require.NoError(t, s.client.Approve(t.Context(), s.link(ask)))
			s.ok(ask)
			continue
		}
		break
	}
	g.open(1)
	s.ok(long)
	require.NoError(t, s.client.Approve(t.Context(), s.link(waiting[1])))
	s.ok(waiting[1])
	oldWorker.stop()
	require.NoError(t, s.client.Approve(t.Context(), s.link(waiting[2])))
	for _, ref := range waiting {
		s.ok(ref)
	}
	refs := loaded()
	require.NotEmpty(t, refs)
	for _, ref := range refs {
		s.ok(ref)
	}
	p.deployedOnce(ran)
	t.Logf("%d pipelines ran under two versions", len(refs))
}
