package state_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/executions"
	"slipway/models"
)

// R13: however large the pipelines are, a page of their executions takes as many statements as one of small ones, and
// loads neither their phases nor their steps; and one execution takes as many as it would with a single step.
func TestR13ListsOfLargePipelines(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		project, err := k.store.ProjectByName(t.Context(), "shop")
		require.NoError(t, err)
		make := func(name string, n int) (list, one string) {
			p := &models.Pipeline{ProjectID: project.ID, Name: name, ProjectName: "shop"}
			for i := range n {
				ph := models.PipelinePhase{Name: fmt.Sprint("phase ", i)}
				for j := range n {
					ph.Steps = append(ph.Steps, models.PipelineStep{Name: fmt.Sprintf("step %d of %d", j, i), Type: models.StepBuild, Build: "web", Environment: "dev"})
				}
				p.Phases = append(p.Phases, ph)
			}
			require.NoError(t, k.store.CreatePipeline(t.Context(), p))
			list = pipelines + "by-name/" + name + "/executions/"
			for range 25 {
				_, _, err := k.store.CreateExecution(t.Context(), models.NewExecution{Kind: models.KindPipeline, ProjectID: project.ID, SubjectID: p.ID, SubjectName: p.Name,
					Trigger: models.Trigger{Type: "api"}, Definition: p.Definition(), Steps: executions.NewSteps(p.Definition())[:min(n*n, 100)]})
				require.NoError(t, err)
			}
			// The last one has all its steps.
			e, _, err := k.store.CreateExecution(t.Context(), models.NewExecution{Kind: models.KindPipeline, ProjectID: project.ID, SubjectID: p.ID, SubjectName: p.Name,
				Trigger: models.Trigger{Type: "api"}, Definition: p.Definition(), Steps: executions.NewSteps(p.Definition())})
			require.NoError(t, err)
			return list + "?page_size=50", list + e.ID + "/"
		}
		cost := func(path string) (statements int, bytes int, took time.Duration) {
			for range 5 { // who asks and what for is remembered for a second: the cheapest time is one without asking again
				before, began := k.statements.Load(), time.Now()
				text := k.as("rita").get(path).ok()
				if n := int(k.statements.Load() - before); statements == 0 || n < statements {
					statements, bytes = n, len(text)
				}
				if d := time.Since(began); took == 0 || d < took {
					took = d
				}
			}
			return statements, bytes, took
		}
		smallList, smallOne := make("small", 1)
		largeList, largeOne := make("large", 50)
		want, _, quick := cost(smallList)
		got, bytes, took := cost(largeList)
		require.Equal(t, want, got, "statements of a page")
		require.LessOrEqual(t, got, 3)
		require.Less(t, bytes, 50<<10, "a page holds no steps")
		t.Logf("a page of 50: %d statements, %d bytes, %s; of small pipelines %s", got, bytes, took, quick)
		want, _, quick = cost(smallOne)
		got, bytes, took = cost(largeOne)
		require.Equal(t, want, got, "statements of one execution")
		require.LessOrEqual(t, got, 5)
		t.Logf("one execution of 2500 steps: %d statements, %d bytes, %s; of a small pipeline %s", got, bytes, took, quick)
		own := "/api/v1/slipway/executions/?page_size=50"
		got, bytes, took = cost(own)
		require.LessOrEqual(t, got, 4)
		t.Logf("a page of executions of every kind: %d statements, %d bytes, %s", got, bytes, took)
	})
}
