package activities

import (
	"context"
	"time"

	"slipway/schedules"
	"slipway/workflows"
)

// Schedules do what the schedules of builds and pipelines are for.
type Schedules struct{ Service *schedules.Service }

// Fire triggers, or queues, what a schedule is for at a time; began is when Temporal's schedule started the workflow.
func (a *Schedules) Fire(ctx context.Context, in workflows.ScheduleInput, nominal, began time.Time) error {
	return a.Service.Fire(ctx, in.ScheduleID, nominal, began)
}
