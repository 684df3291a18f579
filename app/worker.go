package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/interceptor"
	sdk "go.temporal.io/sdk/worker"

	"slipway/activities"
	"slipway/assets"
	"slipway/internal/buildinfo"
	"slipway/internal/engine"
	"slipway/internal/fetch"
	"slipway/internal/netguard"
	"slipway/internal/problem"
	"slipway/internal/runner"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
	"slipway/worker"
	"slipway/workflows"
)

// Worker serves task queues until it is stopped.
type Worker struct {
	worker     *worker.Worker
	drain      time.Duration
	log        *slog.Logger
	supervisor *runner.Supervisor
	workspaces *runner.Workspaces
}

// WorkerOptions change what StartWorker does.
type WorkerOptions struct {
	// Queues to serve; empty means the configured ones, or all.
	Queues []string
	// Drain is how long a stopping worker waits for what runs; 0 means a minute.
	Drain time.Duration
	// Sources replaces where builds get their files, for benchmarks that leave fetching out.
	Sources activities.Sources
	// Interceptors stand around workflows and activities, for tests that make these fail.
	Interceptors []interceptor.WorkerInterceptor
}

// StartWorker starts the workers of this process. It waits for Temporal until ctx ends.
func (a *App) StartWorker(ctx context.Context, o WorkerOptions) (_ *Worker, err error) {
	if err := runner.Shield(); err != nil {
		a.Log.Warn("this worker's memory and environment could not be shielded from its scripts", "error", err)
	}
	if o.Drain == 0 {
		o.Drain = time.Minute
	}
	w := &Worker{drain: o.Drain, log: a.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	env := map[string]string{}
	for _, name := range a.Config.ScriptEnv {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	if w.supervisor, err = runner.Start(runner.Options{Env: env, Lease: activities.Lease}); err != nil {
		return nil, fmt.Errorf("start the supervisor of scripts: %w", err)
	}
	var users runner.UserRange
	if a.Config.ScriptUsers != "" {
		if users, err = runner.ParseUserRange(a.Config.ScriptUsers); err != nil {
			return nil, fmt.Errorf("SLIPWAY_SCRIPT_USERS: %w", err)
		}
	} else if os.Geteuid() == 0 {
		a.Log.Warn("scripts run as root, like this worker: set SLIPWAY_SCRIPT_USERS to give each its own user")
	}
	if w.workspaces, err = runner.OpenWorkspaces(filepath.Join(a.Config.DataDir, "workspaces"), users); err != nil {
		return nil, err
	}
	known := a.Config.KnownHosts
	if known == "" {
		known = filepath.Join(a.Config.DataDir, "known_hosts")
	}
	fetcher := fetch.New(fetch.Options{Runner: w.supervisor, Workspaces: w.workspaces, KnownHosts: known, Policy: a.sourcePolicy()})
	scripts := &activities.Scripts{
		Store: a.Store, Service: a.Service, Client: a.Temporal, Sealer: a.Keys, Supervisor: w.supervisor, Workspaces: w.workspaces,
		Inventory: a.inventoryFor, Sources: activities.Repositories{Fetcher: fetcher}, Fetcher: fetcher, Metrics: a.metrics, Log: a.Log, Tracer: a.tracer,
		Limits: activities.ScriptLimits{Timeout: a.Config.ScriptTimeout, Grace: a.Config.ScriptGrace, Output: a.Config.ScriptOutput},
		// Named after this process, so that nobody else serves it.
		Here:    activities.NewHere(workflows.QueueBuilds+"@"+models.NewID(), a.Config.Scripts, a.Log),
		Version: strings.TrimPrefix(buildinfo.Version, "v"), CacheDir: filepath.Join(a.Config.DataDir, "packages"), PublicURL: a.Config.PublicURL,
	}
	if o.Sources != nil {
		scripts.Sources = o.Sources
	}
	mirror := &activities.PackageMirror{Service: a.Packages, Mirrors: a.Mirrors, Fetcher: fetcher, Supervisor: w.supervisor, Workspaces: w.workspaces}
	images := &activities.Assets{Store: a.Store, Service: a.Assets, Scanner: &assets.Scanner{Store: a.Store, Network: a.sourcePolicy().Network},
		Executions: a.Activities(), Triggers: a.Service, Log: a.Log}
	outgoing := &activities.Deliveries{Service: a.Deliveries}
	queues := o.Queues
	if len(queues) == 0 {
		queues = a.Config.Queues
	}
	w.worker, err = worker.Start(ctx, worker.Options{Client: a.Temporal, Queues: queues, Executions: a.Activities(), Schedules: &activities.Schedules{Service: a.Schedules}, Scripts: scripts,
		MaxScripts: a.Config.Scripts, Drain: o.Drain, Log: a.Log, Interceptors: o.Interceptors, Register: func(queue string, r sdk.Registry) bool {
			return mirror.Register(queue, r) || images.Register(queue, r) || outgoing.Register(queue, r)
		}})
	for queue, synchronize := range map[string]func(context.Context) error{
		workflows.QueuePackages: a.Mirrors.Synchronize,
		workflows.QueueAssets:   assets.Schedules{Store: a.Store, Client: a.Temporal}.Synchronize,
	} {
		if err == nil && (len(queues) == 0 || slices.Contains(queues, queue)) {
			go func() {
				if err := synchronize(a.ctx); err != nil && a.ctx.Err() == nil {
					a.Log.Warn("schedules could not be compared with the database", "queue", queue, "error", err)
				}
			}()
		}
	}
	return w, err
}

// Queues are the task queues that it serves.
func (w *Worker) Queues() []string { return w.worker.Queues }

// sourcePolicy says what may be fetched.
func (a *App) sourcePolicy() fetch.Policy {
	return fetch.Policy{
		AllowLocal: a.Config.AllowLocalSources, AllowHTTP: a.Config.AllowPrivateAddresses, Network: netguard.Policy{AllowPrivate: a.Config.AllowPrivateAddresses},
		StrictHostKeys: a.Config.KnownHosts != "", MaxBytes: a.Config.SourceLimit, Timeout: a.Config.SourceTimeout,
	}
}

// Activities are the database activities of executions.
func (a *App) Activities() *activities.Executions {
	return &activities.Executions{Store: a.Store, Service: a.Service, Sealer: a.Keys, Policy: a.Policy, Inventory: a.Inventory, Metrics: a.metrics, Deliveries: a.Deliveries, Log: a.Log}
}

// inventoryFor is the inventory as an execution sees it: with the rights of its service account where it names one, else
// with those of its project and nothing more. A token, which a build may have, stands for somebody in place of either.
func (a *App) inventoryFor(ctx context.Context, e *models.Execution, token string) (engine.Inventory, error) {
	var d struct {
		Project string `json:"project"`
		Account string `json:"service_account_name"`
	}
	if err := e.DefinitionInto(&d); err != nil {
		return nil, err
	}
	subject := inventory.ProjectSubject(&models.Project{ID: e.ProjectID, Name: d.Project})
	if d.Account != "" {
		p, err := a.Store.ProjectByID(ctx, e.ProjectID)
		if err != nil {
			return nil, err
		}
		account, err := a.Store.ServiceAccountByName(ctx, p.OrganizationID, d.Account)
		if err == nil {
			subject, err = a.Store.Subject(ctx, policies.KindServiceAccount, account.ID)
		}
		if errors.Is(err, models.ErrNotFound) {
			return nil, problem.New(problem.Forbidden, "the service account %q, which this should act as, does not exist or is disabled", d.Account)
		}
		if err != nil {
			return nil, err
		}
		// It was asked when this was saved; rights are taken away, too.
		scopes, err := a.Store.ScopePath(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		ok, err := a.Policy.Allow(ctx, subject, "build:trigger", policies.Resource{Kind: "project", ID: p.ID, Scopes: scopes})
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, problem.New(problem.Forbidden, "the service account %q, which this should act as, may not run anything in project %q any more", d.Account, p.Name)
		}
	}
	if token != "" && a.Config.Auth != "none" {
		var err error
		subject, err = a.Store.SubjectOfToken(ctx, token)
		if errors.Is(err, models.ErrNotFound) {
			return nil, problem.New(problem.Forbidden, "the escape_auth_token of the build is not valid here: it is wrong, or has ended")
		}
		if err != nil {
			return nil, err
		}
	}
	return inventory.ForExecution{Service: a.Inventory, Policy: a.Policy, Subject: subject, ExecutionID: e.ID}, nil
}

// Stop takes no more work, waits for what runs, and ends what is left with its processes. It returns at most
// worker.StopSlack after the drain, or somewhat later on a busy machine.
func (w *Worker) Stop() error {
	late := time.NewTimer(w.drain + worker.StopSlack)
	defer late.Stop()
	if w.worker != nil {
		w.worker.Stop()
	}
	var errs []error
	if w.supervisor != nil {
		errs = append(errs, w.supervisor.Close())
	}
	if w.workspaces != nil {
		removed := make(chan error, 1)
		go func() { removed <- w.workspaces.Close() }()
		select {
		case err := <-removed:
			errs = append(errs, err)
		case <-late.C:
			w.log.Warn("not all workspaces could be removed in time: the next worker that starts here removes the rest")
		}
	}
	return errors.Join(errs...)
}
