package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// AdmitResult is what an execution learns when it asks for its place.
type AdmitResult struct {
	// Queued says that it has none yet: as many run side by side as may.
	Queued bool `json:"queued,omitempty"`
	// Waiting says that it has its place, and that a deployment it changes is held by others.
	Waiting bool `json:"waiting,omitempty"`
	// Ended is set where the row was ended meanwhile.
	Ended *Outcome `json:"ended,omitempty"`
}

// awaitTurn waits until the execution has its place among those that may run side by side. The signal is the one of locks
// and says only that something was granted: what, the database says. An outcome means that the execution ended first.
func awaitTurn(ctx workflow.Context, in Input, c *ClaimResult) (*Outcome, error) {
	for c.Queued {
		cancelled := &Outcome{Status: models.StatusCancelled, Reason: "cancelled while it waited for its turn"}
		if !awaitLock(ctx) {
			return cancelled, nil
		}
		var a AdmitResult
		err := local(ctx, ActivityAdmit, &a, in, kindOf(ctx))
		if ctx.Err() == nil && err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return cancelled, nil //nolint:nilerr // an activity that was cancelled is no fault
		}
		if a.Ended != nil {
			return a.Ended, nil
		}
		c.Queued, c.Waiting = a.Queued, a.Waiting
	}
	return nil, nil
}

// timeLimit is what is left of an execution's time. The zero value is no limit.
type timeLimit struct{ whole, left time.Duration }

func newTimeLimit(d time.Duration) *timeLimit { return &timeLimit{whole: d, left: d} }

// outcome is that of an execution whose time has passed.
func (l *timeLimit) outcome() Outcome {
	return Outcome{Status: models.StatusFailed, Reason: "longer than its time limit of " + models.ShowDuration(l.whole)}
}

// run runs an activity and cancels it when the time has passed; its scripts then get SIGTERM, their grace period and
// SIGKILL. It is a timer of the workflow and not a timeout of the activity: the server repeats what timed out, and does
// not wait until nothing of it runs any more. Where there is no limit there is no timer.
//
// over says that the time has passed and that the activity did not end well before it was told.
func (l *timeLimit) run(ctx workflow.Context, start func(workflow.Context) workflow.Future, into any) (over bool, err error) {
	if l.whole <= 0 {
		return false, start(ctx).Get(ctx, into)
	}
	began := workflow.Now(ctx)
	running, end := workflow.WithCancel(ctx)
	defer end()
	f := start(running)
	watch, stop := workflow.WithCancel(ctx)
	defer stop()
	workflow.NewSelector(ctx).
		AddFuture(f, func(workflow.Future) {}).
		AddFuture(workflow.NewTimer(watch, max(l.left, 1)), func(t workflow.Future) {
			if over = t.Get(ctx, nil) == nil; over {
				end()
			}
		}).
		Select(ctx)
	stop()
	err = f.Get(ctx, into)
	l.left -= workflow.Now(ctx).Sub(began)
	return over && ctx.Err() == nil, err
}

// watch gives a context that ends when the time has passed, for a pipeline's phases, and a function that says whether it
// was that.
func (l *timeLimit) watch(ctx workflow.Context) (limited workflow.Context, over func() bool, stop func()) {
	if l.whole <= 0 {
		return ctx, func() bool { return false }, func() {}
	}
	limited, end := workflow.WithCancel(ctx)
	timer, cancel := workflow.WithCancel(ctx)
	passed := false
	f := workflow.NewTimer(timer, max(l.left, 1))
	workflow.Go(ctx, func(ctx workflow.Context) {
		if f.Get(ctx, nil) == nil {
			passed = true
			end()
		}
	})
	return limited, func() bool { return passed && ctx.Err() == nil }, cancel
}
