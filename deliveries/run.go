package deliveries

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"slipway/internal/periodic"
	"slipway/models"
)

// How long Run leaves a delivery to others.
const (
	// startAfter is for one that whoever made it should have started.
	startAfter = 2 * time.Second
	// checkAfter is for one whose workflow was started; it may wait an hour for its next attempt.
	checkAfter = 10 * time.Minute
	// expireEvery is how often old deliveries are removed.
	expireEvery = time.Hour
	batch       = 200
)

// Run turns changes of status into deliveries, starts what nobody started, ends what was terminated, and removes what is
// old, until ctx ends. Any number of processes may run it. Without Temporal, deliveries wait.
func (s *Service) Run(ctx context.Context) {
	var expired time.Time
	periodic.Run(ctx, s.Every, s.Log, "deliveries could not all be looked after", func(ctx context.Context) error {
		err := s.round(ctx)
		if now := s.Store.Now(); err == nil && now.Sub(expired) >= expireEvery {
			expired, err = now, s.expire(ctx)
		}
		return err
	})
}

// Start starts the workflows of deliveries that this process has made, as soon as they are committed, until ctx ends.
func (s *Service) Start(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-s.started:
			if err := s.start(ctx, id); err != nil && ctx.Err() == nil {
				s.Log.InfoContext(ctx, "a delivery is recorded, and starts when it can", "delivery", id, "error", err)
			}
		}
	}
}

func (s *Service) round(ctx context.Context) error {
	errs := []error{s.Expand(ctx)}
	now := s.Store.Now()
	list, err := s.Store.TakeDeliveries(ctx, now.Add(-startAfter), now.Add(-checkAfter), batch)
	errs = append(errs, err)
	for i := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.look(ctx, &list[i]); err != nil {
			errs = append(errs, fmt.Errorf("delivery %s: %w", list[i].ID, err))
			var away *serviceerror.Unavailable
			if errors.As(err, &away) || errors.Is(err, context.DeadlineExceeded) {
				break // the others would only wait for the same time-out
			}
		}
	}
	return errors.Join(errs...)
}

// look compares an open delivery with its workflow.
func (s *Service) look(ctx context.Context, d *models.Delivery) error {
	if d.StartedAt == nil && !d.Child {
		return s.start(ctx, d.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	w, err := s.Client.DescribeWorkflowExecution(ctx, d.ID, "")
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone) && d.Child:
		return s.orphan(ctx, d)
	case errors.As(err, &gone):
		return s.start(ctx, d.ID)
	case err != nil:
		return err
	}
	status := models.StatusFailed
	reason := "its workflow ended without saying how"
	switch w.GetWorkflowExecutionInfo().GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return nil
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		status, reason = models.StatusCancelled, "cancelled"
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		reason = "its workflow was terminated"
	}
	if err := s.Store.EndDelivery(ctx, d.ID, status, reason); !errors.Is(err, models.ErrFinal) {
		return err
	}
	return nil
}

// orphan ends a delivery that a pipeline should have sent, where the pipeline has ended.
func (s *Service) orphan(ctx context.Context, d *models.Delivery) error {
	e, err := s.Store.ExecutionByID(ctx, d.ExecutionID)
	if err != nil && !errors.Is(err, models.ErrNotFound) || err == nil && !e.Status.Final() {
		return err
	}
	if err := s.Store.EndDelivery(ctx, d.ID, models.StatusCancelled, "the pipeline that should have sent it has ended"); !errors.Is(err, models.ErrFinal) {
		return err
	}
	return nil
}

// expire removes deliveries that are past their retention.
func (s *Service) expire(ctx context.Context) error {
	for {
		n, err := s.Store.DeleteOldDeliveries(ctx, s.Store.Now().Add(-s.Retention), 1000)
		if err != nil || n < 1000 {
			return err
		}
	}
}
