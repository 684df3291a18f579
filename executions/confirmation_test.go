package executions

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"slipway/models"
)

// signals keeps the executions that were signalled.
type signals struct {
	client.Client
	sent []string
}

func (s *signals) SignalWorkflow(_ context.Context, id, _, _ string, _ any) error {
	s.sent = append(s.sent, id)
	return nil
}

// People are reminded again and again, each time once, and a time that is over ends by itself.
func TestReconcileConfirmations(t *testing.T) {
	ctx := t.Context()
	var ahead time.Duration
	store, err := models.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Migrate(ctx))
	e, _, err := store.CreateExecution(ctx, models.NewExecution{Kind: models.KindPipeline, ProjectID: "p", SubjectID: "s", SubjectName: "ship", Definition: models.PipelineDefinition{}})
	require.NoError(t, err)
	remind, expire := store.Now().Add(time.Hour), store.Now().Add(150*time.Minute)
	c, err := store.OpenConfirmation(ctx, models.Confirmation{ID: models.NewID(), ExecutionID: e.ID, CodeHash: "h", RemindSeconds: 3600, RemindAt: &remind, ExpiresAt: &expire})
	require.NoError(t, err)
	temporal := &signals{}
	s := New(store, temporal, NewLocalBus(), nil, nil, nil, slog.New(slog.DiscardHandler), Config{})
	var told []int
	fails := errors.New("no mail server")
	s.SetReminder(func(_ context.Context, id string, number int) error {
		require.Equal(t, c.ID, id)
		told = append(told, number)
		return fails
	})
	round := func() error { return s.reconcileConfirmations(ctx, ReconcileConfig{}.withDefaults()) }
	require.NoError(t, round())
	require.Empty(t, told)
	ahead = 61 * time.Minute
	require.ErrorIs(t, round(), fails)
	fails = nil
	require.NoError(t, round())
	require.NoError(t, round())
	require.Equal(t, []int{1, 1}, told, "the one that failed is repeated under its number, and then no more")
	ahead += time.Hour + time.Minute
	require.NoError(t, round())
	require.Equal(t, []int{1, 1, 2}, told)
	require.Empty(t, temporal.sent)
	ahead += time.Hour
	require.NoError(t, round())
	require.NoError(t, round())
	require.Equal(t, []int{1, 1, 2}, told, "nobody is reminded of what is over")
	require.Equal(t, []string{e.ID}, temporal.sent)
	c, err = store.ConfirmationByID(ctx, c.ID)
	require.NoError(t, err)
	require.Equal(t, models.ConfirmationTimedOut, c.Status)
	require.NotNil(t, c.SignalledAt)
	_, err = store.VoteConfirmation(ctx, c.ID, true, "user", "u", "ann")
	require.ErrorIs(t, err, models.ErrConflict)
}

func TestRemindersEnd(t *testing.T) {
	store, err := models.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Migrate(t.Context()))
	past := store.Now().Add(-time.Hour)
	c, err := store.OpenConfirmation(t.Context(), models.Confirmation{ID: models.NewID(), ExecutionID: "e", CodeHash: "h", RemindSeconds: 60, RemindAt: &past, Reminders: models.MaxReminders - 1})
	require.NoError(t, err)
	require.NoError(t, store.ConfirmationReminded(t.Context(), c))
	c, err = store.ConfirmationByID(t.Context(), c.ID)
	require.NoError(t, err)
	require.Nil(t, c.RemindAt)
	require.Equal(t, models.MaxReminders, c.Reminders)
}
