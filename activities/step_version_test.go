package activities

import (
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// What a pipeline has made is asked once for a phase, in one statement for each depth of pipelines in pipelines: a phase of
// fifty webhooks behind thousands of steps must begin within seconds.
func TestWhatAPipelineMadeIsAskedOnce(t *testing.T) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "slipway.db"), "postgres": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			var statements atomic.Int64
			store, err := models.Open(ctx, url, models.Options{Faults: &models.Faults{Before: func() error { statements.Add(1); return nil }}})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, store.Close()) })
			require.NoError(t, store.Migrate(ctx))
			p := &models.Project{Name: "shop"}
			require.NoError(t, store.CreateProject(ctx, p))
			ended := func(kind string, status models.Status, result models.Result, steps []models.ExecutionStep) string {
				t.Helper()
				n := models.NewExecution{Kind: kind, ProjectID: p.ID, SubjectID: models.NewID(), SubjectName: "x", Steps: steps, Definition: models.BuildDefinition{}}
				e, _, err := store.CreateExecution(ctx, n)
				require.NoError(t, err)
				require.NoError(t, store.SetResult(ctx, e.ID, result))
				_, err = store.FinishExecution(ctx, e.ID, status, "")
				require.NoError(t, err)
				return e.ID
			}
			releases := func(names ...string) (r models.Result) {
				for _, n := range names {
					r.Releases = append(r.Releases, models.ReleaseResult{Release: n})
				}
				return r
			}
			deployed := ended(models.KindBuild, models.StatusOK, models.Result{Release: "shop/db-v3"}, nil)
			below := ended(models.KindBuild, models.StatusOK, models.Result{}, []models.ExecutionStep{{Type: models.StepDeploy, ChildID: deployed}})
			var steps []models.ExecutionStep
			want := []string{}
			for i := range 40 {
				r := "shop/web-v" + string(rune('a'+i%20))
				steps = append(steps, models.ExecutionStep{Step: i, Type: models.StepBuild, ChildID: ended(models.KindBuild, models.StatusOK, releases(r), nil)})
				want = append(want, r)
			}
			steps = append(steps, models.ExecutionStep{Phase: 1, Type: models.StepPipeline, ChildID: below},
				models.ExecutionStep{Phase: 2, Type: models.StepBuild, ChildID: ended(models.KindBuild, models.StatusFailed, releases("shop/web-vbad"), nil)},
				models.ExecutionStep{Phase: 3, Type: models.StepBuild, ChildID: ended(models.KindBuild, models.StatusSkipped, models.Result{}, nil)})
			s := &stepper{Executions: &Executions{Store: store}, e: &models.Execution{ID: ended(models.KindBuild, models.StatusOK, models.Result{}, steps)}}
			before := statements.Load()
			for range 50 {
				made, err := s.madeHere(ctx)
				require.NoError(t, err)
				require.Equal(t, append(want[:40:40], "shop/db-v3"), made.releases)
				require.True(t, made.idle)
			}
			require.EqualValues(t, 2, statements.Load()-before)
		})
	}
}
