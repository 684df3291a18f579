package models

import (
	"context"
	"time"

	"gorm.io/gorm"

	"slipway/internal/problem"
	"slipway/policies"
)

// MaxSchedules is how many schedules a project may have.
const MaxSchedules = 200

// What a schedule does at a time at which an execution that it started has not ended.
const (
	OverlapSkip        = "skip"         // nothing: the time is recorded as skipped
	OverlapQueueOne    = "queue_one"    // it waits for the end; while one waits, others are skipped
	OverlapQueueAll    = "queue_all"    // it waits for its turn
	OverlapCancelOlder = "cancel_older" // the older execution is cancelled, and this one begins when that has ended
	OverlapAllow       = "allow"        // it begins beside the older one
)

// Schedule triggers a build or a pipeline at the times of cron expressions. The row is the truth; a Temporal schedule is
// made to agree with it.
type Schedule struct {
	ID            string `gorm:"primaryKey"`
	ProjectID     string
	EnvironmentID string // of a build; "" for pipelines
	Name          string
	// Kind is KindBuild or KindPipeline. Neither builds, pipelines nor environments ever change their names.
	Kind            string
	SubjectID       string
	SubjectName     string
	EnvironmentName string
	Cron            []string `gorm:"serializer:json"`
	// TimeZone is an IANA name.
	TimeZone string
	Overlap  string
	// CatchUpSeconds is how late a run may begin after an outage; later ones are missed. JitterSeconds is by how much at
	// most a run is put off at random.
	CatchUpSeconds, JitterSeconds int64
	Paused                        bool
	// Note says why it is paused, or anything else that people want to know.
	Note string
	// ActorKind, ActorID and ActorName are who saved it last: it acts as they do.
	ActorKind, ActorID, ActorName string
	// Version rises with every change; SyncedVersion is the one that Temporal has. Problem is why Temporal refused it.
	Version, SyncedVersion int64
	Problem                string
	CreatedAt, UpdatedAt   time.Time
	// RemovedAt is set where the schedule is gone for everybody and Temporal has not been told yet.
	RemovedAt *time.Time

	// ProjectName is read only, filled by queries.
	ProjectName string `gorm:"->"`
}

// CreateSchedule adds a schedule. ErrExists where the project has one of that name.
func (s *Store) CreateSchedule(ctx context.Context, c *Schedule) error {
	c.ID, c.Version, c.CreatedAt, c.UpdatedAt = NewID(), 1, s.Now(), s.Now()
	return s.Tx(ctx, func(tx *Store) error {
		// The project's row is locked, so that the limit and a deletion of the project at the same time hold.
		if err := found(tx.writer(ctx).Exec("UPDATE projects SET id = id WHERE id = ?", c.ProjectID)); err != nil {
			return err
		}
		var n int64
		if err := tx.writer(ctx).Model(&Schedule{}).Where("project_id = ? AND removed_at IS NULL", c.ProjectID).Count(&n).Error; err != nil {
			return err
		}
		if n >= MaxSchedules {
			return problem.New(problem.Conflict, "a project has at most %d schedules", MaxSchedules)
		}
		table := "builds"
		if c.Kind == KindPipeline {
			table = "pipelines"
		}
		if err := found(tx.writer(ctx).Exec("UPDATE "+table+" SET id = id WHERE id = ?", c.SubjectID)); err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(c))
	})
}

// UpdateSchedule writes what may change of a schedule and counts its version up.
func (s *Store) UpdateSchedule(ctx context.Context, c *Schedule) error {
	c.UpdatedAt = s.Now()
	return s.Tx(ctx, func(tx *Store) error {
		now, err := tx.LockSchedule(ctx, c.ID)
		if err != nil {
			return err
		}
		c.Version, c.Problem = now.Version+1, ""
		return found(tx.writer(ctx).Model(&Schedule{}).Where("id = ?", c.ID).
			Select("cron", "time_zone", "overlap", "catch_up_seconds", "jitter_seconds", "paused", "note", "actor_kind", "actor_id", "actor_name", "version", "problem", "updated_at").Updates(c))
	})
}

// LockSchedule reads a schedule and keeps others from changing it, or from deciding about its runs, until the surrounding
// transaction ends.
func (s *Store) LockSchedule(ctx context.Context, id string) (*Schedule, error) {
	if err := found(s.writer(ctx).Exec("UPDATE schedules SET version = version WHERE id = ? AND removed_at IS NULL", id)); err != nil {
		return nil, err
	}
	var c Schedule
	err := one(s.writer(ctx).Where("id = ?", id).Take(&c))
	return &c, err
}

// PauseSchedule pauses or resumes a schedule. What waits for the end of an execution is skipped when it pauses, but not
// what a backfill asked for.
func (s *Store) PauseSchedule(ctx context.Context, id string, paused bool, note string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := found(tx.writer(ctx).Model(&Schedule{}).Where("id = ? AND removed_at IS NULL", id).
			Updates(map[string]any{"paused": paused, "note": note, "version": gorm.Expr("version + 1"), "updated_at": tx.Now()})); err != nil || !paused {
			return err
		}
		return tx.writer(ctx).Model(&ScheduleRun{}).Where("schedule_id = ? AND state = ? AND NOT backfill", id, RunWaiting).
			Updates(map[string]any{"state": RunSkipped, "reason": "the schedule was paused", "decided_at": tx.Now()}).Error
	})
}

// RemoveSchedule takes a schedule away for everybody. Its row goes once Temporal has forgotten it; see PurgeSchedule.
func (s *Store) RemoveSchedule(ctx context.Context, id string) error {
	return found(s.removeSchedules(ctx, "id = ?", id))
}

// removeSchedules removes the schedules of a thing that is deleted, in the same transaction.
func (s *Store) removeSchedules(ctx context.Context, where string, id string) *gorm.DB {
	return s.writer(ctx).Model(&Schedule{}).Where("removed_at IS NULL").Where(where, id).Updates(map[string]any{"removed_at": s.Now()})
}

// PurgeSchedule deletes the row of a removed schedule, with its runs.
func (s *Store) PurgeSchedule(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.writer(ctx).Exec("DELETE FROM schedule_runs WHERE schedule_id IN (SELECT id FROM schedules WHERE id = ? AND removed_at IS NOT NULL)", id).Error; err != nil {
			return err
		}
		return tx.writer(ctx).Where("id = ? AND removed_at IS NOT NULL", id).Delete(&Schedule{}).Error
	})
}

func (s *Store) schedules(ctx context.Context) *gorm.DB {
	return s.reader(ctx).Table("schedules").Select("schedules.*, projects.name AS project_name").
		Joins("JOIN projects ON projects.id = schedules.project_id").Where("schedules.removed_at IS NULL")
}

// ScheduleByName finds a schedule of a project.
func (s *Store) ScheduleByName(ctx context.Context, projectID, name string) (*Schedule, error) {
	var c Schedule
	err := one(s.schedules(ctx).Where("schedules.project_id = ? AND schedules.name = ?", projectID, name).Take(&c))
	return &c, err
}

// ScheduleByID finds a schedule, also one that was removed and that Temporal has not forgotten yet.
func (s *Store) ScheduleByID(ctx context.Context, id string) (*Schedule, error) {
	var c Schedule
	err := one(s.writer(ctx).Where("id = ?", id).Take(&c))
	return &c, err
}

// ListSchedules lists schedules by name, in one query: those of a project, or all that v shows.
func (s *Store) ListSchedules(ctx context.Context, projectID string, v *policies.Visible) ([]Schedule, error) {
	q := s.schedules(ctx)
	if projectID != "" {
		q = q.Where("schedules.project_id = ?", projectID)
	}
	if v != nil {
		q = q.Scopes(s.visibleProjects(*v, "schedules.project_id"))
	}
	var list []Schedule
	err := q.Order("project_name, schedules.name").Find(&list).Error
	return list, err
}

// ScheduleIDs gives the ids of all schedules that are not removed, and whether they are paused.
func (s *Store) ScheduleIDs(ctx context.Context) (map[string]bool, error) {
	var rows []Schedule
	if err := s.reader(ctx).Select("id", "paused").Where("removed_at IS NULL").Find(&rows).Error; err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(rows))
	for _, r := range rows {
		ids[r.ID] = r.Paused
	}
	return ids, nil
}

// SchedulesUnsynced gives the ids of schedules that Temporal has not heard of as they are now.
func (s *Store) SchedulesUnsynced(ctx context.Context, limit int) ([]string, error) {
	var ids []string
	err := s.reader(ctx).Model(&Schedule{}).Where("synced_version < version OR removed_at IS NOT NULL").Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, err
}

// ScheduleSynced records that Temporal has a version of a schedule, or why it refused it. ErrConflict says that there is a
// newer one.
func (s *Store) ScheduleSynced(ctx context.Context, id string, version int64, problem string) error {
	return changed(s.writer(ctx).Model(&Schedule{}).Where("id = ? AND version = ?", id, version).Updates(map[string]any{"synced_version": version, "problem": clip(problem, 1000)}))
}
