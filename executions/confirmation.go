package executions

import (
	"context"
	"errors"

	"slipway/models"
	"slipway/policies"
)

// Reminder tells those who may decide a confirmation that it still waits. number counts from 1; the same one twice is
// told once.
type Reminder func(ctx context.Context, confirmationID string, number int) error

// SetReminder sets what reminds people. Without it nobody is reminded.
func (s *Service) SetReminder(r Reminder) { s.remind = r }

// Expire ends a confirmation whose time is over, with its line in the audit log, and gives what it is then: whoever was
// first, the clock or a person, has decided. One whose time is not over stays as it is.
func (s *Service) Expire(ctx context.Context, confirmationID string) (*models.Confirmation, error) {
	var c *models.Confirmation
	err := s.store.Tx(ctx, func(tx *models.Store) error {
		ended, err := tx.ExpireConfirmation(ctx, confirmationID)
		if err != nil {
			return err
		}
		if c, err = tx.ConfirmationByID(ctx, confirmationID); err != nil || !ended {
			return err
		}
		e, err := tx.ExecutionByID(ctx, c.ExecutionID)
		if err != nil {
			return err
		}
		return tx.Audit(ctx, decisionLine(e, "confirmation:time-out", policies.Subject{Kind: "system", Name: "slipway"}))
	})
	return c, err
}

// reconcileConfirmations ends confirmations that no workflow has ended in time, and reminds people.
func (s *Service) reconcileConfirmations(ctx context.Context, cfg ReconcileConfig) error {
	var errs []error
	late, err := s.store.ConfirmationsToExpire(ctx, s.store.Now().Add(-cfg.Every), cfg.Batch)
	errs = append(errs, err)
	for i := range late {
		c, err := s.Expire(ctx, late[i].ID)
		errs = append(errs, err)
		if err == nil && c.Status == models.ConfirmationTimedOut {
			s.metrics.reconciled.WithLabelValues("expire-confirmation").Inc()
			errs = append(errs, s.tellDecision(ctx, c))
		}
	}
	if s.remind == nil {
		return errors.Join(errs...)
	}
	due, err := s.store.ConfirmationsToRemind(ctx, cfg.Batch)
	errs = append(errs, err)
	for i := range due {
		if err := s.remind(ctx, due[i].ID, due[i].Reminders+1); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, s.store.ConfirmationReminded(ctx, &due[i]))
	}
	return errors.Join(errs...)
}
