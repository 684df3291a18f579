package workflows

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/internal/testenv"
	"slipway/models"
)

// scripted are activities that do what the recording wants.
type scripted struct {
	begun, next chan struct{}
	search      func(ctx context.Context) (time.Duration, error)
	scan        func(ctx context.Context) (Outcome, error)
}

// TestRecordAssetHistories writes the histories of searches, scans and mirrors that the replay test reads, from a real
// server: see testenv.RecordVariable. Their activities are scripted, so that each stops where it is to be recorded.
func TestRecordAssetHistories(t *testing.T) {
	testenv.Recording(t)
	dir := filepath.Join("testdata", "histories")
	server := testenv.TemporalServer(t)
	c, err := client.Dial(client.Options{HostPort: server.HostPort, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: "default",
		SearchAttributes: map[string]enums.IndexedValueType{AttributeStatus.GetName(): enums.INDEXED_VALUE_TYPE_KEYWORD}})
	require.NoError(t, err)
	a := &scripted{begun: make(chan struct{}), next: make(chan struct{})}
	for _, queue := range []string{QueueAssets, QueuePackages} {
		w := worker.New(c, queue, worker.Options{DisableRegistrationAliasing: true})
		for name, f := range registered() {
			w.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
		}
		for name, f := range map[string]any{
			ActivityClaim: func(context.Context, Input, string, string) (ClaimResult, error) {
				return ClaimResult{Claimed: true}, nil
			},
			ActivityFinish:           func(_ context.Context, _ Input, _ string, out Outcome) (Outcome, error) { return out, nil },
			ActivityAssetSearch:      func(ctx context.Context, _ Input) (time.Duration, error) { return a.search(ctx) },
			ActivityAssetExpire:      func(context.Context) error { return nil },
			ActivityAssetScan:        func(ctx context.Context, _ Input) (Outcome, error) { return a.scan(ctx) },
			ActivityTriggerAssetScan: func(context.Context, AssetScanScheduleInput, string) error { return nil },
			ActivityMirrorPackage: func(context.Context, PackageMirrorInput) (PackageMirrorResult, error) {
				a.begun <- struct{}{}
				<-a.next
				return PackageMirrorResult{Mirrored: 1}, nil
			},
			ActivityStartPackageMirror: func(context.Context, PackageMirrorInput) error { return nil },
		} {
			w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
		}
		require.NoError(t, w.Start())
		t.Cleanup(w.Stop)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	start := func(queue, name, id string, in any) {
		t.Helper()
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queue}, name, in)
		require.NoError(t, err)
	}
	end := func(id string) {
		t.Helper()
		require.NoError(t, c.GetWorkflow(ctx, id, "").Get(ctx, nil))
	}
	record := func(id string) { t.Helper(); testenv.RecordHistory(t, c, dir, id, id, "") }
	// reaches waits for an event.
	reaches := func(id string, kind enums.EventType) {
		t.Helper()
		for it := c.GetWorkflowHistory(ctx, id, "", true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
			event, err := it.Next()
			require.NoError(t, err)
			if event.GetEventType() == kind {
				return
			}
		}
		t.Fatalf("%s ended without %s", id, kind)
	}
	in := Input{ExecutionID: "recorded"}
	untilCancelled := func(ctx context.Context) error {
		a.begun <- struct{}{}
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
				activity.RecordHeartbeat(ctx)
			}
		}
	}

	a.search = func(context.Context) (time.Duration, error) { return 0, nil }
	start(QueueAssets, AssetSearchWorkflow, "asset-search-expired", in)
	end("asset-search-expired")
	record("asset-search-expired")
	a.search = func(context.Context) (time.Duration, error) { return time.Hour, nil }
	start(QueueAssets, AssetSearchWorkflow, "asset-search-open-waiting", in)
	reaches("asset-search-open-waiting", enums.EVENT_TYPE_TIMER_STARTED)
	record("asset-search-open-waiting")
	require.NoError(t, c.CancelWorkflow(ctx, "asset-search-open-waiting", ""))
	end("asset-search-open-waiting")
	testenv.RecordHistory(t, c, dir, "asset-search-cancelled-while-waiting", "asset-search-open-waiting", "")
	a.search = func(context.Context) (time.Duration, error) {
		return 0, temporal.NewNonRetryableApplicationError("the database could not run it", "AssetSearch", nil)
	}
	start(QueueAssets, AssetSearchWorkflow, "asset-search-failed", in)
	end("asset-search-failed")
	record("asset-search-failed")
	a.search = func(ctx context.Context) (time.Duration, error) { return 0, untilCancelled(ctx) }
	start(QueueAssets, AssetSearchWorkflow, "asset-search-open-running", in)
	<-a.begun
	record("asset-search-open-running")
	require.NoError(t, c.CancelWorkflow(ctx, "asset-search-open-running", ""))
	end("asset-search-open-running")
	testenv.RecordHistory(t, c, dir, "asset-search-cancelled", "asset-search-open-running", "")

	a.scan = func(context.Context) (Outcome, error) { return Outcome{Status: models.StatusOK}, nil }
	start(QueueAssets, AssetScanWorkflow, "asset-scan-ok", in)
	end("asset-scan-ok")
	record("asset-scan-ok")
	a.scan = func(context.Context) (Outcome, error) {
		return Outcome{Status: models.StatusFailed, Reason: "the registry did not answer in time"}, nil
	}
	start(QueueAssets, AssetScanWorkflow, "asset-scan-failed", in)
	end("asset-scan-failed")
	record("asset-scan-failed")
	a.scan = func(ctx context.Context) (Outcome, error) { return Outcome{}, untilCancelled(ctx) }
	start(QueueAssets, AssetScanWorkflow, "asset-scan-open-running", in)
	<-a.begun
	record("asset-scan-open-running")
	require.NoError(t, c.CancelWorkflow(ctx, "asset-scan-open-running", ""))
	end("asset-scan-open-running")
	testenv.RecordHistory(t, c, dir, "asset-scan-cancelled", "asset-scan-open-running", "")
	start(QueueAssets, AssetScanScheduleWorkflow, "asset-scan-schedule", AssetScanScheduleInput{RegistryID: "recorded"})
	end("asset-scan-schedule")
	record("asset-scan-schedule")

	mirror := func(id string) {
		start(QueuePackages, PackageMirrorWorkflow, id, PackageMirrorInput{PackageID: 7})
		<-a.begun
	}
	mirror("package-mirror-open-running")
	record("package-mirror-open-running")
	a.next <- struct{}{}
	end("package-mirror-open-running")
	testenv.RecordHistory(t, c, dir, "package-mirror-ok", "package-mirror-open-running", "")
	// Asked for again in every round, until it continues as new.
	mirror("package-mirror-continued")
	d, err := c.DescribeWorkflowExecution(ctx, "package-mirror-continued", "")
	require.NoError(t, err)
	first := d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	for range mirrorRounds {
		require.NoError(t, c.SignalWorkflow(ctx, "package-mirror-continued", "", SignalMirror, nil))
		a.next <- struct{}{}
		<-a.begun
	}
	record("package-mirror-continued")
	require.NoError(t, os.Rename(filepath.Join(dir, "package-mirror-continued.json"), filepath.Join(dir, "package-mirror-open-continued.json")))
	testenv.RecordHistory(t, c, dir, "package-mirror-before-it-continued", "package-mirror-continued", first)
	a.next <- struct{}{}
	end("package-mirror-continued")
	record("package-mirror-continued")
	start(QueuePackages, PackageMirrorScheduleWorkflow, "package-mirror-schedule", PackageMirrorInput{PackageID: 7})
	end("package-mirror-schedule")
	record("package-mirror-schedule")
}
