package workflows

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"slipway/models"
)

// Where nothing has to be decided first, the activity claims and ends the row: the workflow does nothing else.
func TestADirectBuildIsOneActivity(t *testing.T) {
	var got Input
	f := &fake{run: func(_ context.Context, in Input) (Outcome, error) {
		got = in
		return Outcome{Status: models.StatusOK, Ended: true}, nil
	}}
	env := newEnv(t, f)
	env.ExecuteWorkflow(DirectBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: "builds"})
	require.Equal(t, Outcome{Status: models.StatusOK}, outcome(t, env), "the result says nothing of how it was recorded")
	require.Zero(t, f.claims)
	require.Empty(t, f.finished)
	require.Equal(t, "builds", got.ScriptQueue)
}

// An execution that turned out to wait for something is claimed by the workflow after all.
func TestADirectBuildThatCouldNotBeClaimedTakesTheLongWay(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Waiting: true}}
	f.run = func(_ context.Context, in Input) (Outcome, error) {
		if in.ScriptQueue != "" {
			return Outcome{Unclaimed: true}, nil
		}
		return Outcome{Status: models.StatusFailed, Reason: "it broke", Ended: true}, nil
	}
	env := newEnv(t, f)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalLock, nil) }, 1)
	env.ExecuteWorkflow(DirectBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: "builds"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "it broke"}, outcome(t, env))
	require.Equal(t, 1, f.claims)
	require.Equal(t, 1, f.seen)
	require.Empty(t, f.finished)
}

// What the activity could not end, because it was lost or cancelled, the workflow ends.
func TestADirectBuildThatIsLostIsEndedByTheWorkflow(t *testing.T) {
	for name, err := range map[string]error{"a fault": temporal.NewNonRetryableApplicationError("no", "Fault", errors.New("no")), "cancelled": temporal.NewCanceledError()} {
		t.Run(name, func(t *testing.T) {
			f := &fake{run: func(context.Context, Input) (Outcome, error) { return Outcome{}, err }}
			env := newEnv(t, f)
			env.ExecuteWorkflow(DirectBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: "builds"})
			require.True(t, outcome(t, env).Status.Final())
			require.Len(t, f.finished, 1)
			require.Zero(t, f.claims)
		})
	}
}
