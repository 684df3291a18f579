package schedules_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
	"slipway/schedules"
)

// plain stands for a keyring: nothing here is secret.
type plain struct{}

func (plain) Encrypt(p []byte, _ string) ([]byte, error) { return p, nil }
func (plain) Decrypt(p []byte, _ string) ([]byte, error) { return p, nil }

// runner stands for executions.Service: executions are rows, and end when the test says so.
type runner struct {
	store *models.Store
	mu    sync.Mutex
	asked []executions.TriggerRequest
	// before is called in front of each trigger.
	before    func()
	cancelled []string
}

func (r *runner) Trigger(ctx context.Context, req executions.TriggerRequest) (*models.Execution, error) {
	r.mu.Lock()
	r.asked = append(r.asked, req)
	before := r.before
	r.mu.Unlock()
	if before != nil {
		before()
		ctx = context.WithoutCancel(ctx)
	}
	e, _, err := r.store.CreateExecution(ctx, models.NewExecution{Kind: req.Kind, ProjectID: req.ProjectID, EnvironmentID: req.EnvironmentID, SubjectID: req.SubjectID,
		SubjectName: req.SubjectName, Trigger: req.Trigger, IdempotencyKey: req.IdempotencyKey, Definition: req.Definition})
	return e, err
}

func (r *runner) Cancel(ctx context.Context, id string, by policies.Subject) error {
	if _, err := r.store.RequestCancel(ctx, id, by.Name, nil); err != nil && !errors.Is(err, models.ErrFinal) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = append(r.cancelled, id)
	return nil
}

// fixture is a project with a build and a pipeline, owned by olga.
type fixture struct {
	t        *testing.T
	clock    atomic.Int64 // how far ahead the database's clock is
	store    *models.Store
	runner   *runner
	temporal *fakeTemporal
	service  *schedules.Service
	project  *models.Project
	env      *models.Environment
	build    *models.Build
	pipeline *models.Pipeline
	olga     policies.Subject
}

func onBoth(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Run("sqlite", func(t *testing.T) { f(t, newFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), nil)) })
	t.Run("postgres", func(t *testing.T) {
		f(t, newFixture(t, testenv.PostgresTemplate(t, "schedules", func(url string) error {
			store, err := models.Open(context.Background(), url, models.Options{})
			if err != nil {
				return err
			}
			return errors.Join(store.Migrate(context.Background()), store.Close())
		}), nil))
	})
}

func onSQLite(t *testing.T, c client.Client) *fixture {
	return newFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), c)
}

func newFixture(t *testing.T, url string, c client.Client) *fixture {
	t.Helper()
	ctx := t.Context()
	x := &fixture{t: t}
	store, err := models.Open(ctx, url, models.Options{MaxConnections: 16, Now: func() time.Time { return time.Now().Add(time.Duration(x.clock.Load())) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(plain{})
	engine, err := policies.New(policies.Options{})
	require.NoError(t, err)
	x.store, x.runner = store, &runner{store: store}
	if c == nil {
		x.temporal = &fakeTemporal{}
		c = x.temporal
	}
	x.service = schedules.New(store, x.runner, engine, c, slog.New(slog.DiscardHandler))
	org, err := store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	x.project = &models.Project{OrganizationID: org.ID, Name: "shop"}
	require.NoError(t, store.CreateProject(ctx, x.project))
	x.env = &models.Environment{ProjectID: x.project.ID, Name: "dev"}
	require.NoError(t, store.CreateEnvironment(ctx, x.env))
	x.build = &models.Build{ProjectID: x.project.ID, EnvironmentID: x.env.ID, Name: "web", Repo: "https://example.com/web.git"}
	require.NoError(t, store.CreateBuild(ctx, x.build, models.BuildSecrets{}))
	x.pipeline = &models.Pipeline{ProjectID: x.project.ID, Name: "ship", Phases: []models.PipelinePhase{{Steps: []models.PipelineStep{{Type: models.StepConfirmation}}}}}
	require.NoError(t, store.CreatePipeline(ctx, x.pipeline))
	u := &models.User{Name: "olga"}
	require.NoError(t, store.CreateUser(ctx, u))
	require.NoError(t, store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: x.project.ID, Role: policies.RoleOwner}))
	x.olga, err = store.Subject(ctx, models.SubjectUser, u.ID)
	require.NoError(t, err)
	return x
}

// schedule saves a schedule of the build.
func (x *fixture) schedule(name, overlap string, cron ...string) *models.Schedule {
	x.t.Helper()
	if len(cron) == 0 {
		cron = []string{"0 3 * * *"}
	}
	c := &models.Schedule{ProjectID: x.project.ID, Name: name, Kind: models.KindBuild, SubjectID: x.build.ID, SubjectName: "web", EnvironmentID: x.env.ID, EnvironmentName: "dev",
		Cron: cron, Overlap: overlap}
	require.NoError(x.t, x.service.Save(x.t.Context(), c, x.olga))
	return c
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fire is the time hours after noon.
func (x *fixture) fire(c *models.Schedule, hours int) {
	x.t.Helper()
	require.NoError(x.t, x.service.Fire(x.t.Context(), c.ID, noon.Add(time.Duration(hours)*time.Hour), x.store.Now()))
}

// states are those of the runs, in the order of their times.
func (x *fixture) states(c *models.Schedule) []string {
	x.t.Helper()
	runs := x.runs(c)
	out := make([]string, len(runs))
	for i, r := range runs {
		out[i] = r.State
		if r.State == models.RunStarted {
			out[i] = string(r.Status)
		}
	}
	return out
}

func (x *fixture) runs(c *models.Schedule) []models.ScheduleRun {
	x.t.Helper()
	list, err := x.store.ListRuns(x.t.Context(), c.ID, "", 1000)
	require.NoError(x.t, err)
	byTime := make([]models.ScheduleRun, 0, len(list))
	for i := range list {
		at := 0
		for at < len(byTime) && byTime[at].Nominal < list[i].Nominal {
			at++
		}
		byTime = append(byTime[:at], append([]models.ScheduleRun{list[i]}, byTime[at:]...)...)
	}
	return byTime
}

// end ends the execution of the run at a place.
func (x *fixture) end(c *models.Schedule, place int, status models.Status) {
	x.t.Helper()
	_, err := x.store.FinishExecution(x.t.Context(), x.runs(c)[place].ExecutionID, status, "")
	require.NoError(x.t, err)
}

// reconcile does one round.
func (x *fixture) reconcile() error { return schedules.ReconcileOnce(x.service, x.t.Context()) }

func isProblem(t *testing.T, err error, kind problem.Kind, text string) {
	t.Helper()
	require.Error(t, err)
	require.True(t, problem.Is(err, kind), "%v", err)
	require.ErrorContains(t, err, text)
}
