package workflows

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// fake stands for the activities of one execution, by hand.
type fake struct {
	mu        sync.Mutex
	claim     ClaimResult
	plan      PlanResult
	waits     bool
	run       func(ctx context.Context, in Input) (Outcome, error)
	begin     func(ctx context.Context, in Input) (Outcome, error)
	follow    func(ctx context.Context, in FollowInput) (Outcome, error)
	phases    [][]StepRun
	claims    int
	away      int // so many claims find no database
	seen      int
	finished  []Outcome
	updates   []StepUpdate
	sequences []int64
	begun     []int
	asked     []string
	carried   []PhaseEnd // what came with the begin of the next phase
}

func newEnv(t *testing.T, f *fake) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(30 * time.Second)
	act := func(fn any, name string) { env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name}) }
	act(func(context.Context, Input, string, string) (ClaimResult, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.claims++; f.claims <= f.away {
			return ClaimResult{}, errors.New("the database is away")
		}
		return f.claim, nil
	}, ActivityClaim)
	act(func(context.Context, Input) (PlanResult, error) { return f.plan, nil }, ActivityPlan)
	act(func(_ context.Context, _ Input, names []string) (bool, error) { f.asked = names; return f.waits, nil }, ActivityLocks)
	act(func(context.Context, Input) error { f.seen++; return nil }, ActivityLockSeen)
	act(func(_ context.Context, _ Input, _ string, out Outcome) (Outcome, error) {
		f.mu.Lock() // children end side by side
		defer f.mu.Unlock()
		f.finished = append(f.finished, out)
		return out, nil
	}, ActivityFinish)
	act(func(_ context.Context, _ Input, phase int, sequence int64, ended *PhaseEnd) ([]StepRun, error) {
		if ended != nil {
			f.carried = append(f.carried, *ended)
		}
		f.sequences, f.begun = append(f.sequences, sequence), append(f.begun, phase)
		return f.phases[phase], nil
	}, ActivityBeginPhase)
	act(func(_ context.Context, _ Input, _ int, sequence int64, ends []StepUpdate) error {
		f.sequences = append(f.sequences, sequence)
		f.updates = append(f.updates, ends...)
		return nil
	}, ActivityPutSteps)
	act(func(ctx context.Context, in Input) (Outcome, error) { return f.run(ctx, in) }, ActivityBuild)
	act(func(ctx context.Context, in Input) (Outcome, error) { return f.begin(ctx, in) }, ActivityBeginBuild)
	act(func(ctx context.Context, in FollowInput) (Outcome, error) { return f.follow(ctx, in) }, ActivityFollowBuild)
	env.RegisterWorkflowWithOptions(Build, workflow.RegisterOptions{Name: BuildWorkflow})
	env.RegisterWorkflowWithOptions(Build, workflow.RegisterOptions{Name: DirectBuildWorkflow})
	env.RegisterWorkflowWithOptions(Build, workflow.RegisterOptions{Name: LocalBuildWorkflow})
	env.RegisterWorkflowWithOptions(Pipeline, workflow.RegisterOptions{Name: PipelineWorkflow})
	return env
}

func outcome(t *testing.T, env *testsuite.TestWorkflowEnvironment) Outcome {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out Outcome
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

func ok(context.Context, Input) (Outcome, error) { return Outcome{Status: models.StatusOK}, nil }

func TestBuildRunsAndFinishes(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true}, run: ok}
	env := newEnv(t, f)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, []Outcome{{Status: models.StatusOK}}, f.finished)
}

// R3: an execution waits for its database, however long that is away.
func TestR3ALongOutageOfTheDatabaseIsWaitedFor(t *testing.T) {
	const tries = 400 // an hour, with ten seconds between two of them
	f := &fake{claim: ClaimResult{Claimed: true}, away: tries, run: ok}
	env := newEnv(t, f)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, tries+1, f.claims)
}

// The caller was told that nothing started: a workflow without the claim runs nothing and touches no row.
func TestBuildWithoutTheClaimEndsAtOnce(t *testing.T) {
	f := &fake{claim: ClaimResult{Outcome: Outcome{Status: models.StatusAbandoned}}, run: func(context.Context, Input) (Outcome, error) {
		t.Error("the scripts ran")
		return Outcome{}, nil
	}}
	env := newEnv(t, f)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusAbandoned, outcome(t, env).Status)
	require.Empty(t, f.finished)
}

func TestBuildWaitsForItsLock(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Waiting: true}, run: ok}
	env := newEnv(t, f)
	env.RegisterDelayedCallback(func() {
		require.Zero(t, f.seen)
		env.SignalWorkflow(SignalLock, nil)
	}, 48*time.Hour)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, 1, f.seen)
}

// R7, R10: cancelling what waits for a lock ends it without running anything.
func TestR10CancelWhileWaitingForALock(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Waiting: true}, run: func(context.Context, Input) (Outcome, error) {
		t.Error("the scripts ran")
		return Outcome{}, nil
	}}
	env := newEnv(t, f)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusCancelled, outcome(t, env).Status)
	require.Len(t, f.finished, 1)
}

func TestBuildThatDeploysWaitsForWhatItsPlansName(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Plan: true}, plan: PlanResult{Deployments: []string{"p/app"}}, waits: true, run: ok}
	env := newEnv(t, f)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalLock, nil) }, time.Minute)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Equal(t, []string{"p/app"}, f.asked)
}

func TestBuildWhosePlansCannotBeReadFails(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Plan: true}, plan: PlanResult{Failed: &Outcome{Status: models.StatusFailed, Reason: "no plan at escape.yml"}}, run: ok}
	env := newEnv(t, f)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	require.Equal(t, Outcome{Status: models.StatusFailed, Reason: "no plan at escape.yml"}, outcome(t, env))
}

// R1: a worker that takes itself down over and over does not go round for ever.
func TestR1LostWorkersEndAsFailed(t *testing.T) {
	tries := 0
	f := &fake{claim: ClaimResult{Claimed: true}, run: func(context.Context, Input) (Outcome, error) {
		tries++
		return Outcome{}, temporal.NewTimeoutError(heartbeatTimeout, errors.New("lost"))
	}}
	env := newEnv(t, f)
	env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e"})
	out := outcome(t, env)
	require.Equal(t, models.StatusFailed, out.Status)
	require.Contains(t, out.Reason, "lost")
	require.Equal(t, maxDispatches, tries)
}

func TestPipelineRunsPhasesInOrder(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Phases: 2}, run: ok, phases: [][]StepRun{
		{{Step: 0, Name: "a", ChildID: "c1", Workflow: BuildWorkflow, TaskQueue: "q"}, {Step: 1, Name: "b", ChildID: "c2", Workflow: BuildWorkflow, TaskQueue: "q"}},
		{{Step: 0, Name: "kept", Outcome: &Outcome{Status: models.StatusOK}}},
	}}
	env := newEnv(t, f)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusOK, outcome(t, env).Status)
	require.Len(t, f.finished, 3, "two children and the pipeline")
	require.Equal(t, []int64{1, 2}, f.sequences)
}

func TestPipelineStopsAfterAFailedPhaseAndIgnoresWhatItMay(t *testing.T) {
	failed := &Outcome{Status: models.StatusFailed, Reason: "boom"}
	for _, c := range []struct {
		ignore bool
		want   models.Status
		phases int
	}{{false, models.StatusFailed, 1}, {true, models.StatusOK, 2}} {
		f := &fake{claim: ClaimResult{Claimed: true, Phases: 2}, run: ok, phases: [][]StepRun{
			{{Name: "a", Outcome: failed, IgnoreFailure: c.ignore}}, {{Name: "b", Outcome: &Outcome{Status: models.StatusOK}}}}}
		env := newEnv(t, f)
		env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
		out := outcome(t, env)
		require.Equal(t, c.want, out.Status)
		require.Len(t, f.sequences, c.phases)
		if !c.ignore {
			require.Equal(t, "step a: boom", out.Reason)
		}
	}
}

// R9: a decision after thirty days is as good as one after a minute, and only the one that the row says counts.
func TestR9ThirtyDaysOfWaiting(t *testing.T) {
	for status, want := range map[string]models.Status{models.ConfirmationApproved: models.StatusOK, models.ConfirmationDisapproved: models.StatusFailed, models.ConfirmationTimedOut: models.StatusFailed} {
		t.Run(status, func(t *testing.T) {
			f := &fake{claim: ClaimResult{Claimed: true, Phases: 1}, phases: [][]StepRun{{{Name: "ask", Type: models.StepConfirmation, ConfirmationID: "k"}}}}
			env := newEnv(t, f)
			env.RegisterDelayedCallback(func() {
				env.SignalWorkflow(SignalDecision, Decision{ConfirmationID: "of another phase", Status: models.ConfirmationApproved})
			}, 24*time.Hour)
			env.RegisterDelayedCallback(func() {
				for range 3 { // told more than once
					env.SignalWorkflow(SignalDecision, Decision{ConfirmationID: "k", Status: status, By: "ann"})
				}
			}, 30*24*time.Hour)
			env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
			out := outcome(t, env)
			require.Equal(t, want, out.Status)
			require.Len(t, f.updates, 1)
			require.Contains(t, f.updates[0].Outcome.Reason, "ann")
		})
	}
}

// R9: a confirmation with a time limit ends by the clock or by a person, whoever is first; the row says who was.
func TestR9TimeLimitOfAConfirmation(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal time.Duration // when a person decides; 0 is never
		row    []string      // what the row is at each look after the end of the time
		want   Outcome
		looks  int
	}{
		{"nobody", 0, []string{models.ConfirmationTimedOut}, Outcome{Status: models.StatusFailed, Reason: "step ask: timed out"}, 1},
		{"a clock that is ahead", 0, []string{models.ConfirmationPending, models.ConfirmationTimedOut}, Outcome{Status: models.StatusFailed, Reason: "step ask: timed out"}, 2},
		{"a person in time", 29 * 24 * time.Hour, nil, Outcome{Status: models.StatusOK}, 0},
		{"a person whose signal is late", 0, []string{models.ConfirmationApproved}, Outcome{Status: models.StatusOK}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{claim: ClaimResult{Claimed: true, Phases: 1}}
			env := newEnv(t, f)
			at := env.Now().Add(30 * 24 * time.Hour)
			f.phases = [][]StepRun{{{Name: "ask", Type: models.StepConfirmation, ConfirmationID: "k", ExpiresAt: &at}}}
			looks := 0
			env.RegisterActivityWithOptions(func(context.Context, Input, string) (Decision, error) {
				looks++
				return Decision{ConfirmationID: "k", Status: c.row[looks-1]}, nil
			}, activity.RegisterOptions{Name: ActivityExpire})
			if c.signal > 0 {
				env.RegisterDelayedCallback(func() {
					env.SignalWorkflow(SignalDecision, Decision{ConfirmationID: "k", Status: models.ConfirmationApproved, By: "ann"})
				}, c.signal)
			}
			env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
			require.Equal(t, c.want, outcome(t, env))
			require.Equal(t, c.looks, looks)
			require.Len(t, f.updates, 1)
		})
	}
}

// R10: a cancellation ends the wait and its timer.
func TestR10CancelConfirmationWithATimeLimit(t *testing.T) {
	f := &fake{claim: ClaimResult{Claimed: true, Phases: 1}}
	env := newEnv(t, f)
	at := env.Now().Add(30 * 24 * time.Hour)
	f.phases = [][]StepRun{{{Name: "ask", Type: models.StepConfirmation, ConfirmationID: "k", ExpiresAt: &at}}}
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusCancelled, outcome(t, env).Status)
}

// R10: cancelling a pipeline that waits for a person ends it, and its children are asked to end.
func TestR10CancelPipelineThatWaits(t *testing.T) {
	childEnded := false
	f := &fake{claim: ClaimResult{Claimed: true, Phases: 1}, phases: [][]StepRun{{
		{Step: 0, Name: "ask", Type: models.StepConfirmation, ConfirmationID: "k"},
		{Step: 1, Name: "child", ChildID: "c", Workflow: "slow", TaskQueue: "q"}}}}
	env := newEnv(t, f)
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context, _ Input) (Outcome, error) {
		err := workflow.Sleep(ctx, 1000*time.Hour)
		childEnded = temporal.IsCanceledError(err)
		return Outcome{Status: models.StatusCancelled}, nil
	}, workflow.RegisterOptions{Name: "slow"})
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
	require.Equal(t, models.StatusCancelled, outcome(t, env).Status)
	require.True(t, childEnded)
	require.Len(t, f.updates, 1)
	require.Equal(t, models.StatusCancelled, f.updates[0].Outcome.Status)
	require.Equal(t, []Outcome{{Status: models.StatusCancelled, Reason: "cancelled"}}, f.finished)
}

// What did not end well is found by its status in the Web UI; where the attribute is not registered, nothing is asked.
func TestStatusIsASearchAttributeOfWhatDidNotEndWell(t *testing.T) {
	for _, c := range []struct {
		attributes bool
		status     models.Status
		want       int
	}{{true, models.StatusFailed, 1}, {true, models.StatusOK, 0}, {false, models.StatusFailed, 0}} {
		f := &fake{claim: ClaimResult{Claimed: true}, run: func(context.Context, Input) (Outcome, error) { return Outcome{Status: c.status}, nil }}
		env := newEnv(t, f)
		asked := 0
		env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(mock.Arguments) { asked++ }).Return(nil).Maybe()
		env.ExecuteWorkflow(BuildWorkflow, Input{ExecutionID: "e", Attributes: c.attributes})
		require.Equal(t, c.status, outcome(t, env).Status)
		require.Equal(t, c.want, asked)
	}
}
