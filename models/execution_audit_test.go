package models

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/policies"
)

// S24: an execution and its line in the audit log are written together or not at all, on every way that a row takes.
func TestS24AnExecutionIsRecordedWithItsLine(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		line := &AuditEntry{ActorKind: "user", ActorID: "ann", ActorName: "Ann {'\"", Action: "build:trigger", ResourceKind: KindBuild, ResourceID: "b", ResourceName: "web",
			Detail: map[string]any{"note": "a } and a \" in it"}}
		n := NewExecution{Kind: KindBuild, ProjectID: "p", SubjectID: "b", SubjectName: "web", IdempotencyKey: "once", Definition: struct{}{}, Audit: line,
			Commit: &Commit{Revision: "abc", Branch: "main"}}
		lines := func() []AuditEntry {
			list, err := s.ListAudit(ctx, policies.Visible{All: true}, AuditFilter{ProjectID: "p"})
			require.NoError(t, err)
			return list
		}
		e, isNew, err := s.CreateExecution(ctx, n)
		require.NoError(t, err)
		require.True(t, isNew)
		stored, err := s.ExecutionByID(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, &Commit{Revision: "abc", Branch: "main"}, stored.Commit)
		require.Len(t, lines(), 1)
		got := lines()[0]
		require.Equal(t, []any{"user", "ann", "Ann {'\"", "build:trigger", "build", "b", "web", "p", "ok"},
			[]any{got.ActorKind, got.ActorID, got.ActorName, got.Action, got.ResourceKind, got.ResourceID, got.ResourceName, got.ProjectID, got.Result})
		require.Equal(t, map[string]any{"note": "a } and a \" in it", "execution": e.ID, "number": 1.0}, got.Detail)
		require.Equal(t, map[string]any{"note": "a } and a \" in it"}, line.Detail, "the caller's own is not changed")

		_, isNew, err = s.CreateExecution(ctx, n)
		require.NoError(t, err)
		require.False(t, isNew)
		require.Len(t, lines(), 1, "the same trigger twice is one line")

		// With steps, and with something else in the transaction, which fails.
		n.IdempotencyKey, n.Steps = "", []ExecutionStep{{Name: "a", Type: StepBuild, Status: StatusQueued}}
		e, _, err = s.CreateExecution(ctx, n)
		require.NoError(t, err)
		require.Equal(t, 2.0, lines()[0].Detail["number"])
		n.Within = func(tx *Store, made *Execution) error {
			require.Equal(t, int64(3), made.Number)
			return tx.PutSteps(ctx, ExecutionStep{ExecutionID: "of nothing", Status: StatusOK})
		}
		_, _, err = s.CreateExecution(ctx, n)
		require.ErrorIs(t, err, ErrNotFound)
		require.Len(t, lines(), 2)

		// A cancel is a line once.
		for i := range 3 {
			first, err := s.RequestCancel(ctx, e.ID, "ann", &AuditEntry{Action: "build:cancel", ProjectID: "p"})
			require.NoError(t, err)
			require.Equal(t, i == 0, first)
		}
		require.Len(t, lines(), 3)
		_, err = s.FinishExecution(ctx, e.ID, StatusCancelled, "")
		require.NoError(t, err)
		_, err = s.RequestCancel(ctx, e.ID, "ann", &AuditEntry{Action: "build:cancel", ProjectID: "p"})
		require.ErrorIs(t, err, ErrFinal)
		require.Len(t, lines(), 3)
	})
}
