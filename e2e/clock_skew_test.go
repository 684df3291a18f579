package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/client"
	"slipway/models"
)

// R18: the clock of a worker is five minutes off. What it runs ends well, locks and decisions included, and no time that
// people read lies before one that came earlier.
func TestR18ClockSkew(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"behind": -5 * time.Minute, "ahead": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, stackOptions{noWorker: true})
			ctx, end := context.WithCancel(context.Background())
			defer end()
			far, err := app.Open(ctx, s.cfg, app.Options{Workers: true, Process: "worker", Reconcile: quickly, Log: slog.New(slog.DiscardHandler),
				Now: func() time.Time { return time.Now().Add(skew) }})
			require.NoError(t, err)
			defer func() { require.NoError(t, far.Close()) }()
			w, err := far.StartWorker(ctx, workerOptions)
			require.NoError(t, err)
			defer func() { require.NoError(t, w.Stop()) }()
			reconciled := make(chan struct{})
			go func() { defer close(reconciled); far.Reconcile(ctx) }()
			defer func() { end(); <-reconciled }()

			p := s.project("skewed")
			p.release()
			g := newGate(t)
			p.job("one", "web", "echo pid $$", g.wait())
			p.job("two", "web", "echo second")
			p.pipeline("ask", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "two"}})
			first := p.deploy("one")
			s.line(first, "pid ")
			second := p.deploy("two")
			s.reaches(second, models.StatusQueued)
			g.open(1)
			s.ok(first)
			s.ok(second)
			asks := p.triggerPipeline("ask")
			require.NoError(t, s.client.Approve(t.Context(), s.link(asks)))
			s.ok(asks)
			for _, ref := range []client.Ref{first, second, asks} {
				e := s.row(ref)
				require.False(t, e.StartedAt.Before(e.CreatedAt), "%s: started %s, created %s", e.Kind, e.StartedAt, e.CreatedAt)
				require.False(t, e.FinishedAt.Before(*e.StartedAt), "%s: finished %s, started %s", e.Kind, e.FinishedAt, e.StartedAt)
			}
		})
	}
}
