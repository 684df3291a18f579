package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"slipway/internal/client"
	"slipway/models"
)

// limits sets the limits of a build, a deployment job or a pipeline: path is environments/dev/builds/web, say.
func (p *project) limits(path string, limits map[string]any) {
	p.t.Helper()
	a := p.do(http.MethodPut, "/api/v1/slipway/projects/"+p.name+"/"+path+"/limits", limits)
	require.Equal(p.t, http.StatusOK, a.status, "%s", a.body)
}

// phases adds a pipeline with phases as they are.
func (p *project) phases(name string, phases ...client.PipelinePhase) {
	p.t.Helper()
	for _, ph := range phases {
		for i := range ph.Steps {
			if ph.Steps[i].Type != client.StepConfirmation {
				ph.Steps[i].Project, ph.Steps[i].Environment = p.name, "dev"
			}
		}
	}
	require.NoError(p.t, p.client.AddPipeline(p.ctx(), p.name, client.Pipeline{Name: name, Phases: phases}))
}

// why gives the kind and the message of the first reason for which an execution waits.
func (s *stack) why(ref client.Ref) (kind, message string) {
	s.t.Helper()
	a := s.do(http.MethodGet, "/api/v1/slipway/executions/"+ref.ID+"/waiting", nil)
	require.Equal(s.t, http.StatusOK, a.status, "%s", a.body)
	var w struct {
		Reasons []struct{ Kind, Message string }
	}
	require.NoError(s.t, json.Unmarshal(a.body, &w))
	require.NotEmpty(s.t, w.Reasons)
	return w.Reasons[0].Kind, w.Reasons[0].Message
}

// What takes longer than its limit is ended with all its processes, once they are gone it shows as failed, and nothing of
// it is run again.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("late")
	p.release()
	ran := p.dir + "/ran"
	const tooLong = "longer than its time limit of 1s"
	stubborn := []string{"echo $step >>" + ran, "trap '' TERM", "(trap '' TERM; (exec sleep 1000) & )", "echo pid $$", "exec sleep 1000"}

	t.Run("a build", func(t *testing.T) {
		p.build("slow", stubborn...)
		p.limits("environments/dev/builds/slow", map[string]any{"time_limit": "1s"})
		ref := p.trigger("slow")
		s.failed(ref, tooLong)
		require.Empty(t, processesOf(t, ref.ID), "nothing of it is left once the status says so")
		require.Equal(t, []string{"build"}, fileLines(t, ran))
	})
	t.Run("a deployment, which is not repeated, and its deployment is free then", func(t *testing.T) {
		p.job("slow", "web", stubborn...)
		p.job("quick", "web", "echo $step")
		p.limits("environments/dev/deployment-jobs/slow", map[string]any{"time_limit": "1s"})
		ref := p.deploy("slow")
		s.line(ref, "pid ")
		next := p.deploy("quick")
		s.failed(ref, tooLong)
		require.Empty(t, processesOf(t, ref.ID))
		require.Equal(t, []string{"build", "deploy"}, fileLines(t, ran))
		s.ok(next)
	})
	t.Run("a step of a pipeline; the shorter limit holds, and time in a queue is not counted", func(t *testing.T) {
		g := newGate(t)
		p.job("holder", "api", "echo pid $$", g.wait())
		p.job("waits", "api", "echo pid $$", "exec sleep 1000")
		p.limits("environments/dev/deployment-jobs/waits", map[string]any{"time_limit": "1h"})
		holder := p.deploy("holder")
		s.line(holder, "pid ")
		p.phases("limited", client.PipelinePhase{Name: "one", Steps: []client.PipelineStep{{Name: "deploy", Type: client.StepDeploy, Deployment: "waits", TimeLimit: "1s"}}})
		ref := p.triggerPipeline("limited")
		var step client.Ref
		await(t, "the step waits", func() (bool, string) {
			var ok bool
			st := s.execution(ref).Pipeline.Phases[0].Steps[0]
			step, ok = st.Ref(p.name)
			return ok && st.Outcome == string(models.StatusQueued), st.Outcome
		})
		queued := time.Now()
		await(t, "more than its limit passes in the queue", func() (bool, string) { return time.Since(queued) > 1500*time.Millisecond, "" })
		require.Equal(t, models.StatusQueued, s.row(step).Status)
		g.open(1)
		s.failed(ref, "step deploy: "+tooLong)
		require.Equal(t, models.StatusFailed, s.row(step).Status)
		require.Equal(t, tooLong, s.row(step).Reason)
		require.Contains(t, s.logText(step), "pid ", "it ran")
	})
	t.Run("a pipeline that nobody decides", func(t *testing.T) {
		p.pipeline("asks", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}})
		p.limits("pipelines/asks", map[string]any{"time_limit": "1s"})
		s.failed(p.triggerPipeline("asks"), tooLong)
	})
	t.Run("what is done in time is left alone", func(t *testing.T) {
		p.build("quick", "echo done")
		p.limits("environments/dev/builds/quick", map[string]any{"time_limit": "1h"})
		s.ok(p.trigger("quick"))
	})
}

// R10: phases that clean up run after a failure and after a cancellation; a second cancellation ends them, with their
// processes, and the first failure stays the reason.
func TestR10CleanUp(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("tidy")
	ran := p.dir + "/ran"
	p.build("bad", "echo bad >>"+ran, "exit 3")
	p.build("long", "echo pid $$", "exec sleep 1000")
	p.build("clean", "echo clean >>"+ran)
	p.build("cleanLong", "echo pid $$", "exec sleep 1000")
	build := func(name string) []client.PipelineStep {
		return []client.PipelineStep{{Name: name, Type: client.StepBuild, Build: name}}
	}
	clean := func(name string) client.PipelinePhase {
		return client.PipelinePhase{Name: "clean", RunAlways: true, Steps: build(name)}
	}
	child := func(ref client.Ref, phase int) (c client.Ref) {
		await(t, fmt.Sprintf("phase %d runs", phase), func() (bool, string) {
			var ok bool
			c, ok = s.execution(ref).Pipeline.Phases[phase].Steps[0].Ref(p.name)
			return ok, ""
		})
		return c
	}

	t.Run("after a failure", func(t *testing.T) {
		p.phases("fails", client.PipelinePhase{Name: "work", Steps: build("bad")}, client.PipelinePhase{Name: "never", Steps: build("long")}, clean("clean"))
		e := s.failed(p.triggerPipeline("fails"), "step bad:")
		require.Equal(t, []string{"bad", "clean"}, fileLines(t, ran))
		var outcomes []string
		for _, ph := range e.Pipeline.Phases {
			outcomes = append(outcomes, ph.Steps[0].Outcome)
		}
		require.Equal(t, []string{"failed", "abandoned", "ok"}, outcomes)
		require.Empty(t, e.Pipeline.Phases[1].Steps[0].ExecutionID, "the phase between never began")
		// A retry does the failed step again, and cleans up again.
		again, err := s.client.Retry(s.ctx(), p.pipelineRefOf("fails", e.ID))
		require.NoError(t, err)
		s.failed(again, "step bad:")
		require.Equal(t, []string{"bad", "clean", "bad", "clean"}, fileLines(t, ran))
	})
	t.Run("after a cancellation", func(t *testing.T) {
		p.phases("cancelled", client.PipelinePhase{Name: "work", Steps: build("long")}, clean("clean"))
		ref := p.triggerPipeline("cancelled")
		s.line(child(ref, 0), "pid ")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		e := s.reaches(ref, models.StatusCancelled)
		require.Equal(t, "cancelled by admin", e.Reason)
		require.Len(t, fileLines(t, ran), 5)
		require.Equal(t, "ok", e.Pipeline.Phases[1].Steps[0].Outcome)
	})
	t.Run("until it is cancelled again", func(t *testing.T) {
		p.phases("twice", client.PipelinePhase{Name: "work", Steps: build("long")}, clean("cleanLong"), clean("clean"))
		ref := p.triggerPipeline("twice")
		s.line(child(ref, 0), "pid ")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		cleaning := child(ref, 1)
		s.line(cleaning, "pid ")
		require.Equal(t, models.StatusRunning, s.row(ref).Status)
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.reaches(ref, models.StatusCancelled)
		require.Equal(t, models.StatusCancelled, s.row(cleaning).Status)
		require.Empty(t, processesOf(t, cleaning.ID))
		require.Len(t, fileLines(t, ran), 5, "the second clean-up did not begin")
		require.NoError(t, s.client.Cancel(t.Context(), ref), "a third one changes nothing")
	})
	t.Run("in a pipeline that is a step of the one that is cancelled", func(t *testing.T) {
		p.phases("inner", client.PipelinePhase{Name: "work", Steps: build("long")}, clean("cleanLong"))
		p.phases("outer", client.PipelinePhase{Name: "all", Steps: []client.PipelineStep{{Type: client.StepPipeline, Pipeline: "inner", WaitForPipeline: true}}})
		ref := p.triggerPipeline("outer")
		inner := child(ref, 0)
		s.line(child(inner, 0), "pid ")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		cleaning := child(inner, 1)
		s.line(cleaning, "pid ")
		require.NoError(t, s.client.Cancel(t.Context(), ref))
		s.reaches(ref, models.StatusCancelled)
		require.Equal(t, models.StatusCancelled, s.row(inner).Status)
		require.Equal(t, models.StatusCancelled, s.row(cleaning).Status)
		require.Empty(t, processesOf(t, cleaning.ID))
	})
}

func (p *project) pipelineRefOf(name, id string) client.Ref {
	return client.PipelineRef(p.name, name, id)
}

// R7: executions of one build take turns by their numbers where its limit says so, and none is lost when the worker that
// its workflow ran on is gone.
func TestR7ParallelLimits(t *testing.T) {
	t.Parallel()
	for _, sqlite := range []bool{true, false} {
		t.Run(fmt.Sprintf("sqlite=%v", sqlite), func(t *testing.T) {
			t.Parallel()
			s := newStack(t, stackOptions{sqlite: sqlite})
			p := s.project("turns")
			inside, order, g := p.dir+"/inside", p.dir+"/order", newGate(t)
			p.build("one", "echo pid $$", g.wait(), "mkdir "+inside+" || { echo overlap; exit 9; }", "echo $SLIPWAY_EXECUTION >>"+order, "rmdir "+inside)
			p.limits("environments/dev/builds/one", map[string]any{"max_parallel": 1})
			first := p.trigger("one")
			s.line(first, "pid ")
			var refs []client.Ref
			want := []string{first.ID}
			for i := range 4 {
				ref := p.trigger("one")
				s.reaches(ref, models.StatusQueued)
				kind, message := s.why(ref)
				require.Equal(t, "limit", kind)
				require.Equal(t, fmt.Sprintf("build 'one' #1 runs, and at most 1 may side by side; it is number %d in the queue", i+1), message)
				refs, want = append(refs, ref), append(want, ref.ID)
			}
			// One of those that wait is cancelled, and is passed over.
			require.NoError(t, s.client.Cancel(t.Context(), refs[1]))
			s.reaches(refs[1], models.StatusCancelled)
			want = append(want[:2], want[3:]...)
			refs = append(refs[:1], refs[2:]...)
			// The worker goes away with what it ran; another one takes over.
			require.NoError(t, s.worker.Stop())
			var err error
			s.worker, err = s.app.StartWorker(t.Context(), workerOptions)
			require.NoError(t, err)
			g.open(len(refs) + 1)
			s.ok(first)
			for _, ref := range refs {
				s.ok(ref)
			}
			require.Equal(t, want, fileLines(t, order))
			queue, err := s.store.LockQueue(t.Context(), s.row(first).SubjectID)
			require.NoError(t, err)
			require.Empty(t, queue)
		})
	}
}

// A pipeline may cancel those before it, and waits until they have ended.
func TestCancelOlderPipelines(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("newest")
	g := newGate(t)
	p.build("work", "echo pid $$", g.wait())
	p.pipeline("ship", []client.PipelineStep{{Type: client.StepBuild, Build: "work"}})
	p.limits("pipelines/ship", map[string]any{"max_parallel": 1, "when_busy": "cancel_older"})
	first := p.triggerPipeline("ship")
	await(t, "the first runs", func() (bool, string) {
		child, ok := s.execution(first).Pipeline.Phases[0].Steps[0].Ref(p.name)
		return ok && len(processesOf(t, child.ID)) > 0, ""
	})
	second := p.triggerPipeline("ship")
	e := s.reaches(first, models.StatusCancelled)
	require.Equal(t, "cancelled by pipeline 'ship' #2, which is newer", e.Reason)
	s.reaches(second, models.StatusRunning)
	g.open(1)
	s.ok(second)

	// S24: what a step's execution takes the place of has a line of its own, by the pipeline.
	p.limits("environments/dev/builds/work", map[string]any{"max_parallel": 1, "when_busy": "cancel_older"})
	alone := p.trigger("work")
	s.line(alone, "pid ")
	step := p.triggerPipeline("ship")
	s.reaches(alone, models.StatusCancelled)
	lines := s.audit("newest", "build:cancel")
	require.Len(t, lines, 1)
	require.Equal(t, []any{"pipeline", "ship", alone.ID}, []any{lines[0].ActorKind, lines[0].ActorName, lines[0].Detail["execution"]})
	g.open(1)
	s.ok(step)
	p.limits("environments/dev/builds/work", map[string]any{})
	p.limits("pipelines/ship", map[string]any{"max_parallel": 1, "when_busy": "skip"})
	third := p.triggerPipeline("ship")
	skipped := s.reaches(p.triggerPipeline("ship"), models.StatusSkipped)
	require.Equal(t, "skipped: #4 runs, and at most 1 may side by side", skipped.Reason)
	g.open(1)
	s.ok(third)
}

// R7: however deployments come to one environment, as jobs of several names, from pipelines and from builds that deploy,
// at most one changes one deployment at a time, and all together take their turns where their pipeline is limited to one.
func TestR7PipelinesToOneEnvironmentTakeTurns(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("envs")
	p.release()
	inside, order := p.dir+"/inside", p.dir+"/order"
	critical := []string{"[ $step = deploy ] || return 0", "mkdir " + inside + " || { echo overlap; exit 9; }", "echo $SLIPWAY_EXECUTION >>" + order, "rmdir " + inside}
	p.job("web", "web", critical...)
	p.job("api", "api", critical...)
	p.pipeline("ship", []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "api"}})
	p.limits("pipelines/ship", map[string]any{"max_parallel": 1})
	var refs []client.Ref
	for range 4 {
		refs = append(refs, p.triggerPipeline("ship"))
	}
	var want []string
	for _, ref := range refs {
		for _, ph := range s.ok(ref).Pipeline.Phases {
			want = append(want, ph.Steps[0].ExecutionID)
		}
	}
	require.Equal(t, want, fileLines(t, order), "the second pipeline begins when the first has ended")
}

// Why nothing happens: without a worker, and while its worker is being waited for again.
func TestWhyNothingHappens(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, noWorker: true})
	p := s.project("idle")
	p.build("work", "echo pid $$", "exec sleep 1000")
	ref := p.trigger("work")
	await(t, "its workflow waits for a worker", func() (bool, string) {
		kind, message := s.why(ref)
		return kind == "no-worker" && message == "no worker polls the task queue 'builds'", kind + " " + message
	})
	worker, err := s.app.StartWorker(t.Context(), workerOptions)
	require.NoError(t, err)
	defer worker.Stop()
	s.line(ref, "pid ")
	await(t, "the script is seen", func() (bool, string) {
		kind, message := s.why(ref)
		return kind == "running" && strings.HasPrefix(message, "the script build of "), kind + " " + message
	})
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	kind, message := s.why(ref)
	require.Equal(t, []string{"ended", "it has ended: cancelled, cancelled by admin"}, []string{kind, message})
}

// The history of a limited build has one timer; one without a limit has none, and is as long as it always was.
func TestNoLimitCostsNoEvent(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("cheap")
	events := func(build string) map[enums.EventType]int {
		ref := p.trigger(build)
		s.ok(ref)
		n := map[enums.EventType]int{}
		it := s.workflows.GetWorkflowHistory(t.Context(), ref.ID, "", true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for it.HasNext() {
			e, err := it.Next()
			require.NoError(t, err)
			n[e.GetEventType()]++
		}
		return n
	}
	for _, name := range []string{"free", "limited"} {
		p.build(name, "echo "+name)
	}
	p.limits("environments/dev/builds/limited", map[string]any{"time_limit": "1h", "max_parallel": 5})
	require.Zero(t, events("free")[enums.EVENT_TYPE_TIMER_STARTED])
	require.Equal(t, 1, events("limited")[enums.EVENT_TYPE_TIMER_STARTED])
}
