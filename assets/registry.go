package assets

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/cron"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/schedules"
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
type Schedules struct {
	Store  *models.Store
	Client client.Client
}

// scheduleID is the id of the schedule of a registry.
func scheduleID(registryID string) string { return scheduleIDPrefix + registryID }

const scheduleIDPrefix = "asset-scan-"

// Put makes the schedule of a registry what the registry says: it is made, changed, or removed where there is none. A wrong
// cron expression is a problem of the field schedule.
func (s Schedules) Put(ctx context.Context, r *models.AssetRegistry) error {
	if r.Schedule == "" {
		return s.Remove(ctx, r.ID)
	}
	e, err := scheduleEntry(r)
	if err != nil {
		return err
	}
	return schedules.Timetable{Client: s.Client, Installation: s.Store.InstallationID}.Put(ctx, e)
}

// Check says what is wrong with the schedule of a registry, as a problem of the field schedule.
func (s Schedules) Check(r *models.AssetRegistry) error {
	if r.Schedule == "" {
		return nil
	}
	_, err := scheduleEntry(r)
	return err
}

func scheduleEntry(r *models.AssetRegistry) (schedules.Entry, error) {
	x, err := cron.Parse(r.Schedule)
	if err != nil {
		return schedules.Entry{}, problem.BadField("schedule", "expected a cron expression such as 0 3 * * *: %s", err.Error())
	}
	return schedules.Entry{ID: scheduleID(r.ID), Expressions: []cron.Expression{x}, Workflow: workflows.AssetScanScheduleWorkflow,
		Input: workflows.AssetScanScheduleInput{RegistryID: r.ID}, TaskQueue: workflows.QueueAssets, Summary: "scan of registry " + r.Name}, nil
}

// Remove removes the schedule of a registry, if it has one.
func (s Schedules) Remove(ctx context.Context, registryID string) error {
	return schedules.Timetable{Client: s.Client, Installation: s.Store.InstallationID}.Remove(ctx, scheduleID(registryID))
}

// Synchronize makes the schedules what the database says, after a restart of Temporal from nothing or a restored backup.
func (s Schedules) Synchronize(ctx context.Context) error {
	list, err := s.Store.ListScheduledAssetRegistries(ctx)
	if err != nil {
		return err
	}
	var entries []schedules.Entry
	var errs []error
	for i := range list {
		e, err := scheduleEntry(&list[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("registry %s: %w", list[i].Name, err)) // the others are still looked at
			continue
		}
		entries = append(entries, e)
	}
	return errors.Join(append(errs, schedules.Timetable{Client: s.Client, Installation: s.Store.InstallationID}.Synchronize(ctx, scheduleIDPrefix, entries, func(ctx context.Context, id string) (bool, error) {
		list, err := s.Store.ListScheduledAssetRegistries(ctx)
		return slices.ContainsFunc(list, func(r models.AssetRegistry) bool { return scheduleID(r.ID) == id }), err
	}))...)
}
