// Package worker says which workflows and activities run on which task queue, and with what limits.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/activities"
	"slipway/internal/periodic"
	"slipway/workflows"
)

// Queues are the task queues that Slipway itself knows, and that a worker serves unless it is told otherwise. Any other
// name is a queue for scripts only: builds and deployment jobs name it in remote_escape_worker_url.
var Queues = []string{workflows.QueuePipelines, workflows.QueueBuilds, workflows.QueueDeployments, workflows.QueuePackages, workflows.QueueAssets,
	workflows.QueueDeliveries}

// Options are what a Worker needs.
type Options struct {
	Client client.Client
	// Queues to serve; empty means Queues.
	Queues     []string
	Executions *activities.Executions
	// Schedules may be nil where pipelines are not served.
	Schedules *activities.Schedules
	// Scripts may be nil where only pipelines are served.
	Scripts *activities.Scripts
	// MaxScripts is how many builds and deployments run at once on each queue; on that of builds Scripts.Here says it.
	MaxScripts int
	// Drain is how long a worker that stops waits for scripts that run; 0 means a minute.
	Drain time.Duration
	Log   *slog.Logger
	// Register, where set, adds what other parts run on a queue. It says whether it knows the queue.
	Register func(queue string, r sdk.Registry) bool
	// Interceptors stand around workflows and activities; tests make activities fail with them.
	Interceptors []interceptor.WorkerInterceptor
}

// Worker serves task queues until it is stopped.
type Worker struct {
	// Queues are those that are served.
	Queues []string

	workers []sdk.Worker
	// follower serves the queue of this process alone. It is stopped last: what the others have begun is followed there.
	follower sdk.Worker
	here     *activities.Here
	running  *activities.Running
	drain    time.Duration
	log      *slog.Logger
}

// A worker that stops is gone at most StopSlack after its drain: what its scripts have until SIGKILL, what attempts have after
// that to store their end, and what it takes to tell the server so that others go on at once.
const (
	StopSlack = 500 * time.Millisecond
	termGrace = 200 * time.Millisecond
	storeTime = 100 * time.Millisecond
	tellTime  = 100 * time.Millisecond
)

// pollers is how many polls of each kind a worker keeps open on a queue. With the SDK's default of two, both can sit on
// the sticky queue, and a new workflow then waits two seconds for its first task; measured in docs/architecture.md.
const pollers = 16

// Start starts a worker on each queue. It waits for Temporal to be there, trying again until ctx ends: workers and
// server are often started together.
func Start(ctx context.Context, o Options) (*Worker, error) {
	if len(o.Queues) == 0 {
		o.Queues = Queues
	}
	if o.Drain == 0 {
		o.Drain = time.Minute
	}
	if o.MaxScripts == 0 {
		o.MaxScripts = 4
	}
	w := &Worker{Queues: o.Queues, drain: o.Drain, log: o.Log}
	if o.Scripts != nil {
		w.running = &o.Scripts.Running
	}
	for _, q := range o.Queues {
		so := options(o, q)
		if q == workflows.QueueBuilds && o.Scripts != nil {
			if err := share(&so, o.Scripts.Here.Room); err != nil {
				w.Stop()
				return nil, err
			}
		}
		sw := sdk.New(o.Client, q, so)
		if err := register(o, q, sw); err != nil {
			w.Stop()
			return nil, err
		}
		if err := startRetrying(ctx, sw, o.Log, q); err != nil {
			w.Stop()
			return nil, err
		}
		w.workers = append(w.workers, sw)
		if q == workflows.QueueBuilds {
			if err := w.follow(ctx, o); err != nil {
				w.Stop()
				return nil, err
			}
		}
	}
	return w, nil
}

// follow serves the queue on which activities follow the builds that began in this process.
func (w *Worker) follow(ctx context.Context, o Options) error {
	so := options(o, o.Scripts.Here.Queue)
	so.DisableWorkflowWorker, so.MaxConcurrentActivityTaskPollers = true, min(2, o.MaxScripts)
	sw := sdk.New(o.Client, o.Scripts.Here.Queue, so)
	sw.RegisterActivityWithOptions(o.Scripts.FollowBuild, activity.RegisterOptions{Name: workflows.ActivityFollowBuild})
	if err := startRetrying(ctx, sw, o.Log, o.Scripts.Here.Queue); err != nil {
		return err
	}
	w.follower, w.here = sw, o.Scripts.Here
	return nil
}

func options(o Options, queue string) sdk.Options {
	so := sdk.Options{
		// Scripts are ended by Stop, whose time counts for all together: the SDK waits as long for each kind of tasks, one after
		// another. It ends what is left, and must not do so while they still tell how they ended.
		WorkerStopTimeout:                       o.Drain + StopSlack,
		MaxConcurrentActivityExecutionSize:      o.MaxScripts,
		MaxConcurrentWorkflowTaskPollers:        pollers,
		MaxConcurrentActivityTaskPollers:        min(pollers, o.MaxScripts),
		MaxConcurrentLocalActivityExecutionSize: 200,
		MaxConcurrentWorkflowTaskExecutionSize:  200,
		DisableRegistrationAliasing:             true,
		Interceptors:                            append([]interceptor.WorkerInterceptor{&activities.Guard{Log: o.Log}}, o.Interceptors...),
		// Heartbeats are ours, see activities.Scripts; these bound the SDK's own.
		MaxHeartbeatThrottleInterval:     time.Second,
		DefaultHeartbeatThrottleInterval: time.Second,
	}
	switch queue {
	case workflows.QueuePipelines:
		so.LocalActivityWorkerOnly = true
	case workflows.QueueBuilds:
		// The task that gives a build to another worker, once its own is lost, is offered to the lost one first: five seconds
		// by default, as much as the loss itself took to notice. The histories of builds are short, so a worker that is only
		// busy loses little when another one reads them.
		so.StickyScheduleToStartTimeout = 250 * time.Millisecond
	case workflows.QueueDeployments:
	default:
		so.DisableWorkflowWorker = o.Register == nil
	}
	return so
}

// buildsTuner is a tuner whose activities have their places from a room that they share.
type buildsTuner struct {
	sdk.WorkerTuner
	room *activities.Room
}

// GetActivityTaskSlotSupplier implements sdk.WorkerTuner.
func (t buildsTuner) GetActivityTaskSlotSupplier() sdk.SlotSupplier { return t.room }

// share lets the activities of a worker share their places with the builds that begin in its workflows' tasks. The SDK takes
// all numbers from a tuner or none.
func share(so *sdk.Options, room *activities.Room) error {
	fixed, err := sdk.NewFixedSizeTuner(sdk.FixedSizeTunerOptions{NumWorkflowSlots: so.MaxConcurrentWorkflowTaskExecutionSize,
		NumLocalActivitySlots: so.MaxConcurrentLocalActivityExecutionSize})
	if err != nil {
		return fmt.Errorf("limit the worker of builds: %w", err)
	}
	so.MaxConcurrentWorkflowTaskExecutionSize, so.MaxConcurrentLocalActivityExecutionSize, so.MaxConcurrentActivityExecutionSize = 0, 0, 0
	so.Tuner = buildsTuner{WorkerTuner: fixed, room: room}
	return nil
}

// register says what runs on a queue.
func register(o Options, queue string, r sdk.Registry) error {
	if o.Register != nil && o.Register(queue, r) {
		return nil
	}
	wf := func(f any, name string) { r.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name}) }
	act := func(f any, name string) { r.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name}) }
	e := o.Executions
	shared := func() {
		act(e.Claim, workflows.ActivityClaim)
		act(e.RequestLocks, workflows.ActivityLocks)
		act(e.LockSeen, workflows.ActivityLockSeen)
		act(e.Admit, workflows.ActivityAdmit)
		act(e.BeginPhase, workflows.ActivityBeginPhase)
		act(e.PutSteps, workflows.ActivityPutSteps)
		act(e.Expire, workflows.ActivityExpire)
		act(e.Finish, workflows.ActivityFinish)
	}
	if queue == workflows.QueuePipelines {
		wf(workflows.Pipeline, workflows.PipelineWorkflow)
		if o.Schedules != nil {
			wf(workflows.Schedule, workflows.ScheduleWorkflow)
			act(o.Schedules.Fire, workflows.ActivityFireSchedule)
		}
		shared()
		return nil
	}
	if o.Scripts == nil {
		return fmt.Errorf("queue %s runs scripts, which this worker is not set up for", queue)
	}
	switch queue {
	case workflows.QueueBuilds:
		wf(workflows.Build, workflows.BuildWorkflow)
		wf(workflows.Build, workflows.DirectBuildWorkflow)
		wf(workflows.Build, workflows.LocalBuildWorkflow)
		act(o.Scripts.BeginBuild, workflows.ActivityBeginBuild)
		shared()
	case workflows.QueueDeployments:
		wf(workflows.Deployment, workflows.DeploymentWorkflow)
		shared()
	}
	act(o.Scripts.PlanBuild, workflows.ActivityPlan)
	act(o.Scripts.Build, workflows.ActivityBuild)
	act(o.Scripts.Deployment, workflows.ActivityDeployment)
	return nil
}

func startRetrying(ctx context.Context, w sdk.Worker, l *slog.Logger, queue string) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := w.Start()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		l.WarnContext(ctx, "the worker could not start yet, it tries again", "queue", queue, "error", err)
		if periodic.Pause(ctx, wait) != nil {
			return errors.Join(fmt.Errorf("start the worker of queue %s: %w", queue, err), ctx.Err())
		}
	}
}

// Stop takes no more work and waits for what runs, as long as Options.Drain says; then it ends that too. It returns at most
// StopSlack later, whatever the server, the database and the scripts do.
func (w *Worker) Stop() {
	drained := time.NewTimer(w.drain)
	defer drained.Stop()
	if w.here != nil {
		w.here.Stop()
	}
	var all sync.WaitGroup
	for _, sw := range w.workers {
		all.Go(sw.Stop)
	}
	if w.follower != nil {
		all.Go(func() {
			w.here.Followed()
			w.follower.Stop()
		})
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		all.Wait()
	}()
	select {
	case <-stopped:
	case <-drained.C:
	}
	if w.running != nil {
		w.running.End(termGrace, storeTime)
	}
	late := time.NewTimer(tellTime)
	defer late.Stop()
	select {
	case <-stopped:
	case <-late.C:
		w.log.Warn("the worker stops before all of its tasks have ended")
	}
}
