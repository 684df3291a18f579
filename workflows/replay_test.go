package workflows

import (
	"compress/gzip"
	"io"
	"log/slog"
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
	require.GreaterOrEqual(t, len(files), 18, "histories are missing")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".gz"), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay(t, file, Pipeline))
		})
	}
}

// A replay that noticed nothing would be worth nothing: a pipeline that skips its first step must fail.
func TestR11ReplayNoticesAChange(t *testing.T) {
	changed := func(ctx workflow.Context, in Input) (Outcome, error) {
		return finish(ctx, in, Outcome{})
	}
	err := replay(t, filepath.Join("testdata", "histories", "pipeline-approved.json"), changed)
	require.ErrorContains(t, err, "TMPRL1100", "the SDK's code for it")
}

func replay(t *testing.T, file string, pipeline any) error {
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
	replayer.RegisterWorkflowWithOptions(Build, workflow.RegisterOptions{Name: BuildWorkflow})
	replayer.RegisterWorkflowWithOptions(Deployment, workflow.RegisterOptions{Name: DeploymentWorkflow})
	replayer.RegisterWorkflowWithOptions(pipeline, workflow.RegisterOptions{Name: PipelineWorkflow})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history)
}
