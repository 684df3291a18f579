package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// deadlock makes two pipelines with one place each whose parts wait for each other, and gives the execution that was ended
// over it. With cleanUp both were cancelled before, and the parts clean up.
func (p *project) deadlock(cleanUp bool) (ended string) {
	p.t.Helper()
	g := newGate(p.t)
	p.build("first", "echo pid $$", g.wait())
	for _, name := range []string{"one", "two"} {
		p.pipeline(name, []client.PipelineStep{{Type: client.StepBuild, Build: "first"}})
		p.limits("pipelines/"+name, map[string]any{"max_parallel": 1})
	}
	// As the database holds it after changes that were made at the same instant.
	project, err := p.store.ProjectByName(p.ctx(), p.name)
	require.NoError(p.t, err)
	for from, to := range map[string]string{"one": "two", "two": "one"} {
		pl, err := p.store.PipelineByName(p.ctx(), project.ID, from)
		require.NoError(p.t, err)
		pl.Phases = append(pl.Phases, models.PipelinePhase{Name: "b", RunAlways: cleanUp, Steps: []models.PipelineStep{{Type: models.StepPipeline, Pipeline: to, WaitForPipeline: true}}})
		require.NoError(p.t, p.store.UpdatePipeline(p.ctx(), pl))
	}
	one, two := p.triggerPipeline("one"), p.triggerPipeline("two")
	for _, ref := range []client.Ref{one, two} {
		await(p.t, "its build runs", func() (bool, string) {
			child, ok := steps(p.execution(ref))[0].Ref(p.name)
			return ok && len(processesOf(p.t, child.ID)) > 0, ""
		})
	}
	// Both have their places, and both go on with what needs the other's.
	if cleanUp {
		for _, ref := range []client.Ref{one, two} {
			require.NoError(p.t, p.client.Cancel(p.ctx(), ref))
		}
	} else {
		g.open(2)
	}
	var failed *client.Execution
	await(p.t, "one has given way", func() (bool, string) {
		a, b := p.execution(one), p.execution(two)
		for _, e := range []*client.Execution{a, b} {
			if e.Ended() && failed == nil {
				failed = e
			}
		}
		return failed != nil, a.Outcome + " " + b.Outcome
	})
	if !cleanUp {
		require.Contains(p.t, failed.Reason, "it would wait for ever: pipeline '")
	}
	g.open(4) // the other goes on: what its part triggers is a ring, which is refused, or runs
	for _, ref := range []client.Ref{one, two} {
		await(p.t, "both end", func() (bool, string) { e := p.execution(ref); return e.Ended(), e.Outcome })
	}
	return steps(failed)[1].ExecutionID
}

// R7: pipelines that trigger each other past the check for rings, each allowed to run once at a time, do not wait for each
// other for ever: one is ended and says why, and the other goes on.
func TestR7PipelinesThatWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("crosswise")
	id := p.deadlock(false)
	e, err := s.store.ExecutionByID(s.ctx(), id)
	require.NoError(t, err)
	require.Equal(t, models.StatusFailed, e.Status)
	// In their clean-up after a cancellation they do not wait until somebody cancels again either.
	p = s.project("crosswise-clean-up")
	e, err = s.store.ExecutionByID(s.ctx(), p.deadlock(true))
	require.NoError(t, err)
	require.Equal(t, models.StatusFailed, e.Status)
	require.Contains(t, e.Reason, "it would wait for ever: pipeline '")
	parent, err := s.store.ExecutionByID(s.ctx(), e.ParentID)
	require.NoError(t, err)
	require.Equal(t, models.StatusCancelled, parent.Status)
	locks, err := s.store.OrphanLocks(s.ctx())
	require.NoError(t, err)
	require.Empty(t, locks)
}
