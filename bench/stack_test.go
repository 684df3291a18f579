//go:build bench

package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/activities"
	"slipway/app"
	"slipway/executions"
	"slipway/internal/config"
	"slipway/internal/runner"
	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
	"slipway/models"
)

// stack is a whole Slipway in this process, on the shared Temporal server.
type stack struct {
	*app.App
	temporal *temporaldev.Server
	server   *httptest.Server
	project  *models.Project
	env      *models.Environment
}

// folderSource gives a build with n steps the plans and scripts of n releases, without git: fetching is measured apart.
type folderSource struct{ script string }

func (s folderSource) Fetch(_ context.Context, space *runner.Workspace, r activities.SourceRequest) (models.Commit, error) {
	for name, text := range planFiles(r.URL, s.script) {
		file := filepath.Join(space.Source, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return models.Commit{}, err
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			return models.Commit{}, err
		}
	}
	return models.Commit{}, nil
}

type stackOptions struct {
	database string
	eager    bool
	scripts  int
	noWorker bool
	script   string
	temporal *temporaldev.Server
	// realSources fetches with git.
	realSources bool
}

func newStack(t *testing.T, o stackOptions) *stack {
	t.Helper()
	ctx := t.Context()
	server := o.temporal
	if server == nil {
		server = testenv.Temporal(t)
	}
	dir := t.TempDir()
	if o.database == "" {
		o.database = testenv.Postgres(t)
	}
	if o.scripts == 0 {
		o.scripts = 16
	}
	cfg := &config.Config{Listen: "127.0.0.1:0", DataDir: dir, DatabaseURL: config.Secret(o.database), DatabaseConnections: 32, Auth: "token",
		TemporalAddress: server.HostPort, TemporalNamespace: "default", Scripts: o.scripts, ScriptTimeout: time.Minute, ScriptGrace: 5 * time.Second, ScriptOutput: 1 << 20,
		DeliveryRetention: time.Hour, SourceTimeout: time.Minute, SourceLimit: 1 << 30, PackageLimit: 1 << 30, LogLevel: "error", LogFormat: "text", AllowLocalSources: true, AllowPrivateAddresses: true}
	require.NoError(t, cfg.Check())
	a, err := app.Open(ctx, cfg, app.Options{Migrate: true, Workers: o.eager, Process: "bench", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	s := &stack{App: a, temporal: server}
	if !o.noWorker {
		wo := app.WorkerOptions{Sources: folderSource{o.script}, Drain: time.Second}
		if o.realSources {
			wo.Sources = nil
		}
		w, err := a.StartWorker(ctx, wo)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, w.Stop()) })
	}
	handler, err := a.API()
	require.NoError(t, err)
	s.server = httptest.NewServer(handler)
	t.Cleanup(s.server.Close)
	org, err := a.Store.OrganizationByCanonical(ctx, "default")
	require.NoError(t, err)
	s.project = &models.Project{OrganizationID: org.ID, Name: "bench"}
	require.NoError(t, a.Store.CreateProject(ctx, s.project))
	s.env = &models.Environment{ProjectID: s.project.ID, Name: "dev"}
	require.NoError(t, a.Store.CreateEnvironment(ctx, s.env))
	return s
}

// build adds a build of the given steps.
func (s *stack) build(t *testing.T, name string, steps ...models.BuildStep) *models.Build {
	t.Helper()
	b := &models.Build{ProjectID: s.project.ID, EnvironmentID: s.env.ID, Name: name, Repo: fmt.Sprint(len(steps)), Branch: "main", Steps: steps}
	require.NoError(t, s.Store.CreateBuild(t.Context(), b, models.BuildSecrets{}))
	b, err := s.Store.BuildByID(t.Context(), b.ID)
	require.NoError(t, err)
	return b
}

// trigger starts an execution of a build.
func (s *stack) trigger(ctx context.Context, b *models.Build) (*models.Execution, error) {
	return s.Service.Trigger(ctx, executions.TriggerRequest{Kind: models.KindBuild, ProjectID: s.project.ID, EnvironmentID: s.env.ID, SubjectID: b.ID, SubjectName: b.Name,
		Trigger: models.Trigger{Type: "api"}, Definition: b.Definition()})
}

// run starts an execution and waits for the end of its workflow, as the bare side does.
func (s *stack) run(ctx context.Context, e *models.Execution, err error) error {
	if err != nil {
		return err
	}
	var out struct{ Status, Reason string }
	if err := s.Temporal.GetWorkflow(ctx, e.ID, "").Get(ctx, &out); err != nil {
		return err
	}
	if out.Status != "ok" {
		return fmt.Errorf("execution %s: %s: %s", e.ID, out.Status, out.Reason)
	}
	return nil
}

// samples are the times that one side took.
type samples struct {
	total time.Duration
	each  []time.Duration
}

func (s samples) rate() float64 { return float64(len(s.each)) / s.total.Seconds() }

// p gives a percentile, 0 to 100.
func (s samples) p(n int) time.Duration {
	slices.Sort(s.each)
	return s.each[min(len(s.each)-1, len(s.each)*n/100)]
}

// measure calls f n times, at most parallel at once.
func measure(t *testing.T, n, parallel int, f func(ctx context.Context) error) samples {
	t.Helper()
	var mu sync.Mutex
	var s samples
	var wg sync.WaitGroup
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	begin := time.Now()
	for range parallel {
		wg.Go(func() {
			for range next {
				one := time.Now()
				if err := f(t.Context()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				s.each = append(s.each, time.Since(one))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.total = time.Since(begin)
	require.False(t, t.Failed(), "see the errors above")
	return s
}
