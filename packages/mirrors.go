package packages

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/schedules"
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
	t := schedules.Timetable{Client: m.Client, Installation: m.Store.InstallationID}
	if every == 0 {
		return t.Remove(ctx, scheduleID(packageID))
	}
	return t.Put(ctx, scheduleEntry(packageID, every))
}

func scheduleEntry(packageID int64, every time.Duration) schedules.Entry {
	return schedules.Entry{ID: scheduleID(packageID), Every: every, Workflow: workflows.PackageMirrorScheduleWorkflow,
		Input: workflows.PackageMirrorInput{PackageID: packageID}, TaskQueue: workflows.QueuePackages, OneAtATime: true}
}

// Synchronize makes the schedules what the database says, after a restart of Temporal from nothing or a restored backup.
func (m *Mirrors) Synchronize(ctx context.Context) error {
	list, err := m.Store.ListPackageSources(ctx)
	if err != nil {
		return err
	}
	var entries []schedules.Entry
	for i := range list {
		if list[i].IntervalSeconds > 0 {
			entries = append(entries, scheduleEntry(list[i].PackageID, time.Duration(list[i].IntervalSeconds)*time.Second))
		}
	}
	return schedules.Timetable{Client: m.Client, Installation: m.Store.InstallationID}.Synchronize(ctx, "package-mirror-", entries, func(ctx context.Context, id string) (bool, error) {
		list, err := m.Store.ListPackageSources(ctx)
		return slices.ContainsFunc(list, func(p models.PackageSource) bool { return p.IntervalSeconds > 0 && scheduleID(p.PackageID) == id }), err
	})
}

func away(err error) error {
	if err == nil {
		return nil
	}
	e := problem.Wrap(problem.Unavailable, err, "the workflow service is not available, try again")
	e.RetryAfter = 5 * time.Second
	return e
}
