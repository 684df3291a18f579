package deliveries

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflow "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"slipway/models"
)

// described is a Temporal whose workflows are what the test says: a status, or none.
type described struct {
	starts
	status enums.WorkflowExecutionStatus
}

func (d *described) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if d.status == enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: d.status}}, nil
}

// later is a store of the same database whose clock is ahead.
func (k *kit) later(by time.Duration) *models.Store {
	k.t.Helper()
	s, err := models.Open(k.t.Context(), k.store.URL(), models.Options{Now: func() time.Time { return time.Now().Add(by) }})
	require.NoError(k.t, err)
	k.t.Cleanup(func() { require.NoError(k.t, s.Close()) })
	s.UseEncrypter(k.keys)
	return s
}

func (s *starts) started() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids
}

// A process that dies between the commit and the start, or a Temporal that is away: another process starts it later.
func TestWhatWasNeverStartedIsStarted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		d := k.webhook("https://example.com/", nil)
		child := k.webhook("https://example.com/", func(n *models.NewDelivery) { n.Child, n.ExecutionID = true, "parent" })
		require.NoError(t, k.service.round(t.Context()))
		require.Empty(t, k.temporal.started(), "whoever recorded it is about to start it")
		k.service.Store = k.later(5 * time.Second)
		k.temporal.away = true
		require.Error(t, k.service.round(t.Context()))
		k.temporal.away = false
		k.service.Store = k.later(10 * time.Second)
		require.NoError(t, k.service.round(t.Context()))
		require.Equal(t, []string{d.ID}, k.temporal.started())
		now, err := k.store.DeliveryByID(t.Context(), d.ID)
		require.NoError(t, err)
		require.NotNil(t, now.StartedAt)
		k.service.Store = k.later(time.Minute)
		require.NoError(t, k.service.round(t.Context()))
		require.Equal(t, []string{d.ID}, k.temporal.started(), "started once; %s is the pipeline's", child.ID)
	})
}

// What is recorded is started as soon as it is committed, and not before.
func TestStartFollowsTheCommit(t *testing.T) {
	k := onSQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.service.Start(ctx)
	}()
	n := models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: "x", NamespaceID: "ns", Body: "{}"}
	require.NoError(t, k.store.Tx(t.Context(), func(tx *models.Store) error {
		require.NoError(t, k.service.Create(t.Context(), tx, n, n))
		require.Empty(t, k.temporal.started())
		require.Empty(t, k.service.started)
		return nil
	}))
	require.Eventually(t, func() bool { return len(k.temporal.started()) == 2 }, 10*time.Second, time.Millisecond)
	cancel()
	<-done
}

func TestWhatClosedWithoutSayingSoIsEnded(t *testing.T) {
	for name, c := range map[string]struct {
		workflow enums.WorkflowExecutionStatus
		child    bool
		want     models.Status
		restarts bool
	}{
		"running":    {workflow: enums.WORKFLOW_EXECUTION_STATUS_RUNNING, want: models.StatusRunning},
		"terminated": {workflow: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, want: models.StatusFailed},
		"cancelled":  {workflow: enums.WORKFLOW_EXECUTION_STATUS_CANCELED, want: models.StatusCancelled},
		"missing":    {want: models.StatusRunning, restarts: true},
		"orphan":     {child: true, want: models.StatusCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			k := onSQLite(t)
			temporal := &described{status: c.workflow}
			k.service.Client = temporal
			d := k.webhook("https://example.com/", func(n *models.NewDelivery) { n.Child, n.ExecutionID = c.child, "gone" })
			_, err := k.store.BeginDeliveryAttempt(t.Context(), d.ID)
			require.NoError(t, err)
			k.service.Store = k.later(time.Hour)
			require.NoError(t, k.service.round(t.Context()))
			now, err := k.store.DeliveryByID(t.Context(), d.ID)
			require.NoError(t, err)
			require.Equal(t, c.want, now.Status)
			require.Equal(t, c.restarts, len(temporal.started()) == 1)
		})
	}
}

func TestOldDeliveriesAreRemoved(t *testing.T) {
	k := onSQLite(t)
	d := k.webhook("https://example.com/", nil)
	open := k.webhook("https://example.com/", nil)
	require.NoError(t, k.store.EndDelivery(t.Context(), d.ID, models.StatusOK, ""))
	k.service.Store = k.later(29 * 24 * time.Hour)
	require.NoError(t, k.service.expire(t.Context()))
	_, err := k.store.DeliveryByID(t.Context(), d.ID)
	require.NoError(t, err)
	k.service.Store = k.later(31 * 24 * time.Hour)
	require.NoError(t, k.service.expire(t.Context()))
	_, err = k.store.DeliveryByID(t.Context(), d.ID)
	require.ErrorIs(t, err, models.ErrNotFound)
	_, err = k.store.DeliveryByID(t.Context(), open.ID)
	require.NoError(t, err, "what has not ended stays")
}
