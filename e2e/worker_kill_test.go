package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
	"slipway/workflows"
)

// workerOf says which of the workers runs a process.
func workerOf(t testing.TB, pid int, workers ...*process) (runs, other *process) {
	t.Helper()
	for at := pid; at > 1; at = parentOf(at) {
		for i, w := range workers {
			if w.pid() == at {
				return w, workers[1-i]
			}
		}
	}
	t.Fatalf("process %d is not below a worker", pid)
	return nil, nil
}

// It runs before the tests that run side by side, because it measures a time.
func TestR1KilledWorkers(t *testing.T) {
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	workers := []*process{s.startWorker("worker-1"), s.startWorker("worker-2")}
	p := s.project("killed")

	t.Run("R1 a build script begins again on the other worker", func(t *testing.T) {
		g := newGate(t)
		p.build("build", "echo pid $$", "(trap '' TERM; exec sleep 1000) &", g.wait(), "kill -9 $!; echo passed")
		ref := p.trigger("build")
		pid, err := strconv.Atoi(s.line(ref, "pid "))
		require.NoError(t, err)
		require.NotEmpty(t, processesOf(t, ref.ID), "the test sees what the script started")
		hit, _ := workerOf(t, pid, workers...)
		killed := time.Now()
		hit.kill()
		await(t, "the killed worker's script is gone", func() (bool, string) { return !alive(pid), "" })
		// The times are those at which the other worker wrote or read the lines: how long they take to get here, and how busy
		// this process is, does not count. The server gives the work out when the heartbeat timeout has passed since the last
		// heartbeat that it took, which was before the kill, and then after the first interval of the retry policy, 0.2 s. That
		// leaves 1.8 s to hand it over, to fetch the source and to spawn the script.
		_, taken := s.lineAt(ref, "The worker that ran this was lost", 0)
		rest, began := s.lineAt(ref, "pid ", 1)
		again, err := strconv.Atoi(rest)
		require.NoError(t, err)
		t.Logf("from the kill to the new attempt %v, to the new start of the script %v", taken.Sub(killed), began.Sub(killed))
		require.Less(t, began.Sub(killed), workflows.HeartbeatTimeout+2*time.Second, "from the kill to the new start of the script")
		require.NotEqual(t, pid, again)
		g.open(1)
		s.ok(ref)
		require.Contains(t, s.logText(ref), "The worker that ran this was lost")
		for i, w := range workers {
			if w == hit {
				workers[i] = s.startWorker("worker-3")
			}
		}
	})

	t.Run("R1 an errand of a pipeline is interrupted and not repeated", func(t *testing.T) {
		p := s.project("killed-errand")
		effects, g := p.dir+"/errands", newGate(t)
		p.errands(effects, "echo pid $$", "echo began >>'"+effects+"'", "(trap '' TERM; exec sleep 1000) &", g.wait(), "kill -9 $!")
		p.release()
		p.job("web", "web", "echo deployed")
		s.ok(p.deploy("web"))
		p.pipeline("backup", []client.PipelineStep{{Type: client.StepErrand, Deployment: "web", ErrandName: "backup"}}, []client.PipelineStep{{Type: client.StepSmoke, Deployment: "web"}})
		ref := p.triggerPipeline("backup")
		var child client.Ref
		await(t, "the errand has begun", func() (bool, string) {
			id := steps(s.execution(ref))[0].ExecutionID
			child = client.DeploymentJobRef(p.name, "dev", "web", id)
			return id != "", ""
		})
		pid, err := strconv.Atoi(s.line(child, "pid "))
		require.NoError(t, err)
		hit, _ := workerOf(t, pid, workers...)
		hit.kill()
		noProcessesOf(t, 3*time.Second, child.ID)
		e := s.failed(ref, "interrupted")
		require.Equal(t, []string{"failed", ""}, []string{steps(e)[0].Status, steps(e)[1].ExecutionID}, "nothing follows")
		require.Equal(t, []string{"began"}, fileLines(t, effects), "it ran once")
		queue, err := s.store.LockQueue(t.Context(), s.row(child).EnvironmentID)
		require.NoError(t, err)
		require.Empty(t, queue, "the deployment is free")
		for i, w := range workers {
			if w == hit {
				workers[i] = s.startWorker("worker-4")
			}
		}
		// A person decides: the retry runs it again, and goes on.
		again, err := s.client.Retry(t.Context(), ref)
		require.NoError(t, err)
		g.open(1)
		s.ok(again)
		require.Equal(t, []string{"began", "began", "here"}, fileLines(t, effects))
		require.Equal(t, models.StatusFailed, s.row(ref).Status, "the first one stays as it was")
	})

	t.Run("R1 a deploy script is interrupted and not repeated", func(t *testing.T) {
		p.release()
		g := newGate(t)
		effects := p.dir + "/effects"
		p.job("web", "", "echo $step >>"+effects, "echo pid $$", "(trap '' TERM; exec sleep 1000) &", g.wait(), "kill -9 $!; echo passed")
		ref := p.deploy("web")
		pid, err := strconv.Atoi(s.line(ref, "pid "))
		require.NoError(t, err)
		hit, _ := workerOf(t, pid, workers...)
		hit.kill()
		noProcessesOf(t, 3*time.Second, ref.ID)
		e := s.failed(ref, "interrupted")
		require.Contains(t, e.Reason, "retry", "it says what to do")
		require.Equal(t, []string{"deploy"}, fileLines(t, effects), "it ran once")
		environment, err := s.client.Environment(t.Context(), p.name, "dev")
		require.NoError(t, err)
		d := environment.Deployments["web"]
		require.NotNil(t, d)
		require.Equal(t, "failure", string(d.Stages["deploy"].Status.Code))
		queue, err := s.store.LockQueue(t.Context(), s.row(ref).EnvironmentID)
		require.NoError(t, err)
		require.Empty(t, queue, "the deployment is free")

		retry, err := s.client.Retry(t.Context(), ref)
		require.NoError(t, err)
		s.line(retry, "pid ")
		g.open(1)
		s.ok(retry)
		require.Equal(t, []string{"deploy", "deploy"}, fileLines(t, effects))
		environment, err = s.client.Environment(t.Context(), p.name, "dev")
		require.NoError(t, err)
		require.Equal(t, "ok", string(environment.Deployments["web"].Stages["deploy"].Status.Code))
		require.Equal(t, models.StatusFailed, s.row(ref).Status, "the first one stays as it was")
	})
}
