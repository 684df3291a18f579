package activities

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
	"slipway/workflows"
)

// plainText seals nothing: what is sealed is not what is tested.
type plainText struct{}

func (plainText) Encrypt(b []byte, _ string) ([]byte, error) { return b, nil }
func (plainText) Decrypt(b []byte, _ string) ([]byte, error) { return b, nil }

// What a pipeline has made may be more than a request can hold. Its step fails then and says so, with nothing sent and nothing
// recorded beside its end; the steps beside it begin all the same.
func TestAStepWhoseRequestIsTooLong(t *testing.T) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "slipway.db"), "postgres": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, err := models.Open(ctx, url, models.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, store.Close()) })
			require.NoError(t, store.Migrate(ctx))
			store.UseEncrypter(plainText{})
			p := &models.Project{Name: "shop"}
			require.NoError(t, store.CreateProject(ctx, p))
			call := models.PipelineStep{Type: models.StepWebhook, WebhookURL: "https://chat.example.com/hooks/1"}
			pipeline := &models.Pipeline{ProjectID: p.ID, Name: "ship", ProjectName: "shop", Phases: []models.PipelinePhase{{Steps: []models.PipelineStep{{Type: models.StepBuild}}}, {Steps: []models.PipelineStep{call, call}}}}
			require.NoError(t, store.CreatePipeline(ctx, pipeline))
			build, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindBuild, ProjectID: p.ID, SubjectID: models.NewID(), SubjectName: "x", Definition: models.BuildDefinition{}})
			require.NoError(t, err)
			_, err = store.FinishExecution(ctx, build.ID, models.StatusOK, "")
			require.NoError(t, err)
			e, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindPipeline, ProjectID: p.ID, SubjectID: pipeline.ID, SubjectName: "ship", Definition: pipeline.Definition(),
				Steps: []models.ExecutionStep{{Type: models.StepBuild, Status: models.StatusOK, ChildID: build.ID}, {Phase: 1, Type: call.Type}, {Phase: 1, Step: 1, Type: call.Type}}})
			require.NoError(t, err)
			// begun gives how the first of the two steps has begun, after so many releases.
			begun := func(releases int) (workflows.StepRun, models.ExecutionStep) {
				t.Helper()
				var r models.Result
				for i := range releases {
					r.Releases = append(r.Releases, models.ReleaseResult{Release: fmt.Sprintf("shop/%s-v%d", strings.Repeat("x", 90), i)})
				}
				require.NoError(t, store.SetResult(ctx, build.ID, r))
				s := &stepper{Executions: &Executions{Store: store}, e: e, d: pipeline.Definition(), phase: 1, projects: map[string]*models.Project{}}
				run := workflows.StepRun{Name: "call", Type: call.Type}
				require.NoError(t, s.step(ctx, call, &run))
				steps, err := store.StepsOf(ctx, e.ID)
				require.NoError(t, err)
				return run, steps[1]
			}
			run, row := begun(3000)
			require.Regexp(t, `^what it would send is too long: with 3000 releases that the pipeline has made it has 3\d{5} bytes, and may have 262144$`, run.Outcome.Reason)
			require.Equal(t, models.StatusFailed, run.Outcome.Status)
			require.Empty(t, run.DeliveryID)
			require.Empty(t, run.Workflow)
			require.Equal(t, models.StatusFailed, row.Status)
			require.Equal(t, run.Outcome.Reason, row.Reason)
			require.NotNil(t, row.FinishedAt)
			sent, err := store.ListDeliveries(ctx, models.DeliveryFilter{ExecutionID: e.ID})
			require.NoError(t, err)
			require.Empty(t, sent)
			got, err := store.PipelineByID(ctx, pipeline.ID)
			require.NoError(t, err)
			secret, err := store.SigningSecret(got)
			require.NoError(t, err)
			require.Empty(t, secret, "nothing of what it began with stays")

			run, row = begun(2000)
			require.Nil(t, run.Outcome)
			require.NotEmpty(t, run.DeliveryID)
			require.Equal(t, run.DeliveryID, row.DeliveryID)
		})
	}
}
