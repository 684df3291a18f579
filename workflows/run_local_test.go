package workflows

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"slipway/models"
)

var endedWell = Outcome{Status: models.StatusOK, Ended: true}

// localBuild runs a build that begins in the worker with its task, and counts what it did.
func localBuild(t *testing.T, begin func(context.Context, Input) (Outcome, error), follow func(context.Context, FollowInput) (Outcome, error),
	run func(context.Context, Input) (Outcome, error)) (f *fake, out Outcome, calls []string) {
	t.Helper()
	counted := func(name string, g func(context.Context, Input) (Outcome, error)) func(context.Context, Input) (Outcome, error) {
		return func(ctx context.Context, in Input) (Outcome, error) {
			calls = append(calls, name)
			return g(ctx, in)
		}
	}
	f = &fake{begin: counted("begin", begin), run: counted("run", run), follow: func(ctx context.Context, in FollowInput) (Outcome, error) {
		calls = append(calls, "follow")
		return follow(ctx, in)
	}}
	env := newEnv(t, f)
	env.ExecuteWorkflow(LocalBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: QueueBuilds})
	return f, outcome(t, env), calls
}

func unfollowed(context.Context, FollowInput) (Outcome, error) {
	return Outcome{}, errors.New("not expected")
}

func followed(out Outcome, err error) func(context.Context, FollowInput) (Outcome, error) {
	return func(context.Context, FollowInput) (Outcome, error) { return out, err }
}

func never(context.Context, Input) (Outcome, error) { return Outcome{}, errors.New("not expected") }

func gives(out Outcome, err error) func(context.Context, Input) (Outcome, error) {
	return func(context.Context, Input) (Outcome, error) { return out, err }
}

// A short build is one local activity, and nothing else.
func TestAShortBuildIsOneLocalActivity(t *testing.T) {
	f, out, calls := localBuild(t, gives(endedWell, nil), unfollowed, never)
	require.Equal(t, Outcome{Status: models.StatusOK}, out)
	require.Equal(t, []string{"begin"}, calls)
	require.Empty(t, f.finished)
	require.Zero(t, f.claims)
}

// A longer one goes on where it began.
func TestALongBuildIsFollowedWhereItBegan(t *testing.T) {
	_, out, calls := localBuild(t, gives(Outcome{Host: "builds@one"}, nil), followed(endedWell, nil), never)
	require.Equal(t, Outcome{Status: models.StatusOK}, out)
	require.Equal(t, []string{"begin", "follow"}, calls)
}

// R1: where the worker has no room, or is lost, any worker runs it.
func TestR1ABuildWhoseWorkerIsLostIsAnyWorkers(t *testing.T) {
	busy := temporal.NewNonRetryableApplicationError("no room", "Busy", nil)
	_, out, calls := localBuild(t, gives(Outcome{}, busy), unfollowed, gives(endedWell, nil))
	require.Equal(t, Outcome{Status: models.StatusOK}, out)
	require.Equal(t, []string{"begin", "run"}, calls)
	_, out, calls = localBuild(t, gives(Outcome{Host: "builds@one"}, nil), followed(Outcome{}, errors.New("lost")), gives(endedWell, nil))
	require.Equal(t, Outcome{Status: models.StatusOK}, out)
	require.Equal(t, []string{"begin", "follow", "run"}, calls, "neither of the first two is repeated")
}

// A build that was followed for as long as it may run is over, and not begun again.
func TestABuildThatIsFollowedForTooLong(t *testing.T) {
	timeout := temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil)
	f, out, calls := localBuild(t, gives(Outcome{Host: "builds@one"}, nil), followed(Outcome{}, timeout), never)
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "it ran longer than its time limit"}, out)
	require.Equal(t, []string{"begin", "follow"}, calls)
	require.Equal(t, []Outcome{out}, f.finished)
	// The one that begins it has a limit of its own, which says nothing about the build.
	_, out, calls = localBuild(t, gives(Outcome{}, timeout), unfollowed, gives(endedWell, nil))
	require.Equal(t, Outcome{Status: models.StatusOK}, out)
	require.Equal(t, []string{"begin", "run"}, calls)
	// Neither do the heartbeats of a worker that was lost.
	lost := temporal.NewHeartbeatTimeoutError(nil)
	_, _, calls = localBuild(t, gives(Outcome{Host: "builds@one"}, nil), followed(Outcome{}, lost), gives(endedWell, nil))
	require.Equal(t, []string{"begin", "follow", "run"}, calls)
}

// What could not be claimed takes the long way, and what was cancelled is ended by the workflow.
func TestALocalBuildThatDidNotEndItsRow(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true}, begin: gives(Outcome{Unclaimed: true}, nil), run: ok}
	env := newEnv(t, f)
	env.ExecuteWorkflow(LocalBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: QueueBuilds})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, 1, f.claims)
	require.Len(t, f.finished, 1)

	cancelled := Outcome{Status: models.StatusCancelled, Reason: "cancelled by ann"}
	f, out, _ := localBuild(t, gives(cancelled, nil), unfollowed, never)
	require.Equal(t, cancelled, out)
	require.Equal(t, []Outcome{cancelled}, f.finished)
}

// R10: a build that was cancelled while it began is followed all the same: its scripts have to end before it shows as ended.
func TestR10ABuildThatIsCancelledWhileItBeginsIsFollowed(t *testing.T) {
	cancelled := Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	var env *testsuite.TestWorkflowEnvironment
	var got FollowInput
	f := &fake{run: never, begin: func(context.Context, Input) (Outcome, error) {
		env.CancelWorkflow()
		return Outcome{Host: "builds@one"}, nil
	}, follow: func(_ context.Context, in FollowInput) (Outcome, error) {
		got = in
		return cancelled, nil
	}}
	env = newEnv(t, f)
	env.ExecuteWorkflow(LocalBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: QueueBuilds})
	require.Equal(t, cancelled, outcome(t, env))
	require.Equal(t, FollowInput{ExecutionID: "e", Cancelled: true}, got)
}

// R10: the same where the cancellation came before the activity that follows had begun, which then never does.
func TestR10ABuildWhoseFollowerNeverBeganIsFollowedAgain(t *testing.T) {
	cancelled := Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	var env *testsuite.TestWorkflowEnvironment
	var got []FollowInput
	f := &fake{run: never, begin: gives(Outcome{Host: "builds@one"}, nil), follow: func(_ context.Context, in FollowInput) (Outcome, error) {
		if got = append(got, in); len(got) == 1 {
			env.CancelWorkflow()
			return Outcome{}, temporal.NewCanceledError()
		}
		return cancelled, nil
	}}
	env = newEnv(t, f)
	env.ExecuteWorkflow(LocalBuildWorkflow, Input{ExecutionID: "e", ScriptQueue: QueueBuilds})
	require.Equal(t, cancelled, outcome(t, env))
	require.Equal(t, []FollowInput{{ExecutionID: "e"}, {ExecutionID: "e", Cancelled: true}}, got)
}
