package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// R5: pipelines triggered at once on the embedded stack all end well, none is lost, none runs twice.
func TestR5ManyPipelinesAtOnce(t *testing.T) {
	t.Parallel()
	manyPipelines(t, 40)
}

func manyPipelines(t *testing.T, n int) {
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("many")
	ran := p.dir + "/ran"
	for _, name := range []string{"one", "two"} {
		p.build(name, "echo $SLIPWAY_EXECUTION >>"+ran)
	}
	p.pipeline("both", []client.PipelineStep{{Type: client.StepBuild, Build: "one"}}, []client.PipelineStep{{Type: client.StepBuild, Build: "two"}})
	refs := make([]client.Ref, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range refs {
		wg.Go(func() { refs[i], errs[i] = s.client.TriggerPipeline(s.ctx(), "many", "both") })
	}
	wg.Wait()
	var steps []string
	numbers := map[int]bool{}
	for i, ref := range refs {
		require.NoError(t, errs[i])
		e := s.ok(ref)
		numbers[e.Number] = true
		for _, ph := range e.Pipeline.Phases {
			require.Equal(t, client.StatusOK, ph.Steps[0].Status)
			steps = append(steps, ph.Steps[0].ExecutionID)
		}
	}
	require.Equal(t, n, len(numbers))
	for i := range n {
		require.True(t, numbers[i+1], "number %d", i+1)
	}
	require.ElementsMatch(t, steps, fileLines(t, ran), "each step ran once")
	counts, err := s.store.CountOpen(t.Context())
	require.NoError(t, err)
	require.Empty(t, counts)
}

// manyTriggers sends triggers through a number of connections: each is taken once, with dense and unique numbers.
func manyTriggers(t *testing.T, s *stack, p *project, n, connections int) {
	t.Helper()
	p.build("quick", "echo quick")
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var mu sync.Mutex
	ids := map[string]bool{}
	var wg sync.WaitGroup
	for range connections {
		c := s.as(s.token)
		wg.Go(func() {
			for range next {
				ref, err := c.TriggerBuild(s.ctx(), p.name, "dev", "quick")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids[ref.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, n, len(ids), "each trigger is an execution of its own")
	numbers := map[int64]bool{}
	from := ""
	for {
		list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild, PageSize: 1000, PageFrom: from})
		require.NoError(t, err)
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			require.True(t, ids[e.ID])
			numbers[e.Number] = true
		}
		from = list[len(list)-1].ID
	}
	require.Equal(t, n, len(numbers))
	for i := range int64(n) {
		require.True(t, numbers[i+1], fmt.Sprintf("number %d is missing", i+1))
	}
}

// R5: a thousandth of what `make soak` sends.
func TestR5Triggers(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("triggers")
	manyTriggers(t, s, p, 100, 32)
	await(t, "all have ended well", func() (bool, string) {
		counts, err := s.store.CountOpen(t.Context())
		return err == nil && len(counts) == 0, fmt.Sprint(counts, err)
	})
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild, PageSize: 1000})
	require.NoError(t, err)
	for _, e := range list {
		require.Equal(t, models.StatusOK, e.Status, e.Reason)
	}
}
