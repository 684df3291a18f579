package assets

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// TriggerScan starts the scan of a registry. key makes the same trigger twice one scan; "" for a person's own request, which
// has its line in the audit log.
func TriggerScan(ctx context.Context, ex Executions, r *models.AssetRegistry, by models.Trigger, key string, line *models.AuditEntry) (*models.Execution, error) {
	return ex.Trigger(ctx, executions.TriggerRequest{Kind: models.KindAssetScan, OrganizationID: r.OrganizationID, SubjectID: r.ID, SubjectName: r.Name, Trigger: by, IdempotencyKey: key,
		Definition: models.AssetScanDefinition{RegistryID: r.ID}, Audit: line})
}

// ScanRegistry starts the scan of a registry for somebody who asks for it.
func (s *Service) ScanRegistry(ctx context.Context, r *models.AssetRegistry, by policies.Subject) (*models.Execution, error) {
	line := models.AuditEntry{Action: "asset-scan:create", ResourceKind: "asset-registry", ResourceID: r.ID, ResourceName: r.Name,
		Detail: map[string]any{"organization": r.OrganizationID}}.ActorOf(by)
	return TriggerScan(ctx, s.executions, r, models.Trigger{Type: "api", SubjectKind: by.Kind, SubjectID: by.ID, SubjectName: by.Name}, "", &line)
}

// Schedules keeps the Temporal schedules of registries. Each starts a small workflow that triggers the scan.
type Schedules struct{ Client client.Client }

// scheduleID is the id of the schedule of a registry.
func scheduleID(registryID string) string { return "asset-scan-" + registryID }

// Put makes the schedule of a registry what the registry says: it is made, changed, or removed where there is none. A cron
// expression that Temporal does not take is a problem of the field schedule. While a scan runs, the next one waits for
// its turn in the schedule and no more than one waits.
func (s Schedules) Put(ctx context.Context, r *models.AssetRegistry) error {
	if r.Schedule == "" {
		return s.Remove(ctx, r.ID)
	}
	action := &client.ScheduleWorkflowAction{
		ID: scheduleID(r.ID), Workflow: workflows.AssetScanScheduleWorkflow, TaskQueue: workflows.QueueAssets,
		Args: []any{workflows.AssetScanScheduleInput{RegistryID: r.ID}}, WorkflowExecutionTimeout: time.Hour,
	}
	spec := client.ScheduleSpec{CronExpressions: []string{r.Schedule}}
	_, err := s.Client.ScheduleClient().Create(ctx, client.ScheduleOptions{ID: scheduleID(r.ID), Spec: spec, Action: action,
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE, CatchupWindow: time.Hour})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = s.Client.ScheduleClient().GetHandle(ctx, scheduleID(r.ID)).Update(ctx, client.ScheduleUpdateOptions{
			DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
				schedule := in.Description.Schedule
				schedule.Spec, schedule.Action = &spec, action
				return &client.ScheduleUpdate{Schedule: &schedule}, nil
			}})
	}
	var wrong *serviceerror.InvalidArgument
	var away *serviceerror.Unavailable
	switch {
	case errors.As(err, &wrong):
		return problem.BadField("schedule", "expected a cron expression such as 0 3 * * *: %s", wrong.Message)
	case errors.As(err, &away), errors.Is(err, context.DeadlineExceeded):
		p := problem.Wrap(problem.Unavailable, err, "the workflow service is not available: the schedule was not changed, try again")
		p.RetryAfter = 5 * time.Second
		return p
	}
	return err
}

// Remove removes the schedule of a registry, if it has one.
func (s Schedules) Remove(ctx context.Context, registryID string) error {
	err := s.Client.ScheduleClient().GetHandle(ctx, scheduleID(registryID)).Delete(ctx)
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil
	}
	return err
}
