package models

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/policies"
)

// askingExecution is an execution of a pipeline whose one step is a confirmation that waits.
func askingExecution(t *testing.T, s *Store) (*Execution, *Confirmation) {
	t.Helper()
	ctx := t.Context()
	e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindPipeline, ProjectID: "p", SubjectID: "s", SubjectName: "ship",
		Definition: PipelineDefinition{Phases: []PipelinePhase{{Steps: []PipelineStep{{Type: StepConfirmation}}}}}})
	require.NoError(t, err)
	require.NoError(t, s.writer(ctx).Where("execution_id = ?", e.ID).Delete(&ExecutionStep{}).Error)
	require.NoError(t, s.writer(ctx).Create(&ExecutionStep{ExecutionID: e.ID, Name: "go", Type: StepConfirmation, Status: StatusWaiting}).Error)
	c, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, CodeHash: HashCode("code")})
	require.NoError(t, err)
	return e, c
}

// R10: who comes after the cancellation decides nothing any more.
func TestR10NobodyDecidesWhatIsCancelled(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, clock *clock) {
		ctx := t.Context()
		e, c := askingExecution(t, s)
		clock.move(time.Second)
		require.NoError(t, s.writer(ctx).Model(c).Update("remind_at", s.Now()).Error)
		waits, _, err := s.PendingConfirmations(ctx, PendingFilter{Visible: policies.Visible{All: true}, Limit: 10})
		require.NoError(t, err)
		require.Len(t, waits, 1)
		_, err = s.RequestCancel(ctx, e.ID, "ann", nil)
		require.NoError(t, err)
		for _, approve := range []bool{true, false} {
			_, err = s.VoteConfirmation(ctx, c.ID, approve, "user", "u", "bob")
			require.ErrorIs(t, err, ErrCancelling)
		}
		votes, err := s.VotesOf(ctx, c.ID)
		require.NoError(t, err)
		require.Empty(t, votes)
		c, err = s.ConfirmationByID(ctx, c.ID)
		require.NoError(t, err)
		require.Equal(t, ConfirmationPending, c.Status)

		// Nobody is shown it, or reminded of it, any more, although its step has not ended yet.
		mine, _, err := s.PendingConfirmations(ctx, PendingFilter{Visible: policies.Visible{All: true}, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, mine)
		due, err := s.ConfirmationsToRemind(ctx, 10)
		require.NoError(t, err)
		require.Empty(t, due)

		// A confirmation of a phase that cleans up is asked for after the cancellation, and decided as any other.
		clock.move(time.Second)
		later, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Phase: 1, CodeHash: HashCode("later")})
		require.NoError(t, err)
		later, err = s.VoteConfirmation(ctx, later.ID, true, "user", "u", "bob")
		require.NoError(t, err)
		require.Equal(t, ConfirmationApproved, later.Status)
	})
}

// R10: the end of a step ends what it waited for, also where other phases go on and clean up.
func TestR10AConfirmationEndsWithItsStep(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		e, c := askingExecution(t, s)
		decided, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Step: 1, CodeHash: HashCode("other")})
		require.NoError(t, err)
		require.NoError(t, s.PutSteps(ctx, ExecutionStep{ExecutionID: e.ID, Status: StatusWaiting}))
		_, err = s.VoteConfirmation(ctx, decided.ID, true, "user", "u", "bob")
		require.NoError(t, err)
		now := s.Now()
		require.NoError(t, s.writer(ctx).Create(&ExecutionStep{ExecutionID: e.ID, Step: 1, Name: "other", Type: StepConfirmation, Status: StatusWaiting}).Error)
		require.NoError(t, s.PutSteps(ctx, ExecutionStep{ExecutionID: e.ID, Status: StatusCancelled, Reason: "cancelled", FinishedAt: &now},
			ExecutionStep{ExecutionID: e.ID, Step: 1, Status: StatusOK, FinishedAt: &now}))
		list, err := s.ConfirmationsOf(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, []string{ConfirmationEnded, ConfirmationApproved}, []string{list[0].Status, list[1].Status})
		require.NotNil(t, list[0].SignalledAt, "its workflow knows")
		_, err = s.VoteConfirmation(ctx, c.ID, true, "user", "u", "bob")
		require.ErrorIs(t, err, ErrConflict)
	})
}
