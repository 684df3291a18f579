package workflows

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/internal/testenv"
	"slipway/models"
)

// TestRecordDeliveryHistories writes the histories of deliveries that the replay test reads, see testenv.RecordVariable.
func TestRecordDeliveryHistories(t *testing.T) {
	testenv.Recording(t)
	server := testenv.TemporalServer(t)
	c, err := client.Dial(client.Options{HostPort: server.HostPort, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worker.New(c, QueueDeliveries, worker.Options{DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{Name: DeliveryWorkflow})
	begun, tries := make(chan struct{}, 10), atomic.Int64{}
	w.RegisterActivityWithOptions(func(_ context.Context, in DeliveryInput) (Outcome, error) {
		n := tries.Add(1)
		again := func(after time.Duration) error {
			return temporal.NewApplicationErrorWithOptions("it answered 503", "Undelivered", temporal.ApplicationErrorOptions{NextRetryDelay: after})
		}
		switch in.DeliveryID {
		case "delivery-retried":
			if n < 3 {
				return Outcome{}, again(10 * time.Millisecond)
			}
		case "delivery-cancelled":
			begun <- struct{}{}
			return Outcome{}, again(time.Hour)
		case "delivery-failed":
			return Outcome{Status: models.StatusFailed, Reason: "it answered 410"}, nil
		}
		return Outcome{Status: models.StatusOK}, nil
	}, activity.RegisterOptions{Name: ActivityDeliver})
	w.RegisterActivityWithOptions(func(_ context.Context, _ DeliveryInput, out Outcome) (Outcome, error) { return out, nil }, activity.RegisterOptions{Name: ActivityEndDelivery})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := func(id string) client.WorkflowRun {
		t.Helper()
		tries.Store(0)
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: QueueDeliveries}, DeliveryWorkflow, DeliveryInput{DeliveryID: id})
		require.NoError(t, err)
		return run
	}
	record := func(id, name string) {
		t.Helper()
		testenv.RecordHistory(t, c, filepath.Join("testdata", "histories"), name, id, "")
	}
	for _, id := range []string{"delivery-ok", "delivery-retried", "delivery-failed"} {
		require.NoError(t, start(id).Get(ctx, nil))
		record(id, id)
	}
	run := start("delivery-cancelled")
	<-begun
	record("delivery-cancelled", "delivery-open-running")
	require.NoError(t, c.CancelWorkflow(ctx, "delivery-cancelled", ""))
	require.NoError(t, run.Get(ctx, nil))
	record("delivery-cancelled", "delivery-cancelled")
}
