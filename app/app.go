// Package app puts the parts of a Slipway process together from a configuration: the store, the keyring, file storage,
// notifications, the Temporal client, and on them the API and the workers. The commands and the tests of the whole use
// the same assembly.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"

	"slipway/api"
	"slipway/assets"
	"slipway/deliveries"
	"slipway/executions"
	"slipway/internal/blob"
	"slipway/internal/buildinfo"
	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/internal/telemetry"
	"slipway/inventory"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
	"slipway/schedules"
	"slipway/worker"
	"slipway/workflows"
)

// App is a process's parts. Close it at the end.
type App struct {
	Config    *config.Config
	Log       *slog.Logger
	Store     *models.Store
	Keys      *keyring.Keyring
	Blobs     *blob.Store
	Bus       executions.Bus
	Temporal  client.Client
	Policy    *policies.Engine
	Service   *executions.Service
	Inventory *inventory.Service
	Packages  *packages.Service
	Mirrors   *packages.Mirrors
	Assets    *assets.Service
	Schedules *schedules.Service
	// Deliveries sends webhooks and mails.
	Deliveries *deliveries.Service
	Registry   *prometheus.Registry

	metrics   *executions.Metrics
	requests  *api.Metrics
	tracer    trace.Tracer
	ctx       context.Context
	cancel    context.CancelFunc
	reconcile executions.ReconcileConfig
	closers   []func() error
}

// Options change what Open does.
type Options struct {
	// Migrate brings the schema up to date; without it, an older schema is an error.
	Migrate bool
	// Workers says that workers run in this process, so that workflows may be handed to them with the answer to their
	// start.
	Workers bool
	// Process names the process in traces: api, worker, dev.
	Process string
	// Reconcile tunes the reconciler, for tests.
	Reconcile executions.ReconcileConfig
	// Backoff replaces the times between the attempts of deliveries, for tests.
	Backoff func(attempt int) time.Duration
	// Log replaces the logger that the configuration describes.
	Log *slog.Logger
	// Faults make the database fail, for tests.
	Faults *models.Faults
	// Now replaces the clock of the store, for tests.
	Now func() time.Time
}

// Open puts a process together. Temporal need not be there; the database must be.
func Open(ctx context.Context, cfg *config.Config, o Options) (_ *App, err error) {
	a := &App{Config: cfg, Log: o.Log, Registry: prometheus.NewRegistry(), metrics: executions.NewMetrics(), requests: api.NewMetrics(), reconcile: o.Reconcile}
	if a.Log == nil {
		a.Log = telemetry.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	}
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if cfg.Auth == "none" {
		a.Log.Warn("AUTHENTICATION IS OFF: everybody who reaches this server is an administrator. Use this on a trusted network only.")
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if a.Store, err = models.Open(ctx, string(cfg.DatabaseURL), models.Options{MaxConnections: cfg.DatabaseConnections, Faults: o.Faults, Now: o.Now}); err != nil {
		return nil, err
	}
	a.onClose(a.Store.Close)
	if o.Migrate {
		// An import that was cut off may have left the indexes of assets out.
		if err = a.Store.Migrate(ctx); err == nil {
			err = a.Store.EnsureAssetIndexes(ctx)
		}
	} else {
		err = a.Store.CheckMigrated(ctx)
	}
	if err != nil {
		return nil, err
	}
	if a.Keys, err = keyring.Open(cfg.KeyPath()); err != nil {
		return nil, err
	}
	a.Store.UseEncrypter(a.Keys)
	if a.Blobs, err = blob.Open(ctx, cfg.StorageURL); err != nil {
		return nil, err
	}
	a.onClose(a.Blobs.Close)
	if a.Policy, err = policies.New(policies.Options{Path: cfg.Policies, Log: a.Log}); err != nil {
		return nil, err
	}
	go a.Policy.Watch(a.ctx)
	var stopTraces func(context.Context) error
	if a.tracer, stopTraces, err = telemetry.NewTracer(ctx, cfg.TraceEndpoint, o.Process, buildinfo.Version); err != nil {
		return nil, err
	}
	a.onClose(func() error { return stopTraces(context.WithoutCancel(ctx)) })
	if a.Store.Dialect() == models.PostgreSQL {
		a.Bus = executions.NewPostgresBus(string(cfg.DatabaseURL), a.Log)
	} else {
		a.Bus = executions.NewLocalBus()
	}
	a.onClose(func() error { a.Bus.Close(); return nil })
	co := executions.ConnectOptions{Address: cfg.TemporalAddress, Namespace: cfg.TemporalNamespace, Logger: a.Log, Tracer: a.tracer}
	if cfg.TemporalEncrypt {
		co.Codec = executions.NewCodec(a.Keys)
	}
	if a.Temporal, err = executions.Connect(co); err != nil {
		return nil, err
	}
	a.onClose(func() error { a.Temporal.Close(); return nil })
	a.Service = executions.New(a.Store, a.Temporal, a.Bus, a.Keys, logBlobs{a.Blobs}, a.metrics, a.Log, executions.Config{
		Eager:            o.Workers,
		SearchAttributes: executions.WatchSearchAttributes(a.ctx, a.Temporal, cfg.TemporalNamespace, a.Log),
		Reconcile:        o.Reconcile,
	})
	a.Schedules = schedules.New(a.Store, a.Service, a.Policy, a.Temporal, a.Log)
	a.Inventory = &inventory.Service{Store: a.Store, Blob: a.Blobs, MaxPackage: cfg.PackageLimit, Logger: a.Log}
	if err := a.openDeliveries(o.Backoff); err != nil {
		return nil, err
	}
	a.Packages = &packages.Service{Store: a.Store, Blob: a.Blobs, Logger: a.Log}
	a.Mirrors = &packages.Mirrors{Store: a.Store, Client: a.Temporal}
	cursors, err := a.Store.AssetCursorSecret(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the secret that signs cursors: %w", err)
	}
	if a.Assets, err = assets.New(a.Store, a.Service, cursors, a.Log, assets.Config{}); err != nil {
		return nil, err
	}
	a.requests.Register(a.Registry)
	a.metrics.Register(a.Registry, a.Store)
	a.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return a, nil
}

// onClose adds what Close does; the last added is done first.
func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

// Close ends all parts, in the opposite order of their making.
func (a *App) Close() error {
	a.cancel()
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Reconcile runs the reconciler and the sweepers until ctx ends.
func (a *App) Reconcile(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.Service.Reconcile(ctx) })
	all.Go(func() { a.Schedules.Reconcile(ctx, a.reconcile.Every) })
	all.Go(func() { a.Inventory.RunSweeper(ctx) })
	all.Go(func() { a.sweepTokens(ctx) })
	all.Go(func() { a.Deliveries.Run(ctx) })
	all.Wait()
}

// logBlobs keeps the logs of ended executions in file storage.
type logBlobs struct{ store *blob.Store }

// Read implements executions.Blobs.
func (b logBlobs) Read(ctx context.Context, key string) ([]byte, error) {
	r, err := b.store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// Write implements executions.Blobs.
func (b logBlobs) Write(ctx context.Context, key string, data []byte) error {
	_, err := b.store.Put(ctx, key, strings.NewReader(string(data)))
	return err
}

// Queues are the task queues that builds and jobs may name: the two that run scripts, and those that are configured.
func (a *App) Queues() []string {
	queues := []string{workflows.QueueBuilds, workflows.QueueDeployments}
	for _, q := range a.Config.Queues {
		if !slices.Contains(worker.Queues, q) {
			queues = append(queues, q)
		}
	}
	return queues
}
