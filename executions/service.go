// Package executions is the one place that starts, cancels, repeats and decides executions of every kind, for the API,
// webhooks, schedules and parents alike; the reconciler that keeps the table and Temporal in agreement; and the reading
// and following of logs. It stands between the API and the workers: it knows the store and a Temporal client, no HTTP.
package executions

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"slipway/models"
	"slipway/workflows"
)

// Sealer encrypts what must not lie open in the database. See internal/keyring.
type Sealer interface {
	Encrypt(plain []byte, associated string) ([]byte, error)
	Decrypt(sealed []byte, associated string) ([]byte, error)
}

// Blobs reads the logs that have moved to blob storage.
type Blobs interface {
	Read(ctx context.Context, key string) ([]byte, error)
	Write(ctx context.Context, key string, data []byte) error
}

// Config tunes a Service. The zero value is right.
type Config struct {
	// StartTimeout bounds the call that starts a workflow, 0 means 3 s: a caller that waits longer for a trigger is told
	// that Temporal is away.
	StartTimeout time.Duration
	// Eager asks for the first workflow task in the answer to the start, where a worker is in this process.
	Eager bool
	// SearchAttributes says that Slipway's search attributes are registered.
	SearchAttributes func() bool
	// Reconcile tunes the reconciler.
	Reconcile ReconcileConfig
}

// Service is safe for concurrent use.
type Service struct {
	store   *models.Store
	client  client.Client
	bus     Bus
	sealer  Sealer
	blobs   Blobs
	log     *slog.Logger
	cfg     Config
	metrics *Metrics
	mayAct  Decider
	remind  Reminder
	// answered is when Temporal last took a start, in nanoseconds since 1970.
	answered atomic.Int64
	// deadlocked is what the reconciler saw last that waits for ever; see endDeadlock.
	deadlocked string
}

// New makes a Service. The client may be lazy: nothing is asked of Temporal before the first trigger.
func New(store *models.Store, c client.Client, bus Bus, sealer Sealer, blobs Blobs, metrics *Metrics, log *slog.Logger, cfg Config) *Service {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = 3 * time.Second
	}
	if cfg.SearchAttributes == nil {
		cfg.SearchAttributes = func() bool { return false }
	}
	if log == nil {
		log = slog.Default()
	}
	if metrics == nil {
		metrics = NewMetrics()
	}
	return &Service{store: store, client: c, bus: bus, sealer: sealer, blobs: blobs, log: log, cfg: cfg, metrics: metrics}
}

// Bus gives the service's notifications, for workers in the same process.
func (s *Service) Bus() Bus { return s.bus }

// WorkflowOf names the workflow that runs a kind of execution, and the task queue its workflow tasks go to.
func WorkflowOf(kind string) (workflow, queue string) {
	switch kind {
	case models.KindBuild:
		return workflows.BuildWorkflow, workflows.QueueBuilds
	case models.KindDeployment:
		return workflows.DeploymentWorkflow, workflows.QueueDeployments
	case models.KindPipeline:
		return workflows.PipelineWorkflow, workflows.QueuePipelines
	case models.KindAssetSearch, models.KindAssetScan: // their workflows bear the names of the kinds
		return kind, workflows.QueueAssets
	}
	return kind, kind
}

// WorkflowFor is WorkflowOf for an execution that is started now, with workflows.Input.ScriptQueue of it: its queue where
// nothing has to be decided before its scripts run, else "".
func WorkflowFor(e *models.Execution) (workflow, queue, scriptQueue string) {
	workflow, queue = WorkflowOf(e.Kind)
	var d models.BuildDefinition
	if e.Kind == models.KindBuild && e.Status == models.StatusNew && e.DefinitionInto(&d) == nil && d.Direct() {
		workflow, scriptQueue = workflows.DirectBuildWorkflow, QueueOf(e)
		if scriptQueue == queue {
			workflow = workflows.LocalBuildWorkflow
		}
	}
	return workflow, queue, scriptQueue
}

// QueueOf is the task queue of the activity that runs an execution's scripts: its own, or its kind's.
func QueueOf(e *models.Execution) string {
	if e.TaskQueue != "" {
		return e.TaskQueue
	}
	_, queue := WorkflowOf(e.Kind)
	return queue
}

// isGone says that a workflow does not exist or has closed: there is nobody to tell.
func isGone(err error) bool {
	var notFound *serviceerror.NotFound
	return errors.As(err, &notFound)
}

// isUnavailable says that Temporal could not be reached.
func isUnavailable(err error) bool {
	var away *serviceerror.Unavailable
	return errors.As(err, &away)
}

// Search attributes that `slipway migrate` registers and that make the Web UI's lists useful.
var (
	AttributeProject     = temporal.NewSearchAttributeKeyKeyword("SlipwayProject")
	AttributeEnvironment = temporal.NewSearchAttributeKeyKeyword("SlipwayEnvironment")
	AttributeKind        = temporal.NewSearchAttributeKeyKeyword("SlipwayKind")
	AttributeSubject     = temporal.NewSearchAttributeKeyKeyword("SlipwaySubject")
	AttributeStatus      = workflows.AttributeStatus
)
