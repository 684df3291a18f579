package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/keyring"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/schedules"
	"slipway/workflows"
)

// S11: what Temporal holds under an old key is known exactly: schedules are encrypted again, and while a workflow is open that
// needs the key, the key stays. What is not encrypted, or is another installation's, is nobody's concern.
func TestS11KeysThatTemporalNeeds(t *testing.T) {
	server := testenv.Temporal(t)
	a := newAdminCLI(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keys.json")
	t.Setenv("SLIPWAY_KEY_FILE", path)
	t.Setenv("SLIPWAY_DATABASE_URL", a.address)
	t.Setenv("SLIPWAY_TEMPORAL_ENCRYPT", "true")
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", "127.0.0.1:1")
	temporalPatience = 100 * time.Millisecond
	t.Cleanup(func() { temporalPatience = 10 * time.Second })
	keys, err := keyring.Open(path)
	require.NoError(t, err)
	others, err := keyring.Open(filepath.Join(t.TempDir(), "keys.json"))
	require.NoError(t, err)
	connect := func(k *keyring.Keyring) client.Client {
		o := executions.ConnectOptions{Address: server.HostPort, Namespace: "default"}
		if k != nil {
			o.Codec = executions.NewCodec(k)
		}
		c, err := executions.Connect(o)
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	mine, plain, foreign := connect(keys), connect(nil), connect(others)

	e, _, err := a.store.CreateExecution(ctx, models.NewExecution{Kind: models.KindPipeline, ProjectID: models.NewID(), SubjectID: models.NewID(), SubjectName: "ship", Definition: models.PipelineDefinition{}})
	require.NoError(t, err)
	queue := "nobody-polls-" + e.ID
	start := func(c client.Client, id string) {
		t.Helper()
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queue}, workflows.PipelineWorkflow, workflows.Input{ExecutionID: id})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.TerminateWorkflow(t.Context(), id, "", "the test is over") })
	}
	start(mine, e.ID)
	start(plain, "plain-"+e.ID)
	start(foreign, "foreign-"+e.ID)
	list := func() map[string]bool {
		open, err := plain.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: `ExecutionStatus = "Running" AND TaskQueue = "` + queue + `"`})
		require.NoError(t, err)
		ids := map[string]bool{}
		for _, w := range open.GetExecutions() {
			ids[w.GetExecution().GetWorkflowId()] = true
		}
		return ids
	}
	entry := schedules.Entry{ID: "schedule-" + e.ID, Every: time.Hour, Workflow: workflows.ScheduleWorkflow, Input: workflows.Input{ExecutionID: "x"}, TaskQueue: queue, Paused: true, Summary: "ship"}
	require.NoError(t, schedules.Timetable{Client: mine}.Put(ctx, entry))
	theirs := entry
	theirs.ID = "foreign-" + entry.ID
	require.NoError(t, schedules.Timetable{Client: foreign}.Put(ctx, theirs))
	t.Cleanup(func() {
		for _, id := range []string{entry.ID, theirs.ID} {
			_ = plain.ScheduleClient().GetHandle(t.Context(), id).Delete(t.Context())
		}
	})
	scheduled := func(id string, k *keyring.Keyring) error {
		t.Helper()
		s, err := plain.WorkflowService().DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{Namespace: "default", ScheduleId: id})
		require.NoError(t, err)
		w := s.GetSchedule().GetAction().GetStartWorkflow()
		require.Len(t, w.GetInput().GetPayloads(), 1)
		require.True(t, s.GetSchedule().GetState().GetPaused(), "nothing else of it changed")
		require.Len(t, s.GetSchedule().GetSpec().GetInterval(), 1)
		_, err = executions.NewCodec(k).Decode(append(w.GetInput().GetPayloads(), w.GetUserMetadata().GetSummary()))
		return err
	}
	require.NoError(t, scheduled(entry.ID, keys))
	require.Eventually(t, func() bool { return len(list()) == 3 }, 20*time.Second, 50*time.Millisecond, "Temporal lists them")
	require.Eventually(t, func() bool {
		have, err := schedules.Timetable{Client: plain}.List(ctx, "")
		require.NoError(t, err)
		_, first := have[entry.ID]
		_, second := have[theirs.ID]
		return first && second
	}, 20*time.Second, 50*time.Millisecond, "Temporal lists them")

	a.fails("the database is done, the schedules in Temporal are not: Temporal at 127.0.0.1:1 does not answer", "key", "rotate")
	a.later = pruneAfter
	a.fails("give --forget", "key", "prune")
	a.fails("Temporal at 127.0.0.1:1 does not answer", "key", "prune", "--forget")
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", server.HostPort)
	temporalPatience = 10 * time.Second
	a.fails("1 schedules in Temporal begin workflows with what an old key encrypts, such as "+entry.ID+": run `slipway admin key reseal`", "key", "prune", "--forget")
	require.Contains(t, a.run("key", "reseal"), "1 schedules in Temporal were encrypted again")
	require.Contains(t, a.run("key", "reseal"), "0 schedules in Temporal were encrypted again")
	a.fails("1 open executions began before the rotation, and need an old key to go on: pipeline 'ship' #1 ("+e.ID+"). Wait until they have ended, or cancel them", "key", "prune", "--forget")
	left, err := keyring.Open(path)
	require.NoError(t, err)
	require.Len(t, left.IDs(), 2)
	require.NoError(t, mine.TerminateWorkflow(ctx, e.ID, "", "it ends"))
	require.Eventually(t, func() bool { return !list()[e.ID] }, 20*time.Second, 50*time.Millisecond, "Temporal lists it no more")
	require.Contains(t, a.run("key", "prune", "--forget"), "Removed")
	left, err = keyring.Open(path)
	require.NoError(t, err)
	require.Len(t, left.IDs(), 1)
	require.NoError(t, scheduled(entry.ID, left), "it can still be begun")
	require.NoError(t, scheduled(theirs.ID, others))

	// Where histories are not encrypted, there is nothing to forget and nobody to ask.
	t.Setenv("SLIPWAY_TEMPORAL_ENCRYPT", "false")
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", "127.0.0.1:1")
	require.NotContains(t, a.run("key", "rotate"), "Temporal")
	a.later *= 3
	require.Contains(t, a.run("key", "prune"), "Removed")
}
