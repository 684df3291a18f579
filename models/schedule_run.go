package models

import (
	"context"
	"fmt"
	"time"
)

// The states of a schedule's run. A run that has started is what its execution is.
const (
	RunWaiting  = "waiting"  // for the end of an execution, or for its turn
	RunStarting = "starting" // it is being triggered
	RunStarted  = "started"
	RunSkipped  = "skipped" // by the overlap policy
	RunMissed   = "missed"  // it came later than the catch-up window allows
	RunFailed   = "failed"  // it could not be triggered
)

// keepRuns is how many runs of a schedule are remembered.
const keepRuns = 500

// maxWaiting is how many runs of a schedule may wait, backfills aside.
const maxWaiting = 100

// ScheduleRun is one time of a schedule, and what came of it.
type ScheduleRun struct {
	ID         string `gorm:"primaryKey"`
	ScheduleID string
	// Nominal is the time that the schedule means, before any jitter, in seconds since 1970.
	Nominal int64
	// Overlap is the policy that it came under.
	Overlap  string
	Backfill bool
	// AskedByKind, AskedByID and AskedByName are who asked for a backfill.
	AskedByKind string
	AskedByID   string
	AskedByName string
	State       string
	Reason      string
	ExecutionID string
	CreatedAt   time.Time
	// DecidedAt is when it came to its state.
	DecidedAt *time.Time

	// Number and Status are the execution's. Read only, filled by queries.
	Number int64  `gorm:"-"`
	Status Status `gorm:"-"`
	// Cancelling says that the execution has been asked to end.
	Cancelling bool `gorm:"-"`
}

// Time is the time that the schedule means.
func (r *ScheduleRun) Time() time.Time { return time.Unix(r.Nominal, 0).UTC() }

// open says whether the run's execution may still do something.
func (r *ScheduleRun) open() bool {
	return r.State == RunStarting || r.State == RunStarted && !r.Status.Final()
}

// Arrival is what a run does that comes while others are there: wait (and begin at once where nothing is in its way), or
// be skipped with a reason.
type Arrival struct {
	State, Reason string
	// Skip are waiting runs whose place it takes.
	Skip []string
}

// Arrive decides by a schedule's overlap policy what a run does whose time has come. runs are those of the schedule that
// wait or have not ended.
func Arrive(overlap string, runs []ScheduleRun) Arrival {
	var open, waiting []ScheduleRun
	for _, r := range runs {
		switch {
		case r.open():
			open = append(open, r)
		case r.State == RunWaiting && !r.Backfill && r.Overlap != OverlapAllow:
			waiting = append(waiting, r)
		}
	}
	a := Arrival{State: RunWaiting}
	skip := func(format string, args ...any) Arrival {
		return Arrival{State: RunSkipped, Reason: fmt.Sprintf(format, args...)}
	}
	switch overlap {
	case OverlapSkip:
		if len(open) > 0 {
			return skip("%s was still at work", open[0].what())
		}
		if len(waiting) > 0 {
			return skip("the run of %s was still waiting", waiting[0].Time().Format(time.RFC3339))
		}
	case OverlapQueueOne:
		if len(waiting) > 0 {
			return skip("the run of %s was waiting already", waiting[0].Time().Format(time.RFC3339))
		}
	case OverlapQueueAll:
		if len(waiting) >= maxWaiting {
			return skip("%d runs were waiting already", len(waiting))
		}
	case OverlapCancelOlder:
		for _, r := range waiting {
			a.Skip = append(a.Skip, r.ID)
		}
	}
	return a
}

func (r *ScheduleRun) what() string {
	if r.Number == 0 {
		return "the run of " + r.Time().Format(time.RFC3339)
	}
	return fmt.Sprintf("execution #%d", r.Number)
}

// PlaceRun records that a time of a schedule has come; one that is known already changes nothing, and is not new. It runs
// in the transaction that locked the schedule.
func (s *Store) PlaceRun(ctx context.Context, r ScheduleRun) (isNew bool, err error) {
	var known int64
	if err := s.writer(ctx).Model(&ScheduleRun{}).Where("schedule_id = ? AND nominal = ?", r.ScheduleID, r.Nominal).Count(&known).Error; err != nil || known > 0 {
		return false, err
	}
	r.ID, r.CreatedAt = NewID(), s.Now()
	switch {
	case r.State != "":
	case r.Backfill: // asked for by a person, and bounded
		r.State = RunWaiting
	default:
		others, err := s.unendedRuns(ctx, r.ScheduleID)
		if err != nil {
			return false, err
		}
		a := Arrive(r.Overlap, others)
		r.State, r.Reason = a.State, a.Reason
		if len(a.Skip) > 0 {
			if err := s.writer(ctx).Model(&ScheduleRun{}).Where("id IN ?", a.Skip).
				Updates(map[string]any{"state": RunSkipped, "reason": "a newer run took its place", "decided_at": s.Now()}).Error; err != nil {
				return false, err
			}
		}
	}
	if r.State != RunWaiting {
		now := s.Now()
		r.DecidedAt = &now
	}
	if err := s.writer(ctx).Create(&r).Error; err != nil {
		return false, err
	}
	if r.Backfill {
		return true, nil // the next ordinary run forgets
	}
	return true, s.forgetRuns(ctx, r.ScheduleID)
}

// forgetRuns bounds what is remembered of a schedule. Those that have not ended are kept, however old they are: the overlap
// policy asks for them.
func (s *Store) forgetRuns(ctx context.Context, scheduleID string) error {
	return s.writer(ctx).Exec(`DELETE FROM schedule_runs WHERE schedule_id = ? AND state NOT IN (?, ?) AND id < (
		SELECT id FROM schedule_runs WHERE schedule_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
		AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = schedule_runs.execution_id AND e.status IN ?)`,
		scheduleID, RunWaiting, RunStarting, scheduleID, keepRuns, openStatuses).Error
}

const runsWithExecutions = `SELECT r.*, e.number AS execution_number, e.status AS execution_status, e.cancel_requested_at FROM schedule_runs r LEFT JOIN executions e ON e.id = r.execution_id AND r.execution_id <> '' `

// unendedRuns are those that wait, start, or have an execution that has not ended; oldest first.
func (s *Store) unendedRuns(ctx context.Context, scheduleID string) ([]ScheduleRun, error) {
	return s.scanRuns(ctx, true, runsWithExecutions+`WHERE r.schedule_id = ? AND (r.state IN (?, ?) OR r.state = ? AND e.status IN ?) ORDER BY r.nominal`,
		scheduleID, RunWaiting, RunStarting, RunStarted, openStatuses)
}

// ListRuns gives runs of a schedule with the numbers and statuses of their executions, the newest first: those before one
// whose id is given, or with "" from the newest on.
func (s *Store) ListRuns(ctx context.Context, scheduleID, before string, limit int) ([]ScheduleRun, error) {
	if limit <= 0 {
		limit = 50
	}
	query, args := runsWithExecutions+`WHERE r.schedule_id = ? `, []any{scheduleID}
	if before != "" { // no text is behind every id under every collation
		query, args = query+`AND r.id < ? `, append(args, clean(before))
	}
	return s.scanRuns(ctx, false, query+`ORDER BY r.id DESC LIMIT ?`, append(args, min(limit, 1000))...)
}

// LastRuns gives the newest runs of several schedules, at most n of each, in one query.
func (s *Store) LastRuns(ctx context.Context, scheduleIDs []string, n int) (map[string][]ScheduleRun, error) {
	if len(scheduleIDs) == 0 {
		return nil, nil
	}
	list, err := s.scanRuns(ctx, false, `SELECT r.*, e.number AS execution_number, e.status AS execution_status, e.cancel_requested_at FROM (
		SELECT schedule_runs.*, ROW_NUMBER() OVER (PARTITION BY schedule_id ORDER BY id DESC) AS place FROM schedule_runs WHERE schedule_id IN ?) r
		LEFT JOIN executions e ON e.id = r.execution_id AND r.execution_id <> '' WHERE r.place <= ? ORDER BY r.id DESC`, scheduleIDs, n)
	of := map[string][]ScheduleRun{}
	for _, r := range list {
		of[r.ScheduleID] = append(of[r.ScheduleID], r)
	}
	return of, err
}

func (s *Store) scanRuns(ctx context.Context, own bool, query string, args ...any) ([]ScheduleRun, error) {
	db := s.reader(ctx)
	if own {
		db = s.writer(ctx)
	}
	var rows []struct {
		ScheduleRun
		ExecutionNumber   *int64
		ExecutionStatus   *Status
		CancelRequestedAt *time.Time
	}
	if err := db.Raw(query, args...).Scan(&rows).Error; err != nil {
		return nil, err
	}
	list := make([]ScheduleRun, len(rows))
	for i, r := range rows {
		list[i] = r.ScheduleRun
		if r.ExecutionNumber != nil {
			list[i].Number, list[i].Status, list[i].Cancelling = *r.ExecutionNumber, *r.ExecutionStatus, r.CancelRequestedAt != nil
		}
	}
	return list, nil
}

// TakeRun gives the run of a schedule that may begin now and marks it as starting, or nil: one that may begin beside
// others; else, where nothing of the schedule is at work, the one that waits longest. A run that somebody began to start
// before stale, and did not finish, is given again. Where a run waits for executions that are to be cancelled for it,
// those that nobody has cancelled yet are given. It runs in the transaction that locked the schedule.
func (s *Store) TakeRun(ctx context.Context, scheduleID string, stale time.Time) (run *ScheduleRun, cancel []string, err error) {
	runs, err := s.unendedRuns(ctx, scheduleID)
	if err != nil {
		return nil, nil, err
	}
	var open []ScheduleRun
	for i := range runs {
		r := &runs[i]
		if r.State == RunStarting && r.DecidedAt != nil && r.DecidedAt.Before(stale) {
			return r, nil, s.DecideRun(ctx, r.ID, RunStarting, "", "")
		}
		if r.open() {
			open = append(open, *r)
		}
	}
	for i := range runs {
		r := &runs[i]
		if r.State != RunWaiting {
			continue
		}
		if r.Overlap == OverlapAllow || len(open) == 0 {
			return r, nil, s.DecideRun(ctx, r.ID, RunStarting, "", "")
		}
		if r.Overlap == OverlapCancelOlder {
			for _, o := range open {
				if o.State == RunStarted && !o.Cancelling {
					cancel = append(cancel, o.ExecutionID)
				}
			}
		}
	}
	return nil, cancel, nil
}

// DecideRun writes what came of a run.
func (s *Store) DecideRun(ctx context.Context, id, state, reason, executionID string) error {
	return found(s.writer(ctx).Model(&ScheduleRun{}).Where("id = ?", id).
		Updates(map[string]any{"state": state, "reason": clip(reason, 1000), "execution_id": executionID, "decided_at": s.Now()}))
}

// FailWaitingRuns ends everything of a schedule that waits, for one reason.
func (s *Store) FailWaitingRuns(ctx context.Context, scheduleID, reason string) error {
	return s.writer(ctx).Model(&ScheduleRun{}).Where("schedule_id = ? AND state IN (?, ?)", scheduleID, RunWaiting, RunStarting).
		Updates(map[string]any{"state": RunFailed, "reason": clip(reason, 1000), "decided_at": s.Now()}).Error
}

// SchedulesWithWaitingRuns gives the ids of schedules of which something waits or is being started.
func (s *Store) SchedulesWithWaitingRuns(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.reader(ctx).Model(&ScheduleRun{}).Distinct().Where("state IN (?, ?)", RunWaiting, RunStarting).Limit(1000).Pluck("schedule_id", &ids).Error
	return ids, err
}
