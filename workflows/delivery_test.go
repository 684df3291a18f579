package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"slipway/models"
	"slipway/workflows"
)

// runDelivery runs the workflow with scripted activities; end may be nil where it must not be asked.
func runDelivery(t *testing.T, deliver func(attempt int) (workflows.Outcome, error), end func(workflows.Outcome) (workflows.Outcome, error),
	during func(*testsuite.TestWorkflowEnvironment)) workflows.Outcome {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	attempts := 0
	env.RegisterActivityWithOptions(func(_ context.Context, in workflows.DeliveryInput) (workflows.Outcome, error) {
		require.Equal(t, "d-1", in.DeliveryID)
		attempts++
		return deliver(attempts)
	}, activity.RegisterOptions{Name: workflows.ActivityDeliver})
	env.RegisterActivityWithOptions(func(_ context.Context, in workflows.DeliveryInput, out workflows.Outcome) (workflows.Outcome, error) {
		require.Equal(t, "d-1", in.DeliveryID)
		require.NotNil(t, end, "the activity ended it itself")
		return end(out)
	}, activity.RegisterOptions{Name: workflows.ActivityEndDelivery})
	if during != nil {
		during(env)
	}
	env.ExecuteWorkflow(workflows.Delivery, workflows.DeliveryInput{DeliveryID: "d-1"})
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out workflows.Outcome
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

func TestDeliveryIsTriedUntilItArrives(t *testing.T) {
	tries := 0
	out := runDelivery(t, func(attempt int) (workflows.Outcome, error) {
		tries = attempt
		switch {
		case attempt < 4:
			return workflows.Outcome{}, temporal.NewApplicationErrorWithOptions("it answered 503", "Undelivered", temporal.ApplicationErrorOptions{NextRetryDelay: time.Hour})
		case attempt < 6:
			return workflows.Outcome{}, errors.New("the database is away")
		}
		return workflows.Outcome{Status: models.StatusOK}, nil
	}, nil, nil)
	require.Equal(t, workflows.Outcome{Status: models.StatusOK}, out)
	require.Equal(t, 6, tries)
}

func TestDeliveryThatIsRefusedEndsAtOnce(t *testing.T) {
	out := runDelivery(t, func(attempt int) (workflows.Outcome, error) {
		require.Equal(t, 1, attempt)
		return workflows.Outcome{Status: models.StatusFailed, Reason: "it answered 410"}, nil
	}, nil, nil)
	require.Equal(t, "it answered 410", out.Reason)
}

func TestDeliveryCanBeCancelledBetweenAttempts(t *testing.T) {
	waits := func(int) (workflows.Outcome, error) {
		return workflows.Outcome{}, temporal.NewApplicationErrorWithOptions("it answered 503", "Undelivered", temporal.ApplicationErrorOptions{NextRetryDelay: time.Hour})
	}
	cancel := func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	}
	var told workflows.Outcome
	out := runDelivery(t, waits, func(o workflows.Outcome) (workflows.Outcome, error) { told = o; return o, nil }, cancel)
	require.Equal(t, workflows.Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, out)
	require.Equal(t, out, told)
	// It arrived all the same: that is how it ended.
	arrived := workflows.Outcome{Status: models.StatusOK}
	out = runDelivery(t, waits, func(workflows.Outcome) (workflows.Outcome, error) { return arrived, nil }, cancel)
	require.Equal(t, arrived, out)
}

func TestDeliveryOfAFaultIsEnded(t *testing.T) {
	out := runDelivery(t, func(int) (workflows.Outcome, error) {
		return workflows.Outcome{}, temporal.NewNonRetryableApplicationError("the key is wrong", "Key", nil)
	}, func(o workflows.Outcome) (workflows.Outcome, error) { return o, nil }, nil)
	require.Equal(t, workflows.Outcome{Status: models.StatusFailed, Reason: "the key is wrong"}, out)
}
