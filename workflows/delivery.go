package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"slipway/models"
)

// QueueDeliveries is the task queue of what goes out: webhooks and mails.
const QueueDeliveries = "deliveries"

// Names under which the workflow and the activities of deliveries are registered. They are part of every history: never
// rename one.
const (
	DeliveryWorkflow = "delivery"

	ActivityDeliver     = "deliver"
	ActivityEndDelivery = "end-delivery"
)

// DeliveryInput starts the workflow of a delivery. The workflow's id is the delivery's. Addresses, secrets and bodies stay
// in the database.
type DeliveryInput struct {
	DeliveryID string `json:"delivery_id"`
}

// Timeouts and retries of deliveries. When an attempt is repeated is said by the activity, which counts the attempts in
// the database: see deliveries.Backoff. The policy here is for what keeps the activity from counting: a database that is
// away, a worker that is lost.
const (
	deliveryTimeLimit  = 30 * time.Second
	deliveryDispatches = 1000
)

// Delivery sends one recorded delivery until it has arrived, is refused for good, or was tried often enough.
//
//	id:       the delivery's id
//	input:    DeliveryInput
//	result:   Outcome: ok; failed with the reason; cancelled; skipped, where there was no reason left to send it. It fails
//	          only for faults of Slipway
//	signals:  none; it can be cancelled
//	queue:    deliveries
//
// It can be the child of a pipeline: the row is made with models.NewDelivery.Child then.
func Delivery(ctx workflow.Context, in DeliveryInput) (Outcome, error) {
	send := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueDeliveries,
		StartToCloseTimeout: deliveryTimeLimit,
		HeartbeatTimeout:    HeartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute,
			MaximumAttempts: deliveryDispatches},
	})
	var out Outcome
	err := workflow.ExecuteActivity(send, ActivityDeliver, in).Get(ctx, &out)
	if err == nil {
		return out, nil
	}
	out = Outcome{Status: models.StatusFailed, Reason: "it could not be sent, for a fault of the server"}
	var app *temporal.ApplicationError
	switch {
	case temporal.IsCanceledError(err) || ctx.Err() != nil:
		out = Outcome{Status: models.StatusCancelled, Reason: "cancelled"}
	case errors.As(err, &app):
		out.Reason = app.Message()
	}
	clean, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// The row may have ended meanwhile: the last attempt was on its way.
	var final Outcome
	err = local(clean, ActivityEndDelivery, &final, in, out)
	return final, err
}
