package e2e

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// R4: the same while executions wait for their turn and have a time limit: every one gets its place in the end, no two
// have it at once, and no place stays taken.
func TestR4TurnsUnderFaults(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(3, 4))
	fault := func() error {
		mu.Lock()
		defer mu.Unlock()
		if on.Load() && random.IntN(40) == 0 {
			return models.ErrFault
		}
		return nil
	}
	s := newStack(t, stackOptions{faults: &models.Faults{Before: fault, After: fault}})
	p := s.project("turns")
	inside, ran := p.dir+"/inside", p.dir+"/ran"
	p.build("one", "mkdir "+inside+" || { echo overlap; exit 9; }", "echo $SLIPWAY_EXECUTION >>"+ran, "rmdir "+inside)
	p.limits("environments/dev/builds/one", map[string]any{"max_parallel": 1, "time_limit": "1h"})
	p.pipeline("ship", []client.PipelineStep{{Type: client.StepBuild, Build: "one"}})
	p.limits("pipelines/ship", map[string]any{"max_parallel": 2})
	var refs []client.Ref
	for range 6 {
		refs = append(refs, p.triggerPipeline("ship"), p.trigger("one"))
	}
	on.Store(true)
	for _, ref := range refs {
		await(t, "execution "+ref.ID+" has ended", func() (bool, string) {
			e := s.row(ref)
			return e.Status.Final(), string(e.Status)
		})
	}
	on.Store(false)
	for _, ref := range refs {
		s.ok(ref)
	}
	require.GreaterOrEqual(t, len(fileLines(t, ran)), len(refs), "a build may be repeated, and each ran")
	queue, err := s.store.LockQueue(t.Context(), s.row(refs[1]).SubjectID)
	require.NoError(t, err)
	require.Empty(t, queue)
}

// R4: one statement in twenty fails, half of them after it was executed: what was triggered ends well all the same, and
// every script that must not run twice ran once.
func TestR4StatementsThatFailOrAreHidden(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	var injected atomic.Int64
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	fault := func() error {
		if !on.Load() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(40) > 0 {
			return nil
		}
		injected.Add(1)
		return models.ErrFault
	}
	s := newStack(t, stackOptions{faults: &models.Faults{Before: fault, After: fault}})
	p := s.project("faulty")
	ran := p.dir + "/ran"
	p.build("one", "echo $SLIPWAY_EXECUTION >>"+ran)
	p.release()
	p.job("app", "app", "[ $step != deploy ] || echo $SLIPWAY_EXECUTION >>"+ran+".deploy")
	p.pipeline("both", []client.PipelineStep{{Type: client.StepBuild, Build: "one"}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "app"}})
	const n = 12
	var refs []client.Ref
	for range n {
		refs = append(refs, p.triggerPipeline("both"))
	}
	on.Store(true)
	// The test's own look at what happens must not fail by itself: it reads through its own store.
	for _, ref := range refs {
		await(t, "execution "+ref.ID+" has ended", func() (bool, string) {
			e := s.row(ref)
			return e.Status.Final(), string(e.Status)
		})
	}
	on.Store(false)
	var deployed []string
	for _, ref := range refs {
		e := s.ok(ref)
		deployed = append(deployed, e.Pipeline.Phases[1].Steps[0].ExecutionID)
	}
	require.ElementsMatch(t, deployed, fileLines(t, ran+".deploy"), "each deployment's script ran once")
	require.Greater(t, injected.Load(), int64(20), "faults were injected")
}
