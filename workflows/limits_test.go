package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// admits answers the question for the execution's place with one result after the other.
func admits(env *testsuite.TestWorkflowEnvironment, results ...AdmitResult) (asked *int) {
	asked = new(int)
	env.RegisterActivityWithOptions(func(context.Context, Input, string) (AdmitResult, error) {
		*asked++
		return results[min(*asked, len(results))-1], nil
	}, activity.RegisterOptions{Name: ActivityAdmit})
	return asked
}

// R7: what waits for its turn begins when the database says so, not at every signal.
func TestR7ExecutionsWaitForTheirTurn(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Queued: true, Limited: true}, run: ok}
	env := newEnv(t, f)
	asked := admits(env, AdmitResult{Queued: true}, AdmitResult{})
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalLock, nil) }, time.Hour)
	env.RegisterDelayedCallback(func() {
		require.Equal(t, 1, *asked)
		require.False(t, env.IsWorkflowCompleted())
		env.SignalWorkflow(SignalLock, nil)
	}, 2*time.Hour)
	env.ExecuteWorkflow(Build, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, 2, *asked)
}

// A signal of its turn that is late must not be taken for that of the deployment.
func TestR7ALateSignalOfTheTurnIsNoLock(t *testing.T) {
	ran := time.Time{}
	f := &fake{claim: ClaimResult{Claimed: true, Queued: true, Limited: true}}
	env := newEnv(t, f)
	f.run = func(context.Context, Input) (Outcome, error) {
		ran = env.Now()
		return Outcome{Status: models.StatusOK}, nil
	}
	began := env.Now()
	admits(env, AdmitResult{Waiting: true})
	f.waits = true
	env.RegisterDelayedCallback(func() {
		for range 3 { // told more than once
			env.SignalWorkflow(SignalLock, nil)
		}
	}, time.Hour)
	env.RegisterDelayedCallback(func() {
		f.waits = false
		env.SignalWorkflow(SignalLock, nil)
	}, 5*time.Hour)
	env.ExecuteWorkflow(Build, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.GreaterOrEqual(t, ran.Sub(began), 5*time.Hour)
	require.Equal(t, 1, f.seen)
}

func TestR10CancelWhileWaitingForItsTurn(t *testing.T) {
	for name, wf := range map[string]any{"build": Build, "pipeline": Pipeline} {
		t.Run(name, func(t *testing.T) {
			f := &fake{claim: ClaimResult{Claimed: true, Queued: true, Limited: true, Phases: 1}, run: func(context.Context, Input) (Outcome, error) {
				t.Error("the scripts ran")
				return Outcome{}, nil
			}}
			env := newEnv(t, f)
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
			env.ExecuteWorkflow(wf, Input{ExecutionID: "e"})
			require.Equal(t, Outcome{Status: models.StatusCancelled, Reason: "cancelled while it waited for its turn"}, outcome(t, env))
			require.Len(t, f.finished, 1)
		})
	}
}

func TestWhatEndedWhileItWaitedForItsTurn(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Queued: true, Limited: true}, run: ok}
	env := newEnv(t, f)
	admits(env, AdmitResult{Ended: &Outcome{Status: models.StatusFailed, Reason: "its workflow was terminated"}})
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalLock, nil) }, time.Hour)
	env.ExecuteWorkflow(Build, Input{ExecutionID: "e"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "its workflow was terminated"}, outcome(t, env))
}

// An activity that takes longer is cancelled, once; the time spent waiting does not count. That its end is waited for,
// package e2e shows: the test environment does not.
func TestTimeLimits(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Waiting: true, TimeLimit: 50 * time.Millisecond}} // while an activity runs, time is not skipped
	env := newEnv(t, f)
	tries := 0
	f.run = func(ctx context.Context, _ Input) (Outcome, error) {
		tries++
		untilCancelled(ctx)
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, nil
	}
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalLock, nil) }, time.Hour)
	env.ExecuteWorkflow(Build, Input{ExecutionID: "e"})
	want := Outcome{Status: models.StatusFailed, Reason: "longer than its time limit of 50ms"}
	require.Equal(t, want, outcome(t, env))
	require.Equal(t, []Outcome{want}, f.finished)
	require.Equal(t, 1, tries)
}

// untilCancelled is an activity's wait for its cancellation, which heartbeats bring.
func untilCancelled(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		activity.RecordHeartbeat(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Whoever cancels before the time has passed is the reason.
func TestCancelBeforeTheTimeLimit(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, TimeLimit: time.Hour}, run: func(ctx context.Context, _ Input) (Outcome, error) {
		untilCancelled(ctx)
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, nil
	}}
	env := newEnv(t, f)
	env.RegisterDelayedCallback(env.CancelWorkflow, 10*time.Millisecond)
	env.ExecuteWorkflow(Build, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusCancelled, outcome(t, env).Status)
}

// A pipeline that takes too long ends as failed, with all that runs below it, and cleans up.
func TestTimeLimitOfAPipeline(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Phases: 3, CleanUp: []int{2}, TimeLimit: time.Hour}, phases: [][]StepRun{
		{{Step: 0, Name: "ask", Type: models.StepConfirmation, ConfirmationID: "k"}, {Step: 1, Name: "child", ChildID: "c", Workflow: "slow", TaskQueue: "q"}},
		{{Name: "never", Outcome: &Outcome{Status: models.StatusOK}}},
		{{Name: "clean", Outcome: &Outcome{Status: models.StatusOK}}},
	}}
	env := newEnv(t, f)
	slow(env)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "longer than its time limit of 1h"}, outcome(t, env))
	require.Equal(t, []int{0, 2}, f.begun)
}

// slow registers a child that runs until it is cancelled.
func slow(env *testsuite.TestWorkflowEnvironment) {
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context, _ Input) (Outcome, error) {
		_ = workflow.Sleep(ctx, 1000*time.Hour)
		return Outcome{Status: models.StatusCancelled, Reason: "cancelled"}, nil
	}, workflow.RegisterOptions{Name: "slow"})
}

// cleaning is a pipeline with a phase that may fail and two that clean up, one of them in the middle.
func cleaning(first StepRun, clean ...StepRun) *fake {
	done := &Outcome{Status: models.StatusOK}
	return &fake{claim: ClaimResult{Claimed: true, Phases: 5, CleanUp: []int{2, 4}}, run: ok, phases: [][]StepRun{
		{first}, {{Name: "second", Outcome: done}}, clean, {{Name: "fourth", Outcome: done}}, {{Name: "last", Outcome: done}},
	}}
}

func TestCleanUpRunsAfterAFailure(t *testing.T) {
	failed := &Outcome{Status: models.StatusFailed, Reason: "boom"}
	for name, c := range map[string]struct {
		first, clean *Outcome
		want         Outcome
		begun        []int
	}{
		"nothing failed":            {&Outcome{Status: models.StatusOK}, &Outcome{Status: models.StatusOK}, Outcome{Status: models.StatusOK}, []int{0, 1, 2, 3, 4}},
		"a phase failed":            {failed, &Outcome{Status: models.StatusOK}, Outcome{Status: models.StatusFailed, Reason: "step first: boom"}, []int{0, 2, 4}},
		"the clean-up fails too":    {failed, &Outcome{Status: models.StatusFailed, Reason: "worse"}, Outcome{Status: models.StatusFailed, Reason: "step first: boom"}, []int{0, 2, 4}},
		"only the clean-up fails":   {&Outcome{Status: models.StatusOK}, &Outcome{Status: models.StatusFailed, Reason: "worse"}, Outcome{Status: models.StatusFailed, Reason: "step clean: worse"}, []int{0, 1, 2, 4}},
		"there was nothing to skip": {&Outcome{Status: models.StatusSkipped}, &Outcome{Status: models.StatusSkipped}, Outcome{Status: models.StatusOK}, []int{0, 1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			f := cleaning(StepRun{Name: "first", Outcome: c.first}, StepRun{Name: "clean", Outcome: c.clean})
			env := newEnv(t, f)
			env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
			require.Equal(t, c.want, outcome(t, env))
			require.Equal(t, c.begun, f.begun)
		})
	}
}

// R10: after a cancellation the clean-up runs on, whatever the workflow is told again by the reconciler; a second
// cancellation by a person ends it.
func TestR10CleanUpAfterACancellation(t *testing.T) {
	waits := StepRun{Name: "first", Type: models.StepConfirmation, ConfirmationID: "k"}
	for name, c := range map[string]struct {
		stop  []time.Duration // when somebody cancels again; the first cancellation comes after an hour
		begun []int
		clean models.Status
	}{
		"it runs to its end":                {nil, []int{0, 2, 4}, models.StatusOK},
		"a second one ends it":              {[]time.Duration{2 * time.Hour}, []int{0, 2}, models.StatusCancelled},
		"an impatient one does not count":   {[]time.Duration{59 * time.Minute}, []int{0, 2, 4}, models.StatusOK},
		"but one while it runs still does":  {[]time.Duration{59 * time.Minute, 2 * time.Hour}, []int{0, 2}, models.StatusCancelled},
		"and the third one changes nothing": {[]time.Duration{2 * time.Hour, 2*time.Hour + time.Minute}, []int{0, 2}, models.StatusCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			f := cleaning(waits, StepRun{Name: "clean", ChildID: "c", Workflow: "cleaner", TaskQueue: "q"})
			env := newEnv(t, f)
			var ended models.Status
			env.RegisterWorkflowWithOptions(func(ctx workflow.Context, _ Input) (Outcome, error) {
				ended = models.StatusOK
				if err := workflow.Sleep(ctx, 5*time.Hour); err != nil {
					ended = models.StatusCancelled
				}
				return Outcome{Status: ended}, nil
			}, workflow.RegisterOptions{Name: "cleaner"})
			for _, at := range c.stop {
				env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalStop, nil) }, at)
			}
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
			env.RegisterDelayedCallback(env.CancelWorkflow, 90*time.Minute) // the reconciler repeats it
			env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
			require.Equal(t, models.StatusCancelled, outcome(t, env).Status)
			require.Equal(t, c.begun, f.begun)
			require.Equal(t, c.clean, ended)
		})
	}
}

// A clean-up that runs after a failure is ended by the first cancellation, and the failure stays the reason.
func TestR10CancelOfACleanUpAfterAFailure(t *testing.T) {
	f := cleaning(StepRun{Name: "first", Outcome: &Outcome{Status: models.StatusFailed, Reason: "boom"}}, StepRun{Name: "clean", ChildID: "c", Workflow: "slow", TaskQueue: "q"})
	env := newEnv(t, f)
	slow(env)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "step first: boom"}, outcome(t, env))
	require.Equal(t, []int{0, 2}, f.begun)
}

// A pipeline that continues as new in its clean-up still knows what failed, and is not stopped by the cancellation that
// is told again.
func TestCleanUpContinuesAsNew(t *testing.T) {
	for _, failed := range []Outcome{{Status: models.StatusFailed, Reason: "boom"}, {Status: models.StatusCancelled, Reason: "cancelled"}} {
		f := cleaning(StepRun{Name: "first", Outcome: &failed}, StepRun{Name: "clean", Outcome: &Outcome{Status: models.StatusOK}})
		f.claim.TimeLimit = time.Nanosecond
		env := newEnv(t, f)
		if failed.Status == models.StatusCancelled {
			env.RegisterDelayedCallback(env.CancelWorkflow, 0)
		}
		env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e", Phase: 2, Failed: &failed})
		require.Equal(t, failed, outcome(t, env))
		require.Equal(t, []int{2, 4}, f.begun)
	}
}

func TestAPipelineContinuesAsNewInItsCleanUp(t *testing.T) {
	f := cleaning(StepRun{Name: "first", Outcome: &Outcome{Status: models.StatusFailed, Reason: "boom"}}, StepRun{Name: "clean", Outcome: &Outcome{Status: models.StatusOK}})
	env := newEnv(t, f)
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e", Sequence: 7})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &again)
	var in Input
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &in))
	require.Equal(t, Input{ExecutionID: "e", Phase: 2, Sequence: 8, Failed: &Outcome{Status: models.StatusFailed, Reason: "step first: boom"}}, in)
	require.Empty(t, f.finished)
}
