package schedules

import (
	"context"
	"errors"
	"strings"
	"time"

	"slipway/internal/periodic"
	"slipway/internal/problem"
	"slipway/models"
)

const (
	reconcileEvery = 2 * time.Second
	// compareEvery is how often all of Temporal's schedules are compared with the rows.
	compareEvery = 5 * time.Minute
)

// Reconcile keeps Temporal's schedules in agreement with the rows until ctx ends, and starts what waits. Any number of
// processes may run it.
func (s *Service) Reconcile(ctx context.Context, every time.Duration) {
	if every == 0 {
		every = reconcileEvery
	}
	var compared time.Time
	periodic.Run(ctx, every, s.Log, "the schedules could not be reconciled", func(ctx context.Context) error {
		err := s.reconcileOnce(ctx)
		if err == nil && time.Since(compared) >= compareEvery {
			// At first all are written again: the rules of a time zone may have changed with the program.
			if err = s.Compare(ctx, compared.IsZero()); err == nil {
				compared = time.Now()
			}
		}
		return err
	})
}

func (s *Service) reconcileOnce(ctx context.Context) error {
	waiting, err := s.Store.SchedulesWithWaitingRuns(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range waiting {
		errs = append(errs, s.startWaiting(ctx, id))
	}
	ids, err := s.Store.SchedulesUnsynced(ctx, 100)
	errs = append(errs, err)
	for _, id := range ids {
		if err := s.synchronize(ctx, id); err != nil {
			errs = append(errs, err) // the others would only wait for the same time-out
			break
		}
	}
	return errors.Join(errs...)
}

// synchronize makes Temporal's schedule what the row says. Two processes that do it at once may write the older version
// last: whoever finds that the row has moved on writes again.
func (s *Service) synchronize(ctx context.Context, id string) error {
	for range 5 {
		c, err := s.Store.ScheduleByID(ctx, id)
		if errors.Is(err, models.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.RemovedAt != nil {
			if err := s.Timetable.Remove(ctx, TemporalID(id)); err != nil {
				return err
			}
			return s.Store.PurgeSchedule(ctx, id)
		}
		e, err := entry(c)
		if err == nil {
			err = s.Timetable.Put(ctx, e)
		}
		refused := ""
		var p *problem.Error
		switch {
		case errors.Is(err, ErrRefused):
			refused = err.Error()
		case errors.As(err, &p) && p.Kind == problem.Invalid:
			refused = p.Error() // it was saved by a version that took it
		case err != nil:
			return err
		}
		if err = s.Store.ScheduleSynced(ctx, id, c.Version, refused); !errors.Is(err, models.ErrConflict) {
			return err
		}
	}
	return nil
}

// Compare looks for schedules that Temporal has lost, or paused, or should not have, after a restart from nothing or a
// restored backup, or where somebody paused one in the Web UI. all writes those again that look right, too.
func (s *Service) Compare(ctx context.Context, all bool) error {
	rows, err := s.Store.ScheduleIDs(ctx)
	if err != nil {
		return err
	}
	have, err := s.Timetable.List(ctx, idPrefix)
	if err != nil {
		return err
	}
	for id, paused := range rows {
		if is, ok := have[TemporalID(id)]; ok && is.Paused == paused && !all {
			continue
		}
		if err := s.synchronize(ctx, id); err != nil {
			return err
		}
	}
	for temporalID, is := range have {
		if !is.Own {
			continue // of another installation in the same namespace
		}
		id := strings.TrimPrefix(temporalID, idPrefix)
		if _, ok := rows[id]; ok {
			continue
		}
		if _, err := s.Store.ScheduleByID(ctx, id); !errors.Is(err, models.ErrNotFound) {
			if err != nil {
				return err
			}
			continue // it came meanwhile, or is being removed
		}
		if err := s.Timetable.Remove(ctx, temporalID); err != nil {
			return err
		}
	}
	return nil
}
