package models

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// However many steps a pipeline has, what they made is one question; what they have not begun, or do not wait for, is not
// theirs.
func TestWhatStepsMadeIsAskedAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		h := newShop(t, s)
		child := h.triggered(KindBuild)
		require.NoError(t, s.SetResult(ctx, child.ID, Result{Releases: []ReleaseResult{{Release: "shop/web-v1"}}}))
		h.end(child)
		var steps []ExecutionStep
		for i := range 60 {
			steps = append(steps, ExecutionStep{Phase: i / 20, Step: i % 20, Type: StepBuild, Status: StatusOK, ChildID: child.ID})
		}
		steps[3].Type, steps[4].Type, steps[5].ChildID = StepSmoke, StepDeploy, ""
		steps[6].Type, steps[6].Detached = StepPipeline, true
		e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindPipeline, ProjectID: h.project.ID, SubjectID: h.pipeline.ID, SubjectName: "ship", Definition: h.pipeline.Definition(), Steps: steps})
		require.NoError(t, err)
		other, err := h.trigger(KindPipeline, nil)
		require.NoError(t, err)
		counted := countStatements(t, s)
		made, err := s.MadeBySteps(ctx, []string{e.ID, other.ID})
		require.NoError(t, err)
		require.Equal(t, 1, counted())
		require.Len(t, made, 1)
		require.Len(t, made[e.ID], 57)
		require.Equal(t, StepDeploy, made[e.ID][3].Type, "in their order")
		x := Execution{Result: made[e.ID][0].Result}
		require.Equal(t, []any{StatusOK, child.ID, "shop/web-v1"}, []any{made[e.ID][0].Status, made[e.ID][0].ChildID, x.ResultOf().Releases[0].Release})
	})
}
