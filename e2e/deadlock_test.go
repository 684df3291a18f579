package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// deadlock makes two pipelines with one place each whose parts wait for each other, and gives the execution that was ended
// over it.
func (p *project) deadlock() (ended string) {
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
		pl.Phases = append(pl.Phases, models.PipelinePhase{Name: "b", Steps: []models.PipelineStep{{Type: models.StepPipeline, Pipeline: to, WaitForPipeline: true}}})
		require.NoError(p.t, p.store.UpdatePipeline(p.ctx(), pl))
	}
	one, two := p.triggerPipeline("one"), p.triggerPipeline("two")
	for _, ref := range []client.Ref{one, two} {
		await(p.t, "its build runs", func() (bool, string) {
			child, ok := steps(p.execution(ref))[0].Ref(p.name)
			return ok && len(processesOf(p.t, child.ID)) > 0, ""
		})
	}
	g.open(2) // both have their places, and both go on with what needs the other's
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
	require.Contains(p.t, failed.Reason, "it would wait for ever: pipeline '")
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
	id := p.deadlock()
	e, err := s.store.ExecutionByID(s.ctx(), id)
	require.NoError(t, err)
	require.Equal(t, models.StatusFailed, e.Status)
	locks, err := s.store.OrphanLocks(s.ctx())
	require.NoError(t, err)
	require.Empty(t, locks)
}
