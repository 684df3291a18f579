package workflows

import (
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// awaitDecisions waits until every open confirmation is decided, or the execution is cancelled. StepUpdate.Step is the
// index in the phase's list here.
func (st *pipelineState) awaitDecisions(ctx workflow.Context, open map[string]int) []StepUpdate {
	var updates []StepUpdate
	ch := workflow.GetSignalChannel(ctx, SignalDecision)
	for len(open) > 0 {
		cancelled := false
		workflow.NewSelector(ctx).
			AddReceive(ch, func(c workflow.ReceiveChannel, _ bool) {
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
			}).
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

func (st *pipelineState) decided(id string) {
	for i, w := range st.Waiting {
		if w == id {
			st.Waiting = append(st.Waiting[:i], st.Waiting[i+1:]...)
			return
		}
	}
}
