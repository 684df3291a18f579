// Package schedules triggers builds and pipelines at the times of cron expressions, and keeps the schedules of Temporal
// for everything that has one.
//
// The table is the truth. A Temporal schedule is made to agree with each row and starts a small workflow at its times,
// whose activity calls Service.Fire: that records the run and, where the overlap policy allows, triggers the execution
// under the key schedule/<id>/<time>, so that a repetition is the same execution.
//
// The overlap policy is Slipway's own and not Temporal's: Temporal's would look at the small workflow, which ends at once.
// Letting that workflow wait for the execution would cost an open workflow and a poll for each, and would forget the queue
// where somebody ends it; a row costs nothing and can be seen. What waits is started by the reconciler once nothing of the
// schedule is at work.
package schedules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	_ "time/tzdata" // images need not have the zones

	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/cron"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// Limits of schedules.
const (
	maxExpressions = 10
	maxCatchUp     = 31 * 24 * time.Hour
	minCatchUp     = 10 * time.Second
	maxJitter      = 24 * time.Hour
	maxNote        = 1000
	// MaxBackfill is how many times one backfill may cover, and maxBackfillRange how long a range.
	MaxBackfill      = 500
	maxBackfillRange = 10 * 366 * 24 * time.Hour
)

// Executions is what schedules ask of executions.Service.
type Executions interface {
	Trigger(ctx context.Context, req executions.TriggerRequest) (*models.Execution, error)
	Cancel(ctx context.Context, executionID string, by policies.Subject) error
}

// Policy is what schedules ask of policies.Engine.
type Policy interface {
	Allow(ctx context.Context, s policies.Subject, action string, r policies.Resource) (bool, error)
}

// Service keeps schedules and does what they are for. It is safe for concurrent use.
type Service struct {
	Store      *models.Store
	Executions Executions
	Policy     Policy
	Timetable  Timetable
	Log        *slog.Logger
}

// idPrefix begins the ids of Temporal's schedules of builds and pipelines.
const idPrefix = "schedule-"

// TemporalID is the id of a schedule in Temporal.
func TemporalID(id string) string { return idPrefix + id }

// Check finds what is wrong with a schedule that somebody wants to save, and fills in what was left out.
func Check(c *models.Schedule) error {
	if len(c.Cron) == 0 || len(c.Cron) > maxExpressions {
		return problem.BadField("cron", "expected 1 to %d cron expressions", maxExpressions)
	}
	if _, err := expressions(c); err != nil {
		return err
	}
	if c.TimeZone == "" {
		c.TimeZone = "UTC"
	}
	if _, err := zone(c.TimeZone); err != nil {
		return err
	}
	switch c.Overlap {
	case "":
		c.Overlap = models.OverlapSkip
	case models.OverlapSkip, models.OverlapQueueOne, models.OverlapQueueAll, models.OverlapCancelOlder, models.OverlapAllow:
	default:
		return problem.BadField("overlap", "expected skip, queue_one, queue_all, cancel_older or allow")
	}
	if c.CatchUpSeconds == 0 {
		c.CatchUpSeconds = int64(time.Hour / time.Second)
	}
	if d := time.Duration(c.CatchUpSeconds); d < minCatchUp/time.Second || d > maxCatchUp/time.Second {
		return problem.BadField("catch_up_seconds", "expected %d to %d seconds", minCatchUp/time.Second, maxCatchUp/time.Second)
	}
	if c.JitterSeconds < 0 || c.JitterSeconds > int64(maxJitter/time.Second) {
		return problem.BadField("jitter_seconds", "expected 0 to %d seconds", maxJitter/time.Second)
	}
	if len(c.Note) > maxNote {
		return problem.BadField("note", "expected at most %d characters", maxNote)
	}
	return nil
}

func expressions(c *models.Schedule) ([]cron.Expression, error) {
	list := make([]cron.Expression, len(c.Cron))
	for i, text := range c.Cron {
		var err error
		if list[i], err = cron.Parse(text); err != nil {
			return nil, problem.BadField(fmt.Sprintf("cron[%d]", i), "%s", err.Error())
		}
	}
	return list, nil
}

// zone loads a time zone by its IANA name. Go also takes "Local", which would mean something else on each machine.
func zone(name string) (*time.Location, error) {
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" || len(name) > 100 || strings.ContainsAny(name, "\\") {
		return nil, problem.BadField("time_zone", "expected the IANA name of a time zone, such as Europe/Berlin or UTC")
	}
	return z, nil
}

// Next gives the next n times of a schedule, before any jitter; none while it is paused.
func (s *Service) Next(c *models.Schedule, n int) ([]time.Time, error) {
	if c.Paused {
		return nil, nil
	}
	list, z, err := times(c)
	if err != nil {
		return nil, err
	}
	return cron.Next(list, z, s.Store.Now(), n), nil
}

func times(c *models.Schedule) ([]cron.Expression, *time.Location, error) {
	list, err := expressions(c)
	if err != nil {
		return nil, nil, err
	}
	z, err := zone(c.TimeZone)
	return list, z, err
}

// Save adds a schedule, or changes the one whose id it has. It acts as by from then on. Temporal is told; while it is
// away, the reconciler does that later, which SyncedVersion shows.
func (s *Service) Save(ctx context.Context, c *models.Schedule, by policies.Subject) error {
	if err := Check(c); err != nil {
		return err
	}
	if by.Kind != policies.KindUser && by.Kind != policies.KindServiceAccount {
		return problem.New(problem.Forbidden, "a schedule acts as the user or service account that saves it")
	}
	if err := s.mayTrigger(ctx, c, by); err != nil {
		return err
	}
	c.ActorKind, c.ActorID, c.ActorName = by.Kind, by.ID, by.Name
	action := "schedule:update"
	if c.ID == "" {
		action = "schedule:create"
	}
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		save := tx.UpdateSchedule
		if action == "schedule:create" {
			save = tx.CreateSchedule
		}
		if err := save(ctx, c); err != nil {
			return err
		}
		e := entryOf(c, action, by)
		e.Detail = map[string]any{"cron": c.Cron, "time_zone": c.TimeZone, "overlap": c.Overlap, "paused": c.Paused}
		return tx.Audit(ctx, e)
	})
	switch {
	case errors.Is(err, models.ErrExists):
		return problem.Wrap(problem.Exists, err, "the project has a schedule of the name '%s' already", c.Name)
	case err != nil:
		return err
	}
	s.told(ctx, c)
	return nil
}

// told tells Temporal of a change and brings c up to date; what cannot be told now is told by the reconciler.
func (s *Service) told(ctx context.Context, c *models.Schedule) {
	if err := s.synchronize(ctx, c.ID); err != nil {
		s.Log.WarnContext(ctx, "a schedule could not be brought to the workflow service yet", "schedule", c.ID, "error", err)
	}
	if now, err := s.Store.ScheduleByID(ctx, c.ID); err == nil {
		project := c.ProjectName
		*c = *now
		c.ProjectName = project
	}
}

// entryOf is the audit line of a change of a schedule.
func entryOf(c *models.Schedule, action string, by policies.Subject) models.AuditEntry {
	return models.AuditEntry{Action: action, ResourceKind: "schedule", ResourceID: c.ID, ResourceName: c.Name, ProjectID: c.ProjectID}.ActorOf(by)
}

// Remove removes a schedule. What it has started goes on; what waits does not begin.
func (s *Service) Remove(ctx context.Context, c *models.Schedule, by policies.Subject) error {
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.RemoveSchedule(ctx, c.ID); err != nil {
			return err
		}
		return tx.Audit(ctx, entryOf(c, "schedule:delete", by))
	})
	if err != nil {
		return err
	}
	s.told(ctx, c)
	return nil
}

// Pause pauses a schedule, with a note that says why, or lets it go on. One whose actor may not trigger any more cannot go
// on: somebody who may has to save it.
func (s *Service) Pause(ctx context.Context, c *models.Schedule, paused bool, note string, by policies.Subject) error {
	if len(note) > maxNote {
		return problem.BadField("note", "expected at most %d characters", maxNote)
	}
	if !paused {
		if actor, err := s.actor(ctx, c); err != nil {
			return err
		} else if refused := s.mayTrigger(ctx, c, actor); refused != nil {
			var p *problem.Error
			if errors.As(refused, &p) {
				return problem.New(problem.Conflict, "%s: save the schedule to let it act as you", p.Message)
			}
			return refused
		}
	}
	action := "schedule:resume"
	if paused {
		action = "schedule:pause"
	}
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.PauseSchedule(ctx, c.ID, paused, note); err != nil {
			return err
		}
		e := entryOf(c, action, by)
		e.Detail = map[string]any{"note": note}
		return tx.Audit(ctx, e)
	})
	if err != nil {
		return err
	}
	s.told(ctx, c)
	return nil
}

// Backfill records the times of a range as runs, as if they had just come, and gives how many there are and how many of
// them were known already. They run one after another, or all at once. Executions of the same time are never doubled.
func (s *Service) Backfill(ctx context.Context, c *models.Schedule, from, to time.Time, atOnce bool, by policies.Subject) (planned, known int, err error) {
	switch {
	case from.IsZero() || to.IsZero() || to.Before(from):
		return 0, 0, problem.BadField("to", "expected a range whose end is not before its beginning")
	case to.After(s.Store.Now()):
		return 0, 0, problem.BadField("to", "expected a time that has passed: the schedule itself runs what is to come")
	case to.Sub(from) > maxBackfillRange:
		return 0, 0, problem.BadField("from", "expected a range of at most ten years")
	}
	list, z, err := times(c)
	if err != nil {
		return 0, 0, err
	}
	at := cron.Between(list, z, from, to, MaxBackfill+1)
	if len(at) > MaxBackfill {
		return 0, 0, problem.BadField("to", "the range has more than %d times: the first %d end at %s", MaxBackfill, MaxBackfill, at[MaxBackfill-1].UTC().Format(time.RFC3339))
	}
	overlap := models.OverlapQueueAll
	if atOnce {
		overlap = models.OverlapAllow
	}
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		known = 0
		if _, err := tx.LockSchedule(ctx, c.ID); err != nil {
			return err
		}
		for _, t := range at {
			isNew, err := tx.PlaceRun(ctx, models.ScheduleRun{ScheduleID: c.ID, Nominal: t.Unix(), Overlap: overlap, Backfill: true,
				AskedByKind: by.Kind, AskedByID: by.ID, AskedByName: by.Name})
			if err != nil {
				return err
			}
			if !isNew {
				known++
			}
		}
		e := entryOf(c, "schedule:backfill", by)
		e.Detail = map[string]any{"from": from.UTC().Format(time.RFC3339), "to": to.UTC().Format(time.RFC3339), "times": len(at), "known": known}
		return tx.Audit(ctx, e)
	})
	if err != nil {
		return 0, 0, err
	}
	if err := s.startWaiting(ctx, c.ID); err != nil {
		s.Log.WarnContext(ctx, "a backfill could not begin yet", "schedule", c.ID, "error", err)
	}
	return len(at) - known, known, nil
}

// entry is what Temporal's schedule should be.
func entry(c *models.Schedule) (Entry, error) {
	list, z, err := times(c)
	if err != nil {
		return Entry{}, err
	}
	return Entry{ID: TemporalID(c.ID), Expressions: list, Zone: z, Jitter: time.Duration(c.JitterSeconds) * time.Second,
		Workflow: workflows.ScheduleWorkflow, Input: workflows.ScheduleInput{ScheduleID: c.ID}, TaskQueue: workflows.QueuePipelines,
		CatchUp: time.Duration(c.CatchUpSeconds) * time.Second, Paused: c.Paused, Note: c.Note,
		Summary: fmt.Sprintf("schedule %s of %s %s", c.Name, c.Kind, c.SubjectName)}, nil
}

// New makes a Service.
func New(store *models.Store, ex Executions, policy Policy, c client.Client, log *slog.Logger) *Service {
	if log == nil {
		log = slog.Default()
	}
	return &Service{Store: store, Executions: ex, Policy: policy, Timetable: Timetable{Client: c, Installation: store.InstallationID}, Log: log}
}
