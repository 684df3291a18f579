package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// The end of a confirmation is written with the begin of the next phase, and by itself where no phase follows: after the
// last one, after a disapproval, after a cancellation.
func TestEndOfAConfirmationIsWrittenOnce(t *testing.T) {
	ask := func(id string) StepRun {
		return StepRun{Type: models.StepConfirmation, ConfirmationID: id}
	}
	approved := func(id string) Decision {
		return Decision{ConfirmationID: id, Status: models.ConfirmationApproved, By: "ann"}
	}
	ok := StepUpdate{Outcome: Outcome{Status: models.StatusOK, Reason: "approved by ann"}}
	for name, c := range map[string]struct {
		decide  []Decision // nil: cancelled
		phases  int
		carried []PhaseEnd
		written []StepUpdate
		ends    models.Status
	}{
		"a phase follows":  {[]Decision{approved("c0"), approved("c1")}, 2, []PhaseEnd{{Phase: 0, Steps: []StepUpdate{ok}}}, []StepUpdate{ok}, models.StatusOK},
		"no phase follows": {[]Decision{approved("c0")}, 1, nil, []StepUpdate{ok}, models.StatusOK},
		"disapproved": {[]Decision{{ConfirmationID: "c0", Status: models.ConfirmationDisapproved, By: "ann"}}, 2, nil,
			[]StepUpdate{{Outcome: Outcome{Status: models.StatusFailed, Reason: "disapproved by ann"}}}, models.StatusFailed},
		"cancelled": {nil, 2, nil, []StepUpdate{{Outcome: Outcome{Status: models.StatusCancelled, Reason: "cancelled"}}}, models.StatusCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{claim: ClaimResult{Claimed: true, Phases: c.phases}, phases: [][]StepRun{{ask("c0")}, {ask("c1")}}[:c.phases]}
			env := newEnv(t, f)
			if c.decide == nil {
				env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
			}
			for i, d := range c.decide {
				env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalDecision, d) }, time.Duration(i+1)*time.Hour)
			}
			env.ExecuteWorkflow(Pipeline, Input{ExecutionID: "e"})
			require.Equal(t, c.ends, outcome(t, env).Status)
			require.Equal(t, c.carried, f.carried)
			require.Equal(t, c.written, f.updates)
			require.IsIncreasing(t, f.sequences)
		})
	}
}
