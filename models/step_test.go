package models

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A step that did not run is not shown like the one that failed before it.
func TestStepsThatDidNotRun(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		for to, want := range map[Status][]any{
			StatusFailed:    {StatusFailed, "boom", StatusFailed, "", StatusAbandoned, ReasonNotRun},
			StatusCancelled: {StatusFailed, "boom", StatusCancelled, "", StatusCancelled, ""},
		} {
			steps := []ExecutionStep{{Name: "a", Type: StepBuild, Status: StatusQueued}, {Name: "b", Step: 1, Type: StepConfirmation, Status: StatusQueued},
				{Name: "c", Phase: 1, Type: StepDeploy, Status: StatusQueued}}
			e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindPipeline, ProjectID: "p", SubjectID: "x", SubjectName: "x", Definition: struct{}{}, Steps: steps})
			require.NoError(t, err)
			now := s.Now()
			require.NoError(t, s.PutSteps(ctx, ExecutionStep{ExecutionID: e.ID, Status: StatusFailed, Reason: "boom", StartedAt: &now, FinishedAt: &now},
				ExecutionStep{ExecutionID: e.ID, Step: 1, Status: StatusWaiting, StartedAt: &now}))
			_, err = s.FinishExecution(ctx, e.ID, to, "step a: boom")
			require.NoError(t, err)
			list, err := s.StepsOf(ctx, e.ID)
			require.NoError(t, err)
			var got []any
			for _, st := range list {
				require.NotNil(t, st.FinishedAt)
				got = append(got, st.Status, st.Reason)
			}
			require.Equal(t, want, got, to)
		}
	})
}
