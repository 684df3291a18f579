package e2e

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
)

// TestRecordLimitHistories records what limits, time limits and clean-up make of workflows; see TestRecordHistories.
func TestRecordLimitHistories(t *testing.T) {
	testenv.Recording(t)
	dir := filepath.Join("..", "workflows", "testdata", "histories")
	s := newStack(t, stackOptions{})
	p := s.project("record")
	p.release()
	write := func(name, id string) {
		t.Helper()
		testenv.RecordHistory(t, s.workflows, dir, name, id, "")
	}

	g := newGate(t)
	p.build("turns", "echo pid $$", g.wait())
	p.limits("environments/dev/builds/turns", map[string]any{"max_parallel": 1, "time_limit": "1h"})
	first := p.trigger("turns")
	s.line(first, "pid ")
	second, third := p.trigger("turns"), p.trigger("turns")
	s.reaches(second, models.StatusQueued)
	s.reaches(third, models.StatusQueued)
	write("build-open-waits-for-turn", third.ID)
	require.NoError(t, s.client.Cancel(t.Context(), third))
	s.reaches(third, models.StatusCancelled)
	write("build-cancelled-before-its-turn", third.ID)
	g.open(2)
	s.ok(first)
	s.ok(second)
	write("build-waited-for-turn", second.ID)

	p.job("turns", "web", "echo pid $$", g.wait())
	p.job("other", "web", "echo pid $$", g.wait())
	p.limits("environments/dev/deployment-jobs/turns", map[string]any{"max_parallel": 1})
	holder := p.deploy("other")
	s.line(holder, "pid ")
	waits, behind := p.deploy("turns"), p.deploy("turns")
	s.reaches(waits, models.StatusQueued)
	s.reaches(behind, models.StatusQueued)
	g.open(3)
	s.ok(holder)
	s.ok(waits)
	s.ok(behind)
	write("deployment-limited-waited-for-lock", waits.ID)
	write("deployment-waited-for-turn", behind.ID)

	p.build("long", "echo pid $$", "exec sleep 1000")
	p.limits("environments/dev/builds/long", map[string]any{"time_limit": "1s"})
	ref := p.trigger("long")
	s.failed(ref, "time limit")
	write("build-over-its-time", ref.ID)

	p.build("open", "echo pid $$", "exec sleep 1000")
	p.build("bad", "exit 3")
	p.build("clean", "echo clean")
	build := func(name string) []client.PipelineStep {
		return []client.PipelineStep{{Type: client.StepBuild, Build: name}}
	}
	clean := func(name string) client.PipelinePhase {
		return client.PipelinePhase{Name: "clean", RunAlways: true, Steps: build(name)}
	}
	p.phases("fails", client.PipelinePhase{Name: "work", Steps: build("bad")}, client.PipelinePhase{Name: "never", Steps: build("clean")}, clean("clean"))
	ref = p.triggerPipeline("fails")
	s.failed(ref, "3")
	write("pipeline-cleaned-up", ref.ID)

	p.phases("cancelled", client.PipelinePhase{Name: "ask", Steps: []client.PipelineStep{{Type: client.StepConfirmation}}}, clean("open"), clean("clean"))
	ref = p.triggerPipeline("cancelled")
	s.link(ref)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	await(t, "it cleans up", func() (bool, string) {
		child, ok := s.execution(ref).Pipeline.Phases[1].Steps[0].Ref("record")
		return ok && len(processesOf(t, child.ID)) > 0, ""
	})
	write("pipeline-open-cleans-up", ref.ID)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-clean-up-stopped", ref.ID)

	p.pipeline("late", []client.PipelineStep{{Type: client.StepConfirmation}})
	p.limits("pipelines/late", map[string]any{"time_limit": "1s"})
	ref = p.triggerPipeline("late")
	s.failed(ref, "time limit")
	write("pipeline-over-its-time", ref.ID)
}
