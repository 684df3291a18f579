package executions

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// R12: what failed in an earlier phase, and was ignored, is taken over by a retry as it ended: the phases after it ran all
// the same. In the phase where the retry goes on it runs again, and so does what comes after a step that is named.
func TestRetriesKeepFailuresThatWereIgnored(t *testing.T) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "slipway.db"), "postgres": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, p, _, pl := listening(t, url)
			s := New(store, &starts{start: func(context.Context) error { return nil }}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{})
			step := func(name string, ignore bool) models.PipelineStep {
				return models.PipelineStep{Name: name, Type: models.StepBuild, Environment: "dev", Build: "web", IgnoreFailure: ignore}
			}
			pl.Phases = []models.PipelinePhase{
				{Name: "a", Steps: []models.PipelineStep{step("good", false), step("ignored", true)}},
				{Name: "b", Steps: []models.PipelineStep{step("also", true), step("bad", false), step("fine", false)}},
				{Name: "c", Steps: []models.PipelineStep{step("never", false)}},
				{Name: "d", RunAlways: true, Steps: []models.PipelineStep{step("clean", true)}},
			}
			steps, now := NewSteps(pl.Definition()), store.Now()
			for i, status := range []models.Status{models.StatusOK, models.StatusFailed, models.StatusFailed, models.StatusFailed, models.StatusOK, steps[5].Status, models.StatusFailed} {
				if steps[i].Status = status; i != 5 {
					steps[i].StartedAt = &now
				}
			}
			steps[1].Reason = "status 7"
			old, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindPipeline, ProjectID: p.ID, SubjectID: pl.ID, SubjectName: pl.Name, Definition: pl.Definition(), Steps: steps})
			require.NoError(t, err)
			_, err = s.End(ctx, old.ID, old.Kind, models.StatusFailed, "step bad: status 1")
			require.NoError(t, err)
			old, err = store.ExecutionByID(ctx, old.ID)
			require.NoError(t, err)
			for from, want := range map[string][]string{"": {"good", "ignored", "fine"}, "bad": {"good", "ignored", "fine"}, "fine": {"good", "ignored"},
				"ignored": {"good"}, "never": {"good", "ignored", "also", "fine"}, "start": nil} {
				list, err := s.keptSteps(ctx, old, pl.Definition(), from)
				require.NoError(t, err)
				var kept []string
				for _, st := range list {
					if st.Kept {
						kept = append(kept, st.Name)
					}
					if st.Name == "ignored" && st.Kept {
						require.Equal(t, []any{models.StatusFailed, "status 7"}, []any{st.Status, st.Reason})
					}
				}
				require.Equal(t, want, kept, "from %q", from)
			}
		})
	}
}
