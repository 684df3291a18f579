package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/workflows"
)

// suggestsContinue is the number of events from which the server suggests that a workflow continue as new.
const suggestsContinue = 4096

// TestRecordHistories writes the histories that the replay test of package workflows reads, see testenv.RecordVariable.
func TestRecordHistories(t *testing.T) {
	testenv.Recording(t)
	dir := filepath.Join("..", "workflows", "testdata", "histories")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	s := newStack(t, stackOptions{})
	p := s.project("record")
	p.release()
	write := func(name, id, run string) {
		t.Helper()
		testenv.RecordHistory(t, s.workflows, dir, name, id, run)
	}
	// An activity ends the row before its workflow closes.
	closed := func(ref client.Ref) {
		t.Helper()
		require.NoError(t, s.workflows.GetWorkflow(t.Context(), ref.ID, "").Get(t.Context(), nil))
	}

	p.build("good", "echo good")
	ref := p.trigger("good")
	s.ok(ref)
	closed(ref)
	write("build-local-ok", ref.ID, "")

	p.build("bad", "exit 3")
	ref = p.trigger("bad")
	s.failed(ref, "3")
	closed(ref)
	write("build-local-failed", ref.ID, "")

	p.build("long", "echo pid $$", "exec sleep 1000")
	ref = p.trigger("long")
	s.line(ref, "pid ")
	s.followed(ref)
	write("build-local-open-running", ref.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	closed(ref)
	write("build-local-cancelled", ref.ID, "")

	p.buildOf(client.Build{Name: "deploys", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunDeploy: true}}})
	ref = p.trigger("deploys")
	s.ok(ref)
	closed(ref)
	write("build-that-deploys-ended-by-its-activity", ref.ID, "")

	g := newGate(t)
	p.job("web", "", "echo pid $$", g.wait(), "echo passed")
	holder := p.deploy("web")
	s.line(holder, "pid ")
	second, third := p.deploy("web"), p.deploy("web")
	s.reaches(second, models.StatusQueued)
	s.reaches(third, models.StatusQueued)
	write("deployment-open-waits-for-lock", third.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), third))
	s.reaches(third, models.StatusCancelled)
	write("deployment-cancelled-in-queue", third.ID, "")
	g.open(2)
	s.ok(holder)
	closed(holder)
	write("deployment-ended-by-its-activity", holder.ID, "")
	s.ok(second)
	write("deployment-waited-for-lock", second.ID, "")

	ask := client.PipelineStep{Name: "go?", Type: client.StepConfirmation}
	build := func() client.PipelineStep { return client.PipelineStep{Type: client.StepBuild, Build: "good"} }
	p.pipeline("all", []client.PipelineStep{build(), build()}, []client.PipelineStep{ask}, []client.PipelineStep{build(), {Type: client.StepSmoke, Deployment: "web"}})
	ref = p.triggerPipeline("all")
	link := s.link(ref)
	write("pipeline-open-waiting", ref.ID, "")
	require.NoError(t, s.client.Approve(t.Context(), link))
	g.open(1)
	s.ok(ref)
	write("pipeline-of-local-builds-approved", ref.ID, "")

	ref = p.triggerPipeline("all")
	require.NoError(t, s.client.Disapprove(t.Context(), s.link(ref)))
	s.failed(ref, "disapproved")
	write("pipeline-disapproved", ref.ID, "")

	ref = p.triggerPipeline("all")
	s.link(ref)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-cancelled-while-waiting", ref.ID, "")

	p.pipeline("running", []client.PipelineStep{{Type: client.StepBuild, Build: "long"}, build()})
	ref = p.triggerPipeline("running")
	await(t, "its step runs", func() (bool, string) {
		child, ok := s.execution(ref).Pipeline.Phases[0].Steps[0].Ref("record")
		return ok && len(processesOf(t, child.ID)) > 0, ""
	})
	write("pipeline-of-local-builds-open-running", ref.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-cancelled-while-running", ref.ID, "")

	p.pipeline("fails", []client.PipelineStep{{Type: client.StepBuild, Build: "bad"}, build()}, []client.PipelineStep{build()})
	ref = p.triggerPipeline("fails")
	s.failed(ref, "3")
	write("pipeline-failed", ref.ID, "")

	// So many signals that the server suggests to continue as new.
	p.pipeline("continued", []client.PipelineStep{ask}, []client.PipelineStep{build()}, []client.PipelineStep{ask})
	ref = p.triggerPipeline("continued")
	link = s.link(ref)
	first := s.row(ref).RunID
	for range suggestsContinue {
		require.NoError(t, s.workflows.SignalWorkflow(t.Context(), ref.ID, "", workflows.SignalDecision, workflows.Decision{ConfirmationID: "of nobody"}))
	}
	require.NoError(t, s.client.Approve(t.Context(), link))
	for link2 := link; link2 == link; {
		link2 = s.link(ref)
	}
	d, err := s.workflows.DescribeWorkflowExecution(t.Context(), ref.ID, "")
	require.NoError(t, err)
	run := d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	require.NotEqual(t, first, run, "it continued as new")
	write("pipeline-before-it-continued", ref.ID, first)
	write("pipeline-open-continued", ref.ID, run)
	require.NoError(t, s.client.Approve(t.Context(), s.link(ref)))
	s.ok(ref)
	write("pipeline-continued", ref.ID, run)
}
