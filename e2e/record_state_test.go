package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	slipway "slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/schedules"
)

// TestRecordStateHistories records schedules, confirmations with timers, and the other types of steps; see
// TestRecordHistories.
func TestRecordStateHistories(t *testing.T) {
	testenv.Recording(t)
	dir := filepath.Join("..", "workflows", "testdata", "histories")
	s := newStack(t, stackOptions{})
	p := s.project("record")
	p.release()
	write := func(name, id string) {
		t.Helper()
		testenv.RecordHistory(t, s.workflows, dir, name, id, "")
	}

	// A time of a schedule, as Temporal starts its workflow.
	p.build("good", "echo good")
	a := s.do(http.MethodPost, "/api/v1/slipway/projects/record/schedules/", map[string]any{"name": "nightly", "build": "good", "environment": "dev", "cron": []string{"30 2 * * *"}})
	require.Less(t, a.status, 300, string(a.body))
	var made struct{ ID string }
	require.NoError(t, json.Unmarshal(a.body, &made))
	handle := s.workflows.ScheduleClient().GetHandle(t.Context(), schedules.TemporalID(made.ID))
	await(t, "Temporal has the schedule", func() (bool, string) { _, err := handle.Describe(t.Context()); return err == nil, "" })
	require.NoError(t, handle.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	var run string
	await(t, "the schedule has started its workflow", func() (bool, string) {
		d, err := handle.Describe(t.Context())
		require.NoError(t, err)
		if len(d.Info.RecentActions) == 0 || d.Info.RecentActions[0].StartWorkflowResult == nil {
			return false, ""
		}
		run = d.Info.RecentActions[0].StartWorkflowResult.WorkflowID
		return true, ""
	})
	require.NoError(t, s.workflows.GetWorkflow(t.Context(), run, "").Get(t.Context(), nil))
	write("schedule-trigger", run)

	// Decisions with a time limit and reminders: waited for, decided in time, and not.
	ask := func(limit string) slipway.PipelineStep {
		return slipway.PipelineStep{Name: "go?", Type: slipway.StepConfirmation, TimeLimit: limit, RemindAfter: "5m"}
	}
	p.pipeline("timed", []slipway.PipelineStep{ask("24h"), ask("12h")}, []slipway.PipelineStep{{Type: slipway.StepBuild, Build: "good"}})
	ref := p.triggerPipeline("timed")
	s.link(ref)
	write("pipeline-open-waiting-with-time-limit", ref.ID)
	for _, step := range []int{0, 1} {
		await(t, "both steps wait", func() (bool, string) { return steps(s.execution(ref))[step].ConfirmationURL != "", "" })
		require.NoError(t, s.client.Approve(t.Context(), steps(s.execution(ref))[step].ConfirmationURL))
	}
	s.ok(ref)
	write("pipeline-approved-in-time", ref.ID)
	p.pipeline("late", []slipway.PipelineStep{ask("1s"), ask("1h")})
	ref = p.triggerPipeline("late")
	await(t, "one has timed out", func() (bool, string) { return steps(s.execution(ref))[0].ConfirmationURL == "", "" })
	require.NoError(t, s.client.Approve(t.Context(), steps(s.execution(ref))[1].ConfirmationURL))
	s.failed(ref, models.ConfirmationTimedOut)
	write("pipeline-timed-out", ref.ID)

	// Steps that run as a delivery, as an errand, as another pipeline, and as nothing.
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer receiver.Close()
	p.pipeline("below", []slipway.PipelineStep{{Type: slipway.StepBuild, Build: "good"}})
	p.pipeline("calls", []slipway.PipelineStep{{Type: slipway.StepWebhook, WebhookURL: receiver.URL}, {Type: slipway.StepPipeline, Pipeline: "below", WaitForPipeline: true}},
		[]slipway.PipelineStep{{Type: slipway.StepPipeline, Pipeline: "below"}, {Type: slipway.StepTagRelease, Namespace: "record", Application: "app", Tag: "live", TagVersion: "tagged-version", TagTaggedVersion: "none", IgnoreFailure: true}},
		[]slipway.PipelineStep{{Type: slipway.StepWebhook, WebhookURL: receiver.URL}})
	ref = p.triggerPipeline("calls")
	s.ok(ref)
	write("pipeline-with-deliveries", ref.ID)

	hangs := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-hangs }))
	defer slow.Close()
	defer close(hangs)
	p.pipeline("hangs", []slipway.PipelineStep{{Type: slipway.StepWebhook, WebhookURL: slow.URL}})
	ref = p.triggerPipeline("hangs")
	await(t, "its step sends", func() (bool, string) {
		list, err := s.store.ListDeliveries(t.Context(), models.DeliveryFilter{ExecutionID: ref.ID})
		require.NoError(t, err)
		return len(list) == 1 && list[0].Attempts > 0, ""
	})
	write("pipeline-open-delivering", ref.ID)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-cancelled-while-delivering", ref.ID)

	// The parts of two pipelines that wait for each other, of which one is ended from outside.
	write("pipeline-ended-while-it-waited", p.deadlock(false))
}
