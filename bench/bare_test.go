//go:build bench

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/internal/runner"
	"slipway/internal/testenv"

	"log/slog"
)

// bare is what one would write without Slipway: a workflow, an activity that runs a script with the same runner, no
// database, no log, no status.
type bare struct {
	client client.Client
	queue  string
	eager  bool
	space  *runner.Workspaces
	sup    *runner.Supervisor
	files  map[string]string
}

func newBare(t *testing.T, eager bool, files map[string]string) *bare {
	t.Helper()
	server := testenv.Temporal(t)
	c, err := client.Dial(client.Options{HostPort: server.HostPort, Logger: sdklog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	sup, err := runner.Start(runner.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sup.Close() })
	space, err := runner.OpenWorkspaces(t.TempDir(), runner.UserRange{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = space.Close() })
	b := &bare{client: c, queue: "bare-" + uuid.NewString(), eager: eager, sup: sup, space: space, files: files}
	// The same topology as ours: parents on one queue, children with their activities on another.
	for _, queue := range []string{b.queue, b.queue + "-parents"} {
		w := sdk.New(c, queue, sdk.Options{MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16, MaxConcurrentActivityExecutionSize: 16, DisableRegistrationAliasing: true})
		w.RegisterWorkflowWithOptions(b.workflow, workflow.RegisterOptions{Name: "bare"})
		w.RegisterWorkflowWithOptions(b.parent, workflow.RegisterOptions{Name: "bare-parent"})
		w.RegisterWorkflowWithOptions(b.waiting, workflow.RegisterOptions{Name: "bare-waiting"})
		w.RegisterActivityWithOptions(b.script, activity.RegisterOptions{Name: "bare-script"})
		require.NoError(t, w.Start())
		t.Cleanup(w.Stop)
	}
	return b
}

// workflow runs n scripts, one activity each.
func (b *bare) workflow(ctx workflow.Context, n int, file string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: 5 * time.Second})
	for range n {
		if err := workflow.ExecuteActivity(ctx, "bare-script", file).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// parent runs n children, one after another, as a pipeline runs its phases.
func (b *bare) parent(ctx workflow.Context, n int) error {
	for i := range n {
		id := fmt.Sprintf("%s-%d", workflow.GetInfo(ctx).WorkflowExecution.ID, i)
		c := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id, TaskQueue: b.queue, ParentClosePolicy: enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL})
		if err := workflow.ExecuteChildWorkflow(c, "bare", 1, "").Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// script runs one script in a workspace, as our activity does. file, where given, is an argument of the script.
func (b *bare) script(ctx context.Context, file string) error {
	space, err := b.space.Make()
	if err != nil {
		return err
	}
	defer func() { _ = space.Wipe() }()
	for name, text := range b.files {
		if err := os.WriteFile(filepath.Join(space.Source, filepath.Base(name)), []byte(text), 0o755); err != nil {
			return err
		}
	}
	c := space.Command("sh", "-c", "./build.sh .escape/outputs.json")
	c.Env = []string{"INPUT_file=" + file}
	c.Timeout = time.Minute
	exit, err := b.sup.Run(ctx, c, runner.Combined(io.Discard))
	if err == nil && !exit.OK() {
		err = fmt.Errorf("script: %s", exit.Reason())
	}
	return err
}

func (b *bare) run(ctx context.Context, n int, file string) error {
	r, err := b.start(ctx, n, file)
	if err != nil {
		return err
	}
	return r.Get(ctx, nil)
}

func (b *bare) start(ctx context.Context, n int, file string) (client.WorkflowRun, error) {
	return b.client.ExecuteWorkflow(ctx, b.options(), "bare", n, file)
}

func (b *bare) options() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: uuid.NewString(), TaskQueue: b.queue, EnableEagerStart: b.eager}
}

func (b *bare) runParent(ctx context.Context, n int) error {
	r, err := b.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: uuid.NewString(), TaskQueue: b.queue + "-parents", EnableEagerStart: b.eager}, "bare-parent", n)
	if err != nil {
		return err
	}
	return r.Get(ctx, nil)
}
