package executions

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

// listening is a store with a project, a build, and a pipeline that listens to it.
func listening(t *testing.T, url string) (*models.Store, *models.Project, *models.Build, *models.Pipeline) {
	t.Helper()
	ctx := t.Context()
	store, err := models.Open(ctx, url, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(clear{})
	p := &models.Project{Name: "shop"}
	require.NoError(t, store.CreateProject(ctx, p))
	env := &models.Environment{ProjectID: p.ID, Name: "dev"}
	require.NoError(t, store.CreateEnvironment(ctx, env))
	b := &models.Build{ProjectID: p.ID, EnvironmentID: env.ID, Name: "web"}
	require.NoError(t, store.CreateBuild(ctx, b, models.BuildSecrets{}))
	pl := &models.Pipeline{ProjectID: p.ID, Name: "ship", Phases: []models.PipelinePhase{{Name: "a", Steps: []models.PipelineStep{
		{Type: models.StepBuild, Environment: "dev", Build: "web", TriggerPipelineOnBuild: true}}}}}
	require.NoError(t, store.CreatePipeline(ctx, pl))
	return store, p, b, pl
}

// clear seals nothing.
type clear struct{}

func (clear) Encrypt(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (clear) Decrypt(sealed []byte, _ string) ([]byte, error) { return sealed, nil }

// R2: what a build's end asks for is written with the end. Temporal may be away, the process may die after it has recorded
// the pipeline and before it says that it has: the pipeline starts, and once.
func TestR2PipelinesStartOnceWhateverDies(t *testing.T) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "slipway.db"), "postgres": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, p, b, pl := listening(t, url)
			away := errors.New("away")
			s := New(store, &starts{start: func(context.Context) error { return away }, health: away}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{StartTimeout: 20 * time.Millisecond})
			end := func(status models.Status) *models.Execution {
				t.Helper()
				e, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindBuild, ProjectID: p.ID, EnvironmentID: b.EnvironmentID, SubjectID: b.ID, SubjectName: b.Name,
					Trigger: models.Trigger{Type: "api", SubjectName: "ann"}, Definition: b.Definition()})
				require.NoError(t, err)
				ended, err := s.End(ctx, e.ID, e.Kind, status, "")
				require.NoError(t, err)
				require.True(t, ended)
				return e
			}
			pipelines := func() []models.Execution {
				t.Helper()
				list, err := store.ListExecutions(ctx, models.ExecutionFilter{SubjectID: pl.ID})
				require.NoError(t, err)
				return list
			}
			left := func() int64 {
				t.Helper()
				n, err := store.CountStarts(ctx)
				require.NoError(t, err)
				return n
			}
			for _, status := range []models.Status{models.StatusFailed, models.StatusCancelled, models.StatusSkipped} {
				end(status)
			}
			require.Zero(t, left(), "only what has ended well starts anything")

			e := end(models.StatusOK)
			require.EqualValues(t, 1, left(), "the end and the intent are one")
			require.Empty(t, pipelines())
			require.NoError(t, s.startPipelines(ctx, store.Now()))
			require.Zero(t, left())
			list := pipelines()
			require.Len(t, list, 1)
			require.Equal(t, models.StatusNew, list[0].Status, "Temporal is away: it stands, for the reconciler to start")
			require.Equal(t, models.Trigger{Type: models.TriggerBuild, SubjectName: "ann", Execution: e.ID}, list[0].Trigger)
			steps, err := store.StepsOf(ctx, list[0].ID)
			require.NoError(t, err)
			require.Equal(t, []any{true, e.ID, models.StatusOK}, []any{steps[0].Kept, steps[0].ChildID, steps[0].Status})

			// Died in between: the intent is still there, the pipeline too.
			require.NoError(t, s.startPipeline(ctx, models.PipelineStart{ExecutionID: e.ID, PipelineID: pl.ID}))
			require.Len(t, pipelines(), 1)
			audit, err := store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: "pipeline:trigger"})
			require.NoError(t, err)
			require.Len(t, audit, 1)

			// Several reconcilers share the intents, and a look that came to nothing is repeated.
			end(models.StatusOK)
			taken, err := store.TakeStarts(ctx, store.Now(), 10)
			require.NoError(t, err)
			require.Len(t, taken, 1)
			again, err := store.TakeStarts(ctx, store.Now().Add(-time.Minute), 10)
			require.NoError(t, err)
			require.Empty(t, again)
			require.NoError(t, s.startPipelines(ctx, store.Now()))
			require.Len(t, pipelines(), 2)

			// Nobody listens any more: an intent from before goes without a trace.
			end(models.StatusOK)
			pl.Disabled = true
			require.NoError(t, store.UpdatePipeline(ctx, pl))
			require.NoError(t, s.startPipelines(ctx, store.Now()))
			require.Zero(t, left())
			require.Len(t, pipelines(), 2)
			pl.Disabled, pl.Phases[0].Steps[0].TriggerPipelineOnBuild = false, false
			require.NoError(t, store.UpdatePipeline(ctx, pl))
			end(models.StatusOK)
			require.Zero(t, left())
		})
	}
}

// A pipeline that listens waits where its organization may have no more executions; it is not lost.
func TestListenersWaitForAQuota(t *testing.T) {
	ctx := t.Context()
	store, p, b, pl := listening(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	s := New(store, &starts{start: func(context.Context) error { return nil }}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{})
	build := func() *models.Execution {
		e, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindBuild, ProjectID: p.ID, EnvironmentID: b.EnvironmentID, SubjectID: b.ID, SubjectName: b.Name, Definition: b.Definition()})
		require.NoError(t, err)
		return e
	}
	first, second := build(), build()
	one := int64(1)
	require.NoError(t, store.SetQuota(ctx, p.OrganizationID, models.QuotaExecutions, &one))
	_, err := s.End(ctx, first.ID, first.Kind, models.StatusOK, "")
	require.NoError(t, err)
	pipelines := func() int {
		list, err := store.ListExecutions(ctx, models.ExecutionFilter{SubjectID: pl.ID})
		require.NoError(t, err)
		return len(list)
	}
	for range 2 {
		require.NoError(t, s.startPipelines(ctx, store.Now()))
		require.Zero(t, pipelines())
	}
	_, err = s.End(ctx, second.ID, second.Kind, models.StatusFailed, "")
	require.NoError(t, err)
	require.NoError(t, s.startPipelines(ctx, store.Now()))
	require.Equal(t, 1, pipelines())
	left, err := store.CountStarts(ctx)
	require.NoError(t, err)
	require.Zero(t, left)
}

// A ring by listening is refused when it runs, in the audit log, and a row of pipelines ends somewhere.
func TestRingsByListeningAreRefused(t *testing.T) {
	ctx := t.Context()
	store, p, b, pl := listening(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	s := New(store, &starts{start: func(context.Context) error { return nil }}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{})
	create := func(n models.NewExecution) *models.Execution {
		t.Helper()
		n.ProjectID = p.ID
		e, _, err := store.CreateExecution(ctx, n)
		require.NoError(t, err)
		return e
	}
	first := create(models.NewExecution{Kind: models.KindPipeline, SubjectID: pl.ID, SubjectName: pl.Name, Definition: pl.Definition()})
	second := create(models.NewExecution{Kind: models.KindPipeline, SubjectID: "other", SubjectName: "other", Definition: struct{}{},
		Trigger: models.Trigger{Type: models.TriggerPipeline, Execution: first.ID}})
	build := create(models.NewExecution{Kind: models.KindBuild, EnvironmentID: b.EnvironmentID, SubjectID: b.ID, SubjectName: b.Name, Definition: b.Definition(), ParentID: second.ID})
	_, err := s.End(ctx, build.ID, build.Kind, models.StatusOK, "")
	require.NoError(t, err)
	require.NoError(t, s.startPipelines(ctx, store.Now()))
	list, err := store.ListExecutions(ctx, models.ExecutionFilter{SubjectID: pl.ID})
	require.NoError(t, err)
	require.Len(t, list, 1)
	audit, err := store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: "pipeline:trigger"})
	require.NoError(t, err)
	require.Len(t, audit, 1)
	require.Equal(t, []any{"refused", "the pipelines trigger each other in a ring: ship -> other -> ship"}, []any{audit[0].Result, audit[0].Detail["reason"]})

	last := second
	for range maxDepth {
		last = create(models.NewExecution{Kind: models.KindPipeline, SubjectID: models.NewID(), SubjectName: "x", Definition: struct{}{},
			Trigger: models.Trigger{Type: models.TriggerPipeline, Execution: last.ID}})
	}
	require.ErrorContains(t, s.CheckRing(ctx, last, "new", "new"), "20 pipelines have started one another in a row")
	// A person's retry begins anew.
	retried := create(models.NewExecution{Kind: models.KindPipeline, SubjectID: "x", SubjectName: "x", Definition: struct{}{}, RetryOf: last.ID, Trigger: models.Trigger{Type: "retry", Execution: last.ID}})
	require.NoError(t, s.CheckRing(ctx, retried, pl.ID, pl.Name))
}
