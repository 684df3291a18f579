package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/app"
	"slipway/internal/config"
	"slipway/worker"
)

func newWorkerCommand() *cobra.Command {
	var queues []string
	var drain time.Duration
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run builds, deployments and pipelines",
		Long: `Run builds, deployments and pipelines: serve Temporal task queues. Any number of workers may run.

  slipway worker                          all of Slipway's queues
  slipway worker --queues builds          builds only
  slipway worker --queues gpu             scripts of builds and jobs that name "gpu" as their remote worker; SLIPWAY_QUEUES,
                                          here and for the API, has to have it

On SIGTERM a worker takes no more work and waits for what runs, as long as --drain says.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			if queues, err = knownQueues(queues, cfg.Queues); err != nil {
				return err
			}
			return runWorker(cmd.Context(), cfg, app.WorkerOptions{Queues: queues, Drain: max(drain, time.Millisecond)}) // 0 would be the default
		},
	}
	cmd.Flags().StringSliceVar(&queues, "queues", nil, "task queues to serve (default: SLIPWAY_QUEUES, else "+strings.Join(worker.Queues, ", ")+")")
	cmd.Flags().DurationVar(&drain, "drain", time.Minute, "how long a stopping worker waits for what runs; it is gone at most half a second later")
	return cmd
}

// knownQueues takes the queues that a flag names, which have to be Slipway's own or configured ones: a worker on a queue
// with a typo in its name would wait for ever.
func knownQueues(named, configured []string) ([]string, error) {
	known := slices.Clone(worker.Queues)
	for _, q := range configured {
		if !slices.Contains(known, q) {
			known = append(known, q)
		}
	}
	queues := make([]string, 0, len(named))
	for _, q := range named {
		if q = strings.TrimSpace(q); !slices.Contains(known, q) {
			return nil, usageErrorf("there is no task queue '%s': expected some of %s; queues of your own have to stand in SLIPWAY_QUEUES", q, strings.Join(known, ", "))
		}
		if !slices.Contains(queues, q) {
			queues = append(queues, q)
		}
	}
	return queues, nil
}

func runWorker(ctx context.Context, cfg *config.Config, o app.WorkerOptions) error {
	a, err := app.Open(ctx, cfg, app.Options{Process: "worker"})
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to end before it had begun
		}
		return err
	}
	metrics, err := serveMetrics(a)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	w, err := a.StartWorker(ctx, o)
	if err == nil {
		a.Log.Info("the worker serves its queues", "queues", w.Queues())
		<-ctx.Done()
		a.Log.Info("the worker stops: it takes no more work and waits for what runs", "at_most", o.Drain)
		err = w.Stop()
	} else if ctx.Err() != nil {
		// Asked to end before Temporal was there: nothing ran, and nothing went wrong.
		a.Log.Info("the worker was stopped before it could serve its queues", "error", err)
		err = nil
	}
	if metrics != nil {
		err = errors.Join(err, metrics.Close())
	}
	return errors.Join(err, a.Close())
}
