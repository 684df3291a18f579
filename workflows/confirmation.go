package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// ActivityExpire ends a confirmation whose time is over, unless somebody was quicker, and gives its Decision: pending where
// its time is not over by the database's clock. The name is part of histories: never rename it.
const ActivityExpire = "expire-confirmation"

// expireAgain is how long a workflow waits whose clock was ahead of the database's.
const expireAgain = time.Second

// awaitDecisions waits until every open confirmation is decided or its time is over, or the execution is cancelled.
// StepUpdate.Step is the index in the phase's list here.
func (st *pipelineState) awaitDecisions(ctx workflow.Context, in Input, steps []StepRun, open map[string]int) []StepUpdate {
	var updates []StepUpdate
	told := workflow.GetSignalChannel(ctx, SignalDecision)
	timers, stop := workflow.WithCancel(ctx)
	defer stop()
	expired := workflow.NewBufferedChannel(ctx, len(open))
	for _, id := range workflow.DeterministicKeys(open) {
		if at := steps[open[id]].ExpiresAt; at != nil {
			workflow.Go(timers, func(ctx workflow.Context) { expire(ctx, in, id, *at, expired) })
		}
	}
	receive := func(c workflow.ReceiveChannel, _ bool) {
		var d Decision
		c.Receive(ctx, &d)
		i, ok := open[d.ConfirmationID]
		if !ok {
			return // of an earlier phase, or told twice
		}
		delete(open, d.ConfirmationID)
		st.decided(d.ConfirmationID)
		out := Outcome{Status: models.StatusOK, Reason: "approved by " + d.By}
		if d.Status != models.ConfirmationApproved {
			out = Outcome{Status: models.StatusFailed, Reason: d.Status}
			if d.By != "" {
				out.Reason += " by " + d.By
			}
		}
		updates = append(updates, StepUpdate{Step: i, Outcome: out})
	}
	for len(open) > 0 {
		cancelled := false
		workflow.NewSelector(ctx).
			AddReceive(told, receive).
			AddReceive(expired, receive).
			AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { cancelled = true }).
			Select(ctx)
		if cancelled {
			for _, i := range workflow.DeterministicKeys(open) {
				updates = append(updates, StepUpdate{Step: open[i], Outcome: Outcome{Status: models.StatusCancelled, Reason: "cancelled"}})
			}
			st.Waiting = nil
			return updates
		}
	}
	return updates
}

// expire waits for the end of a confirmation's time and sends its decision: the row is decided by whoever is first.
func expire(ctx workflow.Context, in Input, id string, at time.Time, to workflow.Channel) {
	wait := max(at.Sub(workflow.Now(ctx)), 0)
	for {
		if err := workflow.Sleep(ctx, wait); err != nil {
			return // decided, or the execution is cancelled
		}
		var d Decision
		if err := local(ctx, ActivityExpire, &d, in, id); err != nil {
			return
		}
		if d.Status != models.ConfirmationPending {
			to.Send(ctx, d)
			return
		}
		wait = expireAgain
	}
}

func (st *pipelineState) decided(id string) {
	for i, w := range st.Waiting {
		if w == id {
			st.Waiting = append(st.Waiting[:i], st.Waiting[i+1:]...)
			return
		}
	}
}
