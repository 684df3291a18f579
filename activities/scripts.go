package activities

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/engine"
	"slipway/internal/fetch"
	"slipway/internal/runner"
	"slipway/models"
)

// Scripts are the activities that run scripts: builds and deployments.
type Scripts struct {
	Store      *models.Store
	Service    *executions.Service
	Client     client.Client
	Sealer     executions.Sealer
	Supervisor *runner.Supervisor
	Workspaces *runner.Workspaces
	// Inventory gives the inventory as an execution sees it: with the rights of whom the token stands for, where there is one,
	// else of its service account or its project.
	Inventory func(ctx context.Context, e *models.Execution, token string) (engine.Inventory, error)
	Sources   Sources
	// Fetcher gets the downloads of plans; without one, plans with downloads fail.
	Fetcher *fetch.Fetcher
	Metrics *executions.Metrics
	Log     *slog.Logger
	// Tracer, where set, gives each script a span.
	Tracer trace.Tracer
	Limits ScriptLimits
	// Here are the builds that begin in the worker that has their workflow's task.
	Here *Here
	// Running are all attempts of this process.
	Running Running
	// Version stands in the metadata of releases as the version that built them.
	Version string
	// PublicURL is where scripts reach the API; "" where that is not known.
	PublicURL string
	// CacheDir keeps downloaded packages between runs; "" keeps none.
	CacheDir string
}

// ScriptLimits hold for every script.
type ScriptLimits struct {
	// Timeout ends a script; 0 is no limit. Grace is the time between SIGTERM and SIGKILL.
	Timeout, Grace time.Duration
	// Output is how many bytes one script may print.
	Output int64
}

// Sources get the files that a build works on.
type Sources interface {
	// Fetch puts the source into the workspace and says which commit it is. A *problem.Error explains, for people, what is
	// wrong with the source.
	Fetch(ctx context.Context, space *runner.Workspace, r SourceRequest) (models.Commit, error)
}

// SourceRequest says which source.
type SourceRequest struct {
	URL        string
	Branch     string
	Commit     string
	PrivateKey string
	// Since is the commit to compare with, "" for none.
	Since string
	// Changes gets what differs from Since, where that can be told.
	Changes func(files []string)
	// Log gets what the fetching says.
	Log func(line string)
}

// Causes of the end of an attempt's context.
var (
	errCancelled = errors.New("cancelled")
	// errGivenUp ends everything at once: the server has not taken a heartbeat for so long that it may have given the
	// work to another worker.
	errGivenUp = errors.New("the workflow service was not reached for too long")
)
