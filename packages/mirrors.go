package packages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

// Mirrors starts mirroring and keeps its schedules in Temporal.
type Mirrors struct {
	Store  *models.Store
	Client client.Client
}

// startLimit is how long a caller waits for Temporal.
const startLimit = 10 * time.Second

// Start asks for the mirroring of a package. If it is being mirrored it is mirrored once more afterwards. The error is of
// kind Unavailable while Temporal is away.
func (m *Mirrors) Start(ctx context.Context, packageID int64) (workflowID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	id := workflows.PackageMirrorID(packageID)
	_, err = m.Client.SignalWithStartWorkflow(ctx, id, workflows.SignalMirror, nil, client.StartWorkflowOptions{
		TaskQueue:                workflows.QueuePackages,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, workflows.PackageMirrorWorkflow, workflows.PackageMirrorInput{PackageID: packageID})
	return id, away(err)
}

func scheduleID(packageID int64) string { return workflows.PackageMirrorID(packageID) + "-schedule" }

// Schedule makes Temporal ask for the mirroring of a package at an interval; 0 ends that. Doing it twice is doing it once.
func (m *Mirrors) Schedule(ctx context.Context, packageID int64, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	handle := m.Client.ScheduleClient().GetHandle(ctx, scheduleID(packageID))
	var missing *serviceerror.NotFound
	if every == 0 {
		if err := handle.Delete(ctx); err != nil && !errors.As(err, &missing) {
			return away(err)
		}
		return nil
	}
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
	action := &client.ScheduleWorkflowAction{ID: scheduleID(packageID), Workflow: workflows.PackageMirrorScheduleWorkflow,
		Args: []any{workflows.PackageMirrorInput{PackageID: packageID}}, TaskQueue: workflows.QueuePackages}
	err := handle.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		s := in.Description.Schedule
		s.Spec, s.Action = &spec, action
		return &client.ScheduleUpdate{Schedule: &s}, nil
	}})
	if errors.As(err, &missing) {
		_, err = m.Client.ScheduleClient().Create(ctx, client.ScheduleOptions{ID: scheduleID(packageID), Spec: spec, Action: action,
			Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP})
	}
	return away(err)
}

// Synchronize makes the schedules what the database says, after a restart of Temporal from nothing or a restored backup.
func (m *Mirrors) Synchronize(ctx context.Context) error {
	list, err := m.Store.ListPackageSources(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if err := m.Schedule(ctx, list[i].PackageID, time.Duration(list[i].IntervalSeconds)*time.Second); err != nil {
			return fmt.Errorf("schedule the mirroring of package %d: %w", list[i].PackageID, err)
		}
	}
	return nil
}

func away(err error) error {
	if err == nil {
		return nil
	}
	e := problem.Wrap(problem.Unavailable, err, "the workflow service is not available, try again")
	e.RetryAfter = 5 * time.Second
	return e
}
