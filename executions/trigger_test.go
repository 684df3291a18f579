package executions

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"slipway/internal/problem"
	"slipway/models"
)

// starts stands for a Temporal that answers starts as the test says.
type starts struct {
	client.Client
	start  func(ctx context.Context) error
	health error
}

func (s *starts) ExecuteWorkflow(ctx context.Context, _ client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	return nil, s.start(ctx)
}

func (s *starts) CheckHealth(context.Context, *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	return &client.CheckHealthResponse{}, s.health
}

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// R3, R5: a Temporal that is away costs the trigger, one that is only slow does not: what is recorded then starts when it
// can.
func TestR3TriggersWhileTemporalIsAwayOrSlow(t *testing.T) {
	away := errors.New("away")
	for _, c := range []struct {
		name   string
		start  func(ctx context.Context) error
		health error
		want   models.Status
	}{
		{"it refuses connections", func(context.Context) error { return serviceerror.NewUnavailable("connection refused") }, nil, models.StatusAbandoned},
		{"it does not answer at all", hangs, away, models.StatusAbandoned},
		{"it is slow", hangs, nil, models.StatusNew},
		{"it has too much to do", func(context.Context) error { return &serviceerror.ResourceExhausted{Message: "later"} }, nil, models.StatusNew},
		{"it says no", func(context.Context) error { return serviceerror.NewInvalidArgument("no") }, nil, models.StatusAbandoned},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := models.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
			require.NoError(t, err)
			defer store.Close()
			require.NoError(t, store.Migrate(t.Context()))
			s := New(store, &starts{start: c.start, health: c.health}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{StartTimeout: 20 * time.Millisecond})
			e, err := s.Trigger(t.Context(), TriggerRequest{Kind: models.KindBuild, ProjectID: "p", SubjectID: "b", SubjectName: "b", Definition: models.BuildDefinition{}})
			if c.want == models.StatusNew {
				require.NoError(t, err)
			} else {
				require.Nil(t, e)
				var p *problem.Error
				require.ErrorAs(t, err, &p)
				require.Equal(t, problem.Unavailable, p.Kind)
				require.Positive(t, p.RetryAfter)
			}
			list, err := store.ListExecutions(t.Context(), models.ExecutionFilter{})
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, c.want, list[0].Status)
		})
	}
}

// A caller that has left was told nothing: nothing may start behind its back.
func TestR3TriggerOfACallerThatLeft(t *testing.T) {
	store, err := models.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Migrate(t.Context()))
	ctx, leave := context.WithCancel(t.Context())
	s := New(store, &starts{start: func(ctx context.Context) error { leave(); return hangs(ctx) }}, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{})
	_, err = s.Trigger(ctx, TriggerRequest{Kind: models.KindBuild, ProjectID: "p", SubjectID: "b", SubjectName: "b", Definition: models.BuildDefinition{}})
	require.Error(t, err)
	list, err := store.ListExecutions(t.Context(), models.ExecutionFilter{})
	require.NoError(t, err)
	require.Equal(t, models.StatusAbandoned, list[0].Status)
}
