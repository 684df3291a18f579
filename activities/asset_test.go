package activities_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"slipway/activities"
	"slipway/assets"
	"slipway/executions"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// assetStack is searches and scans over a real Temporal server.
type assetStack struct {
	store   *models.Store
	service *assets.Service
	runs    *executions.Service
	acts    *activities.Assets
	client  client.Client
	org     *models.Organization
}

// noSeal stands for the keyring.
type noSeal struct{}

func (noSeal) Encrypt(b []byte, _ string) ([]byte, error) { return b, nil }
func (noSeal) Decrypt(b []byte, _ string) ([]byte, error) { return b, nil }

func newAssetStack(t *testing.T, address string, cfg assets.Config) *assetStack {
	t.Helper()
	// A server of its own: the name of the task queue is part of the program, and other tests use it too.
	server := testenv.TemporalServer(t)
	s := &assetStack{}
	var err error
	s.client, err = client.Dial(client.Options{HostPort: server.HostPort, Logger: quiet{}})
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	s.store, err = models.Open(t.Context(), address, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	require.NoError(t, s.store.Migrate(t.Context()))
	s.store.UseEncrypter(noSeal{})
	log := slog.New(slog.DiscardHandler)
	metrics := executions.NewMetrics()
	// No reconciler runs here: a start that a busy machine answers too late would never be made up for.
	s.runs = executions.New(s.store, s.client, executions.NewLocalBus(), noSeal{}, nil, metrics, log, executions.Config{StartTimeout: time.Minute})
	s.service, err = assets.New(s.store, s.runs, bytes.Repeat([]byte("k"), 32), log, cfg)
	require.NoError(t, err)
	s.acts = &activities.Assets{Store: s.store, Service: s.service, Scanner: &assets.Scanner{Store: s.store}, Triggers: s.runs, Log: log,
		Executions: &activities.Executions{Store: s.store, Service: s.runs, Sealer: noSeal{}, Metrics: metrics, Log: log}}
	s.org = &models.Organization{Canonical: "acme", Kind: models.OrganizationTenant}
	require.NoError(t, s.store.CreateOrganization(t.Context(), s.org))
	var images []models.Image
	for i := range 30 {
		img := models.Image{Registry: "docker.io", Repository: fmt.Sprintf("team/app-%d", i), ConfigDigest: fmt.Sprintf("sha256:%064x", i)}
		require.NoError(t, img.Check())
		images = append(images, img)
	}
	_, err = s.store.PutImages(t.Context(), s.org.ID, images, false)
	require.NoError(t, err)
	return s
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// work starts a worker on the queue. replace, where set, changes what it registers.
func (s *assetStack) work(t *testing.T, replace func(sdk.Registry) sdk.Registry) sdk.Worker {
	t.Helper()
	// As many polls as a worker of Slipway keeps open: with the two that are the default, both can wait for tasks of workflows
	// that it has begun, and new ones wait for seconds.
	w := sdk.New(s.client, workflows.QueueAssets, sdk.Options{DisableRegistrationAliasing: true, MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16,
		MaxHeartbeatThrottleInterval: time.Second, DefaultHeartbeatThrottleInterval: time.Second})
	var r sdk.Registry = w
	if replace != nil {
		r = replace(w)
	}
	require.True(t, s.acts.Register(workflows.QueueAssets, r))
	require.False(t, s.acts.Register(workflows.QueueBuilds, r))
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return w
}

func (s *assetStack) scope() assets.Scope { return assets.Scope{Kind: assets.Tenant, ID: s.org.ID} }

var somebody = policies.Subject{Kind: policies.KindUser, ID: "u", Name: "ursula"}

func (s *assetStack) search(t *testing.T, filter string) (*models.AssetSearch, *assets.Results) {
	t.Helper()
	a, err := s.service.StartSearch(t.Context(), assets.SearchRequest{Scope: s.scope(), By: somebody, Filter: &filter, Count: assets.CountWith})
	require.NoError(t, err)
	r, err := s.service.Results(t.Context(), assets.ResultsRequest{Scope: s.scope(), SearchID: a.ID, Paging: assets.Paging{Limit: 10}})
	require.NoError(t, err)
	return a, r
}

// TestAssetSearchesRunOnTemporal runs searches end to end, 100 of them at once, and lets one expire.
func TestAssetSearchesRunOnTemporal(t *testing.T) {
	s := newAssetStack(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), assets.Config{SearchWait: time.Minute})
	s.work(t, nil)
	_, r := s.search(t, "name==app-1*")
	require.Len(t, r.Assets, 10)
	require.EqualValues(t, 11, *r.Count)

	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for i := range 100 {
		wg.Go(func() {
			filter := fmt.Sprintf("name==app-%d", i%30)
			a, err := s.service.StartSearch(t.Context(), assets.SearchRequest{Scope: s.scope(), By: somebody, Filter: &filter})
			if err == nil {
				var r *assets.Results
				r, err = s.service.Results(t.Context(), assets.ResultsRequest{Scope: s.scope(), SearchID: a.ID})
				if err == nil && (r.Running || len(r.Assets) != 1) {
					err = fmt.Errorf("search %d: running %t, %d results", i, r.Running, len(r.Assets))
				}
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	// The workflow ends when it has removed the results.
	short, err := assets.New(s.store, s.runs, bytes.Repeat([]byte("k"), 32), nil, assets.Config{SearchExpiry: time.Second})
	require.NoError(t, err)
	a, err := short.StartSearch(t.Context(), assets.SearchRequest{Scope: s.scope(), By: somebody})
	require.NoError(t, err)
	run := s.client.GetWorkflow(t.Context(), a.ExecutionID, "")
	var out workflows.Outcome
	require.NoError(t, run.Get(t.Context(), &out))
	require.Equal(t, models.StatusOK, out.Status)
	_, err = s.store.AssetSearchToRun(t.Context(), a.ID)
	require.ErrorIs(t, err, models.ErrNotFound)
}

// dyingRegistry registers activities whose first attempt never comes back and says nothing more, as on a worker that died.
type dyingRegistry struct {
	sdk.Registry
	release chan struct{}
	began   chan struct{}
}

func (r dyingRegistry) RegisterActivityWithOptions(f any, o activity.RegisterOptions) {
	if search, ok := f.(func(context.Context, workflows.Input) (time.Duration, error)); ok {
		f = func(ctx context.Context, in workflows.Input) (time.Duration, error) {
			if activity.GetInfo(ctx).Attempt == 1 {
				close(r.began)
				<-r.release
			}
			return search(ctx, in)
		}
	}
	r.Registry.RegisterActivityWithOptions(f, o)
}

// TestAssetSearchGoesOnWhenItsWorkerDies is R1 for searches.
func TestAssetSearchGoesOnWhenItsWorkerDies(t *testing.T) {
	s := newAssetStack(t, testenv.Postgres(t), assets.Config{SearchWait: time.Minute})
	d := dyingRegistry{release: make(chan struct{}), began: make(chan struct{})}
	t.Cleanup(func() { close(d.release) })
	s.work(t, func(r sdk.Registry) sdk.Registry { d.Registry = r; return d })
	start := time.Now()
	_, r := s.search(t, "name==app-1")
	<-d.began
	require.False(t, r.Running)
	require.Len(t, r.Assets, 1)
	require.Less(t, time.Since(start), 4*workflows.HeartbeatTimeout)
}

// TestAssetSearchThatIsTerminatedSaysSo: whoever waits for the results is told, S18: by a text without internals.
func TestAssetSearchThatIsTerminatedSaysSo(t *testing.T) {
	s := newAssetStack(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), assets.Config{SearchWait: time.Minute})
	filter := "name==app-1"
	a, err := s.service.StartSearch(t.Context(), assets.SearchRequest{Scope: s.scope(), By: somebody, Filter: &filter})
	require.NoError(t, err)
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), a.ExecutionID, "", "not needed"))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.runs.Reconcile(ctx) }()
	defer func() { stop(); <-done }()
	_, err = s.service.Results(t.Context(), assets.ResultsRequest{Scope: s.scope(), SearchID: a.ID})
	require.ErrorContains(t, err, "the search failed: ")
	require.ErrorContains(t, err, "terminated")
}
