//go:build soak

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
)

// R5: two hundred pipelines at once on the embedded stack.
func TestSoakR5Pipelines(t *testing.T) { manyPipelines(t, 200) }

// R5: ten thousand triggers through 32 connections. What was triggered first is followed to its end.
func TestSoakR5Triggers(t *testing.T) {
	s := newStack(t, stackOptions{})
	p := s.project("triggers")
	manyTriggers(t, s, p, 10_000, 32)
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild, PageSize: 50})
	require.NoError(t, err)
	for _, e := range list[:5] {
		require.NoError(t, s.client.Cancel(t.Context(), client.BuildRef("triggers", "dev", "quick", e.ID)))
	}
	await(t, "the first hundred have ended well", func() (bool, string) {
		n, at := 0, ""
		for _, e := range s.firstOf(list[0].SubjectID, 100) {
			if e.Status == models.StatusOK {
				n++
			} else {
				at = string(e.Status) + " " + e.Reason
			}
		}
		return n == 100, fmt.Sprintf("%d, %s", n, at)
	})
}

// firstOf gives the first n executions of a build.
func (s *stack) firstOf(subject string, n int64) []models.Execution {
	s.t.Helper()
	var first []models.Execution
	for from := ""; ; {
		list, err := s.store.ListExecutions(s.ctx(), models.ExecutionFilter{SubjectID: subject, PageSize: 1000, PageFrom: from})
		require.NoError(s.t, err)
		if len(list) == 0 {
			return first
		}
		for _, e := range list {
			if e.Number <= n {
				first = append(first, e)
			}
		}
		from = list[len(list)-1].ID
	}
}

// R12: workers are replaced one after the other while pipelines run. No execution fails, no deployment is interrupted, and
// a worker that is asked to stop is gone when its scripts are.
func TestSoakR12RollingRestart(t *testing.T) {
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	workers := []*process{s.startWorker("worker-0"), s.startWorker("worker-1")}
	p := s.project("rolling")
	p.release()
	ran := p.dir + "/ran"
	p.build("build", "echo b-$SLIPWAY_EXECUTION >>"+ran, "sleep 0.3")
	for _, name := range []string{"web", "api"} {
		p.job(name, "", "echo d-$SLIPWAY_EXECUTION >>"+ran, "sleep 0.2")
	}
	p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "build"}},
		[]client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}, {Type: client.StepDeploy, Deployment: "api"}})
	loaded := p.load("all", 150*time.Millisecond)
	for i := range 8 {
		next := s.startWorker(fmt.Sprintf("worker-%d", i+2))
		asked := time.Now()
		workers[0].stop()
		require.Less(t, time.Since(asked), 15*time.Second, "a worker with short scripts drains soon")
		require.Zero(t, workers[0].cmd.ProcessState.ExitCode(), "%s", tail(workers[0].out.String(), 2000))
		workers = append(workers[1:], next)
	}
	refs := loaded()
	require.Greater(t, len(refs), 20)
	for _, ref := range refs {
		s.ok(ref)
	}
	p.deployedOnce(ran)
}

// R17: started and stopped fifteen times.
func TestSoakR17Leaks(t *testing.T) { leaks17(t, 15) }

// R3: Temporal is killed again and again under load.
func TestSoakR3TemporalKilledUnderLoad(t *testing.T) {
	s := newStack(t, stackOptions{temporal: testenv.TemporalServer(t)})
	p := s.project("outage")
	ran := p.dir + "/ran"
	p.build("build", "echo $SLIPWAY_EXECUTION >>"+ran)
	p.pipeline("two", []client.PipelineStep{{Type: client.StepBuild, Build: "build"}}, []client.PipelineStep{{Type: client.StepBuild, Build: "build"}})
	var refs []client.Ref
	for round := range 5 {
		for range 10 {
			if ref, err := s.client.TriggerPipeline(s.ctx(), "outage", "two"); err == nil {
				refs = append(refs, ref)
			} else {
				require.ErrorContains(t, err, "503")
			}
		}
		require.NoError(t, s.temporal.Kill())
		require.NoError(t, s.temporal.Restart(t.Context()), "round %d", round)
	}
	require.NotEmpty(t, refs)
	for _, ref := range refs {
		s.ok(ref)
	}
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindPipeline, PageSize: 1000})
	require.NoError(t, err)
	for _, e := range list {
		require.Contains(t, []models.Status{models.StatusOK, models.StatusAbandoned}, e.Status, e.Reason)
	}
}

// R1: a worker that stays frozen. Its polls stay open at the server for a minute and take attempts that never begin; the
// executions go to the other worker all the same, and nothing fails for it.
func TestSoakR1WorkerStaysFrozen(t *testing.T) {
	s, p, g, _, build, deploy := freeze(t)
	s.startWorker("worker-2")
	g.open(3)
	s.failed(deploy, "interrupted")
	s.ok(build)
	s.ok(p.trigger("long"))
}
