package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/models"
	"slipway/workflows"
)

func TestR10Cancel(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	s := newStack(t, stackOptions{tune: func(c *config.Config) { c.ScriptGrace = grace }})
	p := s.project("cancel")
	p.release()

	// stubborn ignores SIGTERM, and so do its children; one of them leaves its parent.
	stubborn := []string{"trap '' TERM", "(trap '' TERM; exec sleep 1000) &", "(trap '' TERM; (exec sleep 1000) & )", "echo pid $$", "exec sleep 1000"}

	t.Run("R10 a script that ignores SIGTERM and has children", func(t *testing.T) {
		p.build("stubborn", stubborn...)
		ref := p.trigger("stubborn")
		pid, err := strconv.Atoi(s.line(ref, "pid "))
		require.NoError(t, err)
		await(t, "its children run", func() (bool, string) { return len(processesOf(t, ref.ID)) >= 3, "" })
		asked := time.Now()
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		e := s.reaches(ref, models.StatusCancelled)
		took := time.Since(asked)
		require.False(t, alive(pid))
		require.Empty(t, processesOf(t, ref.ID), "nothing of the group is left once the status says so")
		require.Less(t, took, grace+3*time.Second)
		require.Equal(t, client.StatusFailed, e.Status)
		require.Equal(t, "cancelled by admin", e.Reason)

		// A second cancel changes nothing and is no error.
		before := s.row(ref)
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		require.Equal(t, before, s.row(ref))
	})

	t.Run("R10 a script that obeys ends at once and may clean up", func(t *testing.T) {
		cleaned := p.dir + "/cleaned"
		p.build("polite", "trap 'echo cleaned >"+cleaned+"; exit 1' TERM", "echo pid $$", "sleep 1000 & wait")
		ref := p.trigger("polite")
		s.line(ref, "pid ")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.reaches(ref, models.StatusCancelled)
		require.Equal(t, []string{"cleaned"}, fileLines(t, cleaned))
		noProcessesOf(t, 3*time.Second, ref.ID)
	})

	t.Run("R7 R10 while it waits for a deployment", func(t *testing.T) {
		g := newGate(t)
		p.job("holder", "web", "echo pid $$", g.wait(), "echo passed")
		p.job("second", "web", "echo $step")
		p.job("third", "web", "echo $step")
		holder := p.deploy("holder")
		s.line(holder, "pid ")
		second := p.deploy("second")
		s.reaches(second, models.StatusQueued)
		third := p.deploy("third")
		s.reaches(third, models.StatusQueued)
		require.NoError(t, s.client.Cancel(t.Context(), second))
		s.reaches(second, models.StatusCancelled)
		require.NoError(t, s.client.Cancel(t.Context(), second))
		require.Equal(t, models.StatusQueued, s.row(third).Status, "the holder still runs")
		g.open(1)
		s.ok(holder)
		s.ok(third)
		require.Empty(t, s.logText(second), "it never ran")
	})

	t.Run("R10 a deployment that runs: its state says so and the next one goes on", func(t *testing.T) {
		p.job("running", "api", "echo pid $$", "exec sleep 1000")
		p.job("after", "api", "echo $step")
		ref := p.deploy("running")
		s.line(ref, "pid ")
		after := p.deploy("after")
		s.reaches(after, models.StatusQueued)
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.reaches(ref, models.StatusCancelled)
		s.ok(after)
	})

	t.Run("R10 a pipeline that waits for a person", func(t *testing.T) {
		p.pipeline("asks", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}})
		ref := p.triggerPipeline("asks")
		link := s.link(ref)
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.reaches(ref, models.StatusCancelled)
		require.ErrorContains(t, s.client.Approve(t.Context(), link), "409", "a late answer is refused")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
	})

	t.Run("R10 a pipeline whose steps run", func(t *testing.T) {
		p.build("one", stubborn...)
		p.build("two", "echo pid $$", "exec sleep 1000")
		p.pipeline("runs", []client.PipelineStep{{Type: client.StepBuild, Build: "one"}, {Type: client.StepBuild, Build: "two"}},
			[]client.PipelineStep{{Name: "never", Type: client.StepConfirmation}})
		ref := p.triggerPipeline("runs")
		var children []client.Ref
		await(t, "both steps run", func() (bool, string) {
			children = nil
			for _, st := range s.execution(ref).Pipeline.Phases[0].Steps {
				if child, ok := st.Ref(p.name); ok {
					children = append(children, child)
				}
			}
			return len(children) == 2, ""
		})
		for _, c := range children {
			s.line(c, "pid ")
		}
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		e := s.reaches(ref, models.StatusCancelled)
		for _, c := range children {
			require.Equal(t, models.StatusCancelled, s.row(c).Status)
			require.Empty(t, processesOf(t, c.ID))
		}
		require.Equal(t, string(models.StatusCancelled), e.Pipeline.Phases[1].Steps[0].Outcome, "what did not begin will not")
	})

	t.Run("R10 after the end", func(t *testing.T) {
		p.build("quick", "echo done")
		ref := p.trigger("quick")
		before := s.ok(ref)
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		require.Equal(t, before.Outcome, s.execution(ref).Outcome)
		require.Nil(t, s.row(ref).CancelRequestedAt)
	})
}

// Without a worker nothing claims the execution: it stays new until it is cancelled, and ends without running.
func TestR10CancelBeforeItBegins(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, noWorker: true})
	p := s.project("new")
	p.build("build", "echo ran >>"+p.dir+"/ran")
	ref := p.trigger("build")
	require.Equal(t, models.StatusNew, s.row(ref).Status)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	worker, err := s.app.StartWorker(t.Context(), workerOptions)
	require.NoError(t, err)
	defer worker.Stop()
	s.reaches(ref, models.StatusCancelled)
	p.build("other", "echo done")
	s.ok(p.trigger("other"))
	require.Empty(t, fileLines(t, p.dir+"/ran"))
	require.Equal(t, http.StatusNotFound, s.do(http.MethodPost, "/api/v1/state/new/environments/dev/builds/by-name/build/executions/none/cancel", nil).status)
}

// R7, R10: a script may take longer to end than the server waits for heartbeats. Its deployment stays its
// own until it is gone.
func TestR10AGracePeriodLongerThanTheHeartbeatTimeout(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{tune: func(c *config.Config) { c.ScriptGrace = time.Minute }})
	p := s.project("grace")
	p.release()
	g := newGate(t)
	p.job("leaving", "web", "trap '"+g.wait()+"; exit 1' TERM", "echo pid $$", "sleep 1000 & wait")
	p.job("next", "web", "echo $step")
	leaving := p.deploy("leaving")
	s.line(leaving, "pid ")
	next := p.deploy("next")
	s.reaches(next, models.StatusQueued)
	asked := time.Now()
	require.NoError(t, s.client.Cancel(t.Context(), leaving))
	await(t, "the heartbeat timeout passes twice", func() (bool, string) { return time.Since(asked) > 2*workflows.HeartbeatTimeout, "" })
	require.False(t, s.row(leaving).Status.Final(), "its script still runs")
	require.Equal(t, models.StatusQueued, s.row(next).Status)
	g.open(1)
	s.reaches(leaving, models.StatusCancelled)
	require.Equal(t, "cancelled by admin", s.row(leaving).Reason)
	s.ok(next)
}
