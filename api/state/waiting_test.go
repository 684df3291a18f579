package state_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"slipway/executions"
	"slipway/models"
	"slipway/policies"
)

// DescribeWorkflowExecution answers what the test says the workflow is at; without that there is no workflow.
func (f *fakeTemporal) DescribeWorkflowExecution(ctx context.Context, _, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case f.away:
		return nil, serviceerror.NewUnavailable("away")
	case f.workflow == nil:
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	f.workflow.WorkflowExecutionInfo = &workflow.WorkflowExecutionInfo{Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING}
	return f.workflow, nil
}

// DescribeTaskQueue lists the pollers of the queue that the test says has some.
func (f *fakeTemporal) DescribeTaskQueue(_ context.Context, queue string, _ enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	out := &workflowservice.DescribeTaskQueueResponse{}
	if at, ok := f.polled[queue]; ok {
		out.Pollers = []*taskqueue.PollerInfo{{LastAccessTime: timestamppb.New(at)}}
	}
	return out, nil
}

// why asks as a user why an execution waits, and gives the first reason.
func (k *kit) why(user, id string) (waiting bool, first map[string]any, all []any) {
	k.t.Helper()
	w := k.as(user).get("/api/v1/slipway/executions/" + id + "/waiting").object()
	require.Equal(k.t, id, w["id"])
	all = w["reasons"].([]any)
	require.NotEmpty(k.t, all)
	return w["waiting"].(bool), all[0].(map[string]any), all
}

// R7: the queue is visible, in its order, and each execution in it says what it waits for.
func TestR7QueuesAndWhyExecutionsWait(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		walter := k.as("walter")
		deploy := func() string { return walter.post(devJobs+"by-name/web/trigger", nil).id() }
		claim := func(id string, names ...string) {
			_, err := k.store.ClaimExecution(t.Context(), id, "run", func(*models.Execution) ([]string, error) { return names, nil })
			require.NoError(t, err)
		}
		first, second, third, late := deploy(), deploy(), deploy(), deploy()
		for _, id := range []string{first, second, third} {
			claim(id, "web")
		}
		_, why, _ := k.why("rita", third)
		require.Equal(t, []any{"lock", "the deployment 'web' is held by deployment job 'web' #1; it is number 2 in the queue", 2.0}, []any{why["kind"], why["message"], why["position"]})
		others := why["executions"].([]any)
		require.Len(t, others, 2)
		require.Equal(t, []any{first, "/api/v1/slipway/executions/" + first + "/", "shop", "dev", "web", 1.0, "running"},
			[]any{at(others[0], "id"), at(others[0], "url"), at(others[0], "project"), at(others[0], "environment"), at(others[0], "subject"), at(others[0], "number"), at(others[0], "outcome")})
		k.as("rita").get(at(others[0], "url").(string)).ok()

		q := k.as("rita").get("/api/v1/slipway/projects/shop/queue").object()
		queues := q["queues"].([]any)
		require.Len(t, queues, 1)
		require.Equal(t, []any{"deployment", "dev", "web", 1.0}, []any{at(queues[0], "kind"), at(queues[0], "environment"), at(queues[0], "deployment"), at(queues[0], "capacity")})
		var order []any
		for _, e := range at(queues[0], "entries").([]any) {
			order = append(order, at(e, "holds"), at(e, "execution", "id"))
		}
		require.Equal(t, []any{true, first, false, second, false, third}, order)
		require.Equal(t, late, at(q["not_begun"].([]any)[0], "id"))
		require.Equal(t, false, q["truncated"])
		k.as("sam").get("/api/v1/slipway/projects/shop/queue").jsonError(http.StatusNotFound)
		k.as("sam").get("/api/v1/slipway/executions/" + third + "/waiting").jsonError(http.StatusNotFound)

		// The same for a limit.
		k.as("olga").put(limitsOf+"environments/dev/builds/web/limits", map[string]any{"max_parallel": 1}).ok()
		build := func() string {
			id := walter.post(devBuilds+"by-name/web/trigger-build", nil).id()
			_, err := k.store.ClaimExecution(t.Context(), id, "run", nil)
			require.NoError(t, err)
			return id
		}
		holds, waits := build(), build()
		_, why, _ = k.why("rita", waits)
		require.Equal(t, []any{"limit", "build 'web' #1 runs, and at most 1 may side by side; it is number 1 in the queue", 1.0}, []any{why["kind"], why["message"], why["position"]})
		require.NotEmpty(t, why["since"])
		queues = k.as("rita").get("/api/v1/slipway/projects/shop/queue").object()["queues"].([]any)
		require.Len(t, queues, 2)
		for _, q := range queues {
			if at(q, "kind") == "limit" {
				require.Equal(t, []any{"build", "web", "dev"}, []any{at(q, "subject_kind"), at(q, "subject"), at(q, "environment")})
				require.Equal(t, holds, at(at(q, "entries").([]any)[0], "execution", "id"))
			}
		}
		// Granted, and not told yet.
		finish(k, holds)
		_, why, _ = k.why("rita", waits)
		require.Equal(t, "signal", why["kind"])
		// Cancelled while it waits.
		require.NoError(t, k.service.Cancel(t.Context(), third, policies.Subject{Kind: "user", Name: "ann"}))
		_, _, all := k.why("rita", third)
		require.Equal(t, "cancelling", at(all[1], "kind"))
		require.Contains(t, at(all[1], "message"), "cancelled by ann")
		finish(k, first)
		_, why, _ = k.why("rita", first)
		require.Equal(t, []any{"ended", "it has ended: ok"}, []any{why["kind"], why["message"]})
	})
}

func TestWhyPipelinesWait(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		k.as("olga").post(pipelines+"add", aPipeline("ship")).ok()
		id, _ := waiting(k, "walter", "")
		waits, why, _ := k.why("rita", id)
		require.True(t, waits)
		require.Equal(t, []any{"confirmation", "user walter must decide", "walter"}, []any{why["kind"], why["message"], why["user"]})
		require.NotEmpty(t, why["since"])

		// A step in a project that rita may not see is another execution to her.
		k.as("sam").post("/api/v1/state/hidden/add-project", map[string]any{}).ok()
		hidden, err := k.store.ProjectByName(t.Context(), "hidden")
		require.NoError(t, err)
		_, _, err = k.store.CreateExecution(t.Context(), models.NewExecution{Kind: models.KindBuild, ProjectID: hidden.ID, SubjectID: models.NewID(), SubjectName: "secret-build",
			ParentID: id, RootID: id, Definition: models.BuildDefinition{Name: "secret-build"}})
		require.NoError(t, err)
		_, _, all := k.why("rita", id)
		require.Len(t, all, 2)
		require.Equal(t, []any{"steps", "its steps run: another execution", map[string]any{"name": "another execution"}},
			[]any{at(all[1], "kind"), at(all[1], "message"), at(all[1], "executions").([]any)[0]})
		require.NotContains(t, k.as("rita").get("/api/v1/slipway/executions/"+id+"/waiting").ok(), "secret")
		require.Contains(t, k.as("admin").get("/api/v1/slipway/executions/"+id+"/waiting").ok(), "build 'secret-build' #1")
	})
}

// What the database does not know, Temporal does; where that is away or hangs, the answer still comes soon.
func TestWhyExecutionsDoNotBegin(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	id, _, _ := running(k, "web")
	fresh := k.as("walter").post(devBuilds+"by-name/web/trigger-build", nil).id()
	ago := time.Now().Add(-time.Hour)
	pending := func(a *workflow.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
		return &workflowservice.DescribeWorkflowExecutionResponse{PendingActivities: []*workflow.PendingActivityInfo{a}}
	}
	scheduled := pending(&workflow.PendingActivityInfo{State: enums.PENDING_ACTIVITY_STATE_SCHEDULED, Attempt: 1, ScheduledTime: timestamppb.New(ago)})
	for name, c := range map[string]struct {
		id       string
		workflow *workflowservice.DescribeWorkflowExecutionResponse
		polled   map[string]time.Time
		away     bool
		kind     string
		message  string
		waits    bool
	}{
		"nobody polls":          {id, scheduled, nil, false, executions.WaitsForWorker, "no worker polls the task queue 'builds'", true},
		"nobody polls any more": {id, scheduled, map[string]time.Time{"builds": ago}, false, executions.WaitsForWorker, "no worker polls the task queue 'builds'", true},
		"all are busy":          {id, scheduled, map[string]time.Time{"builds": time.Now()}, false, executions.WaitsForFreeWorker, "none has taken it yet", true},
		"a retry": {id, pending(&workflow.PendingActivityInfo{State: enums.PENDING_ACTIVITY_STATE_SCHEDULED, Attempt: 3, ScheduledTime: timestamppb.New(time.Now().Add(time.Minute))}),
			nil, false, executions.WaitsForRetry, "try 3 begins at", true},
		"it runs": {id, pending(&workflow.PendingActivityInfo{State: enums.PENDING_ACTIVITY_STATE_STARTED, LastStartedTime: timestamppb.New(ago)}), nil, false, executions.IsRunning, "a worker has taken it", false},
		"no worker for the workflow": {fresh, &workflowservice.DescribeWorkflowExecutionResponse{PendingWorkflowTask: &workflow.PendingWorkflowTaskInfo{
			State: enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, ScheduledTime: timestamppb.New(ago)}}, nil, false, executions.WaitsForWorker, "no worker polls the task queue 'builds'", true},
		"never started":    {fresh, nil, nil, false, executions.WaitsForStart, "was not started yet", true},
		"Temporal is away": {fresh, nil, nil, true, executions.WaitsForTemporal, "the workflow service does not answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			k.temporal.workflow, k.temporal.polled, k.temporal.away = c.workflow, c.polled, c.away
			waits, why, _ := k.why("rita", c.id)
			require.Equal(t, c.kind, why["kind"])
			require.Contains(t, why["message"], c.message)
			require.Equal(t, c.waits, waits)
		})
	}
	t.Run("which script runs", func(t *testing.T) {
		k.temporal.workflow, k.temporal.polled, k.temporal.away = pending(&workflow.PendingActivityInfo{State: enums.PENDING_ACTIVITY_STATE_STARTED, LastStartedTime: timestamppb.New(ago)}), nil, false
		_, err := k.store.BeginScript(t.Context(), models.ExecutionScript{ExecutionID: id, Key: "build", Step: "build", Release: "shop/web-v1", Repeatable: true})
		require.NoError(t, err)
		waits, why, all := k.why("rita", id)
		require.False(t, waits)
		require.Equal(t, []any{"running", "the script build of shop/web-v1 runs", "build", "shop/web-v1"}, []any{why["kind"], why["message"], why["script"], why["release"]})
		require.NotEmpty(t, why["since"])
		require.Len(t, all, 1)
		k.temporal.workflow = scheduled
		_, why, _ = k.why("rita", id)
		require.Equal(t, executions.WaitsForWorker, why["kind"], "a script whose worker was lost does not run")
	})
	t.Run("Temporal hangs", func(t *testing.T) {
		k.temporal.hangs = true
		began := time.Now()
		_, why, _ := k.why("rita", fresh)
		require.Equal(t, executions.WaitsForTemporal, why["kind"])
		require.Less(t, time.Since(began), 10*time.Second, "the answer does not wait for Temporal")
	})
}
