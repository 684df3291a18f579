package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/deliveries"
	"slipway/workflows"
)

// Deliveries are the activities of what goes out.
type Deliveries struct{ Service *deliveries.Service }

// Register says what runs on the queue of deliveries. Of any other queue it knows nothing.
func (a *Deliveries) Register(queue string, r worker.Registry) bool {
	if queue != workflows.QueueDeliveries {
		return false
	}
	r.RegisterWorkflowWithOptions(workflows.Delivery, workflow.RegisterOptions{Name: workflows.DeliveryWorkflow})
	r.RegisterActivityWithOptions(a.Deliver, activity.RegisterOptions{Name: workflows.ActivityDeliver})
	r.RegisterActivityWithOptions(a.End, activity.RegisterOptions{Name: workflows.ActivityEndDelivery})
	return true
}

// Deliver makes one attempt. An error that says when is how Temporal is told to try again: a retry costs no event of the
// workflow's history.
func (a *Deliveries) Deliver(ctx context.Context, in workflows.DeliveryInput) (workflows.Outcome, error) {
	stop := beat(ctx)
	defer stop()
	out, err := a.Service.Attempt(ctx, in.DeliveryID)
	var again *deliveries.AgainError
	if errors.As(err, &again) {
		return out, temporal.NewApplicationErrorWithOptions(again.Reason, "Undelivered", temporal.ApplicationErrorOptions{NextRetryDelay: again.After})
	}
	return out, err
}

// End ends a delivery that its workflow gives up.
func (a *Deliveries) End(ctx context.Context, in workflows.DeliveryInput, out workflows.Outcome) (workflows.Outcome, error) {
	return a.Service.End(ctx, in.DeliveryID, out)
}
