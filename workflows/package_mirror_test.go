package workflows_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"slipway/workflows"
)

type mirrorFunc func(env *testsuite.TestWorkflowEnvironment) (workflows.PackageMirrorResult, error)

// runMirror runs the workflow with an activity.
func runMirror(t *testing.T, mirror mirrorFunc) (workflows.PackageMirrorResult, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivityWithOptions(func(context.Context, workflows.PackageMirrorInput) (workflows.PackageMirrorResult, error) {
		return mirror(env)
	}, activity.RegisterOptions{Name: workflows.ActivityMirrorPackage})
	env.ExecuteWorkflow(workflows.PackageMirror, workflows.PackageMirrorInput{PackageID: 7})
	require.True(t, env.IsWorkflowCompleted())
	var result workflows.PackageMirrorResult
	if err := env.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, env.GetWorkflowResult(&result)
}

func TestPackageMirrorBeginsAgainOnceForAllThatCameMeanwhile(t *testing.T) {
	rounds := int64(0)
	result, err := runMirror(t, func(env *testsuite.TestWorkflowEnvironment) (workflows.PackageMirrorResult, error) {
		if rounds++; rounds == 1 {
			for range 3 {
				env.SignalWorkflow(workflows.SignalMirror, nil)
			}
		}
		return workflows.PackageMirrorResult{Mirrored: rounds}, nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, rounds)
	require.EqualValues(t, 2, result.Mirrored)
}

func TestPackageMirrorTriesAgainWhatMayPass(t *testing.T) {
	tries := 0
	_, err := runMirror(t, func(*testsuite.TestWorkflowEnvironment) (workflows.PackageMirrorResult, error) {
		if tries++; tries < 3 {
			return workflows.PackageMirrorResult{}, errors.New("the database is away")
		}
		return workflows.PackageMirrorResult{}, nil
	})
	require.NoError(t, err)
	require.Equal(t, 3, tries)

	tries = 0
	_, err = runMirror(t, func(*testsuite.TestWorkflowEnvironment) (workflows.PackageMirrorResult, error) {
		tries++
		return workflows.PackageMirrorResult{}, temporal.NewNonRetryableApplicationError("there is no such repository", "Source", nil)
	})
	require.ErrorContains(t, err, "there is no such repository")
	require.Equal(t, 1, tries)
}

func TestPackageMirrorStartsOverBeforeItsHistoryIsLong(t *testing.T) {
	rounds := 0
	_, err := runMirror(t, func(env *testsuite.TestWorkflowEnvironment) (workflows.PackageMirrorResult, error) {
		rounds++
		// A webhook that never rests.
		env.SignalWorkflow(workflows.SignalMirror, nil)
		return workflows.PackageMirrorResult{}, nil
	})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &again)
	require.Equal(t, workflows.PackageMirrorWorkflow, again.WorkflowType.Name)
	require.Equal(t, 100, rounds)
}

func TestPackageMirrorScheduleOnlyAsks(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	var asked []int64
	env.RegisterActivityWithOptions(func(_ context.Context, in workflows.PackageMirrorInput) error {
		if asked = append(asked, in.PackageID); len(asked) == 1 {
			return errors.New("the server is away")
		}
		return nil
	}, activity.RegisterOptions{Name: workflows.ActivityStartPackageMirror})
	env.ExecuteWorkflow(workflows.PackageMirrorSchedule, workflows.PackageMirrorInput{PackageID: 7})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []int64{7, 7}, asked)
}
