package workflows

import (
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"
)

// Names of the workflow and the activity of schedules. They are part of every history: never rename one.
const (
	ScheduleWorkflow     = "schedule-trigger"
	ActivityFireSchedule = "fire-schedule"
)

// ScheduleInput names the schedule whose time has come.
type ScheduleInput struct {
	ScheduleID string `json:"schedule_id"`
}

// Schedule is what a schedule of a build or a pipeline starts at its times: it triggers the execution and ends.
//
//	id:     given by the schedule; it ends in the time that is meant
//	input:  ScheduleInput
//	queue:  pipelines
func Schedule(ctx workflow.Context, in ScheduleInput) error {
	info := workflow.GetInfo(ctx)
	return local(ctx, ActivityFireSchedule, nil, in, NominalTime(info.WorkflowExecution.ID, info.WorkflowStartTime), info.WorkflowStartTime)
}

// NominalTime is the time that a schedule meant when it started a workflow, before any jitter or delay: Temporal appends
// it to the workflow's id. A workflow that was started otherwise means its start.
func NominalTime(workflowID string, started time.Time) time.Time {
	const layout = "2006-01-02T15:04:05Z"
	if i := len(workflowID) - len(layout); i > 0 && workflowID[i-1] == '-' && strings.HasSuffix(workflowID, "Z") {
		if t, err := time.Parse(layout, workflowID[i:]); err == nil {
			return t
		}
	}
	return started.Truncate(time.Second)
}
