package workflows

import (
	"compress/gzip"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// R11: workflows that were recorded, ended ones and ones that were open, take the same steps again with the code of today.
// Where this fails, executions that are open during an upgrade would get stuck: guard the change with workflow.GetVersion,
// or, before the first release, record anew (see TestRecordHistories in package e2e).
func TestR11RecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "histories", "*.json*"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 65, "histories are missing")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".gz"), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay(t, file, registered()))
		})
	}
}

// A replay that noticed nothing would be worth nothing: workflows that skip what they did must fail.
func TestR11ReplayNoticesAChange(t *testing.T) {
	ends := func(ctx workflow.Context, in Input) (Outcome, error) {
		return finish(ctx, in, Outcome{})
	}
	once := func(ctx workflow.Context, in PackageMirrorInput) (PackageMirrorResult, error) {
		return PackageMirrorResult{}, nil
	}
	for history, changed := range map[string]map[string]any{
		"pipeline-approved":           {PipelineWorkflow: ends},
		"asset-search-open-waiting":   {AssetSearchWorkflow: ends},
		"asset-scan-open-running":     {AssetScanWorkflow: ends},
		"package-mirror-open-running": {PackageMirrorWorkflow: once},
		"pipeline-timed-out":          {PipelineWorkflow: ends},
		"pipeline-with-deliveries":    {PipelineWorkflow: ends},
		"schedule-trigger":            {ScheduleWorkflow: func(workflow.Context, ScheduleInput) error { return nil }},
		"delivery-cancelled":          {DeliveryWorkflow: func(workflow.Context, DeliveryInput) (Outcome, error) { return Outcome{}, nil }},
	} {
		all := registered()
		maps.Copy(all, changed)
		err := replay(t, filepath.Join("testdata", "histories", history+".json"), all)
		require.ErrorContains(t, err, "TMPRL1100", "the SDK's code for it: %s", history)
	}
}

func replay(t *testing.T, file string, workflows map[string]any) error {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		r, err = gzip.NewReader(f)
		require.NoError(t, err)
	}
	history, err := client.HistoryFromJSON(r, client.HistoryJSONOptions{})
	require.NoError(t, err)
	replayer := worker.NewWorkflowReplayer()
	for name, w := range workflows {
		replayer.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history)
}

// registered are the workflows by the names that histories know them by.
func registered() map[string]any {
	return map[string]any{
		BuildWorkflow: Build, DirectBuildWorkflow: Build, LocalBuildWorkflow: Build, DeploymentWorkflow: Deployment, PipelineWorkflow: Pipeline,
		AssetSearchWorkflow: AssetSearch, AssetScanWorkflow: AssetScan, AssetScanScheduleWorkflow: AssetScanSchedule,
		PackageMirrorWorkflow: PackageMirror, PackageMirrorScheduleWorkflow: PackageMirrorSchedule,
		DeliveryWorkflow: Delivery, ScheduleWorkflow: Schedule,
	}
}
