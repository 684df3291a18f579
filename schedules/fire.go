package schedules

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

const (
	// maxStarts is how many runs one call begins; the reconciler begins the rest.
	maxStarts = 20
	// startingFor is after which time a run that somebody began to start, and did not finish, is started again.
	startingFor = 15 * time.Second
)

// self is who does what no person asked for.
var self = policies.Subject{Kind: "system", Name: "slipway"}

// Fire does what a schedule is for at the time nominal. It is called by the workflow that Temporal's schedule started at
// the time began, once or more than once: a time that is known already is not done again. Only faults of the database are
// errors.
func (s *Service) Fire(ctx context.Context, id string, nominal, began time.Time) error {
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		c, err := tx.LockSchedule(ctx, id)
		if err != nil {
			return err
		}
		if c.Paused {
			return nil // Temporal has not heard of it yet
		}
		if t, err := entry(c); err == nil && t.Stray(nominal) {
			return nil
		}
		r := models.ScheduleRun{ScheduleID: id, Nominal: nominal.Unix(), Overlap: c.Overlap}
		// Temporal sees to its own catch-up window; this is for the time without a worker.
		if late := tx.Now().Sub(began); late > time.Duration(c.CatchUpSeconds)*time.Second {
			r.State, r.Reason = models.RunMissed, fmt.Sprintf("no worker was there for %s, which is longer than the catch-up window", late.Round(time.Second))
		}
		_, err = tx.PlaceRun(ctx, r)
		return err
	})
	if errors.Is(err, models.ErrNotFound) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	return s.startWaiting(ctx, id)
}

// startWaiting triggers the runs of a schedule that may begin now, and cancels what they are to take the place of.
func (s *Service) startWaiting(ctx context.Context, id string) error {
	for range maxStarts {
		var c *models.Schedule
		var run *models.ScheduleRun
		var cancel []string
		err := s.Store.Tx(ctx, func(tx *models.Store) error {
			var err error
			if c, err = tx.LockSchedule(ctx, id); err != nil {
				return err
			}
			run, cancel, err = tx.TakeRun(ctx, id, tx.Now().Add(-startingFor))
			return err
		})
		if errors.Is(err, models.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range cancel {
			if err := s.Executions.Cancel(ctx, e, policies.Subject{Kind: self.Kind, Name: fmt.Sprintf("a newer run of the schedule '%s'", c.Name)}); err != nil {
				return err
			}
		}
		if run == nil {
			return nil
		}
		if again, err := s.start(ctx, c, run); err != nil || !again {
			return err
		}
	}
	return nil
}

// start triggers one run and records what came of it. False means that the others had better wait.
func (s *Service) start(ctx context.Context, c *models.Schedule, run *models.ScheduleRun) (bool, error) {
	e, err := s.trigger(ctx, c, run)
	var p *problem.Error
	switch {
	case err == nil:
		return true, s.Store.DecideRun(ctx, run.ID, models.RunStarted, "", e.ID)
	case errors.As(err, &p) && p.Kind == problem.Forbidden:
		return false, s.revoked(ctx, c, run, p.Message)
	case errors.As(err, &p):
		return true, s.Store.DecideRun(ctx, run.ID, models.RunFailed, p.Error(), "")
	}
	return false, err
}

// revoked ends a run, and all that waits, of a schedule whose actor may not trigger any more, and pauses it.
func (s *Service) revoked(ctx context.Context, c *models.Schedule, run *models.ScheduleRun, reason string) error {
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.DecideRun(ctx, run.ID, models.RunFailed, reason, ""); err != nil {
			return err
		}
		if err := tx.FailWaitingRuns(ctx, c.ID, reason); err != nil {
			return err
		}
		if err := tx.PauseSchedule(ctx, c.ID, true, "paused: "+reason); err != nil {
			return err
		}
		e := entryOf(c, "schedule:pause", self)
		e.Detail = map[string]any{"note": reason}
		return tx.Audit(ctx, e)
	})
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Log.WarnContext(ctx, "a schedule is paused", "schedule", c.ID, "reason", reason)
	s.told(ctx, c)
	return nil
}

// trigger triggers the execution of a run, as the schedule's actor, whose rights are looked at now. A problem of kind
// Forbidden says that they are gone.
func (s *Service) trigger(ctx context.Context, c *models.Schedule, run *models.ScheduleRun) (*models.Execution, error) {
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.mayTrigger(ctx, c, actor); err != nil {
		return nil, err
	}
	req, err := s.request(ctx, c)
	if err != nil {
		return nil, err
	}
	req.Trigger = models.Trigger{Type: "schedule", SubjectKind: actor.Kind, SubjectID: actor.ID, SubjectName: actor.Name}
	if run.Backfill && run.AskedByKind != "" {
		req.Trigger.AskedBy = &models.TriggerSubject{Kind: run.AskedByKind, ID: run.AskedByID, Name: run.AskedByName}
	}
	req.IdempotencyKey = fmt.Sprintf("schedule/%s/%s", c.ID, run.Time().Format(time.RFC3339))
	req.Durable = true // nobody waits for an answer: what Temporal does not take now, it takes later
	req.AuditTrigger(actor)
	return s.Executions.Trigger(ctx, req)
}

// actor loads whom a schedule acts as.
func (s *Service) actor(ctx context.Context, c *models.Schedule) (policies.Subject, error) {
	actor, err := s.Store.Subject(ctx, c.ActorKind, c.ActorID)
	if errors.Is(err, models.ErrNotFound) {
		return actor, problem.New(problem.Forbidden, "'%s', as whom it acts, does not exist or is disabled", c.ActorName)
	}
	return actor, err
}

// mayTrigger gives a problem of kind Forbidden where somebody may not trigger what the schedule is for.
func (s *Service) mayTrigger(ctx context.Context, c *models.Schedule, who policies.Subject) error {
	scopes, err := s.Store.ScopePath(ctx, c.ProjectID)
	if err != nil {
		return err
	}
	ok, err := s.Policy.Allow(ctx, who, c.Kind+":trigger", policies.Resource{Kind: c.Kind, ID: c.SubjectID, Scopes: scopes})
	if err == nil && !ok {
		err = problem.New(problem.Forbidden, "'%s' may not trigger the %s '%s'", who.Name, c.Kind, c.SubjectName)
	}
	return err
}

// request is what is triggered, as it is defined now.
func (s *Service) request(ctx context.Context, c *models.Schedule) (executions.TriggerRequest, error) {
	req := executions.TriggerRequest{Kind: c.Kind, ProjectID: c.ProjectID, EnvironmentID: c.EnvironmentID, SubjectID: c.SubjectID, SubjectName: c.SubjectName}
	gone := func(err error) error {
		if errors.Is(err, models.ErrNotFound) {
			return problem.New(problem.NotFound, "there is no %s '%s' any more", c.Kind, c.SubjectName)
		}
		return err
	}
	disabled := problem.New(problem.Conflict, "the %s '%s' is disabled", c.Kind, c.SubjectName)
	if c.Kind == models.KindPipeline {
		p, err := s.Store.PipelineByID(ctx, c.SubjectID)
		switch {
		case err != nil:
			return req, gone(err)
		case p.Disabled:
			return req, disabled
		case len(p.Phases) == 0:
			return req, problem.New(problem.Conflict, "the pipeline '%s' has no phases yet", p.Name)
		}
		req.Definition = p.Definition()
		return req, nil
	}
	b, err := s.Store.BuildByID(ctx, c.SubjectID)
	switch {
	case err != nil:
		return req, gone(err)
	case b.Disabled:
		return req, disabled
	}
	req.TaskQueue, req.Definition = b.TaskQueue, b.Definition()
	return req, nil
}
