package activities

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"slipway/models"
	"slipway/workflows"
)

// openConfirmation records that a step waits for a decision, under a code that only its link has.
func (a *Executions) openConfirmation(ctx context.Context, e *models.Execution, phase, step int, st models.PipelineStep) (*models.Confirmation, error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	code := base64.RawURLEncoding.EncodeToString(raw)
	sealed, err := a.Sealer.Encrypt([]byte(code), "confirmation:"+e.ID)
	if err != nil {
		return nil, fmt.Errorf("seal the code of a confirmation: %w", err)
	}
	limit, err := models.ParseTimeLimit(st.TimeLimit)
	if err != nil {
		return nil, invalid(fmt.Errorf("time_limit: %w", err))
	}
	remind, err := models.ParseTimeLimit(st.RemindAfter)
	if err != nil {
		return nil, invalid(fmt.Errorf("remind_after: %w", err))
	}
	fresh := models.Confirmation{ExecutionID: e.ID, Phase: phase, Step: step, CodeHash: models.HashCode(code), CodeSealed: sealed, User: st.User, Team: st.Team,
		Approvals: st.Approvals, FourEyes: st.FourEyes, RemindSeconds: int64(remind / time.Second)}
	if limit > 0 {
		at := a.Store.Now().Add(limit)
		fresh.ExpiresAt = &at
	}
	if remind > 0 {
		at := a.Store.Now().Add(remind)
		fresh.RemindAt = &at
	}
	if err := a.Store.PrepareConfirmation(ctx, &fresh); err != nil {
		return nil, err
	}
	var links []models.NewDelivery
	if a.Deliveries != nil {
		if links, err = a.Deliveries.ConfirmationLinks(ctx, e, &fresh, code, 0); err != nil {
			return nil, fmt.Errorf("find who may decide: %w", err)
		}
	}
	var c *models.Confirmation
	now := a.Store.Now()
	err = a.Store.Tx(ctx, func(tx *models.Store) error {
		if c, err = tx.OpenConfirmation(ctx, fresh); err != nil {
			return err
		}
		// Where it was opened before, those who may decide have that one's code.
		if c.ID == fresh.ID && len(links) > 0 {
			if err := a.Deliveries.Create(ctx, tx, links...); err != nil {
				return err
			}
		}
		return tx.PutSteps(ctx, models.ExecutionStep{ExecutionID: e.ID, Phase: phase, Step: step, Status: models.StatusWaiting, StartedAt: &now})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Expire ends a confirmation whose time is over, unless somebody has decided, and gives what now stands.
func (a *Executions) Expire(ctx context.Context, _ workflows.Input, confirmationID string) (workflows.Decision, error) {
	c, err := a.Service.Expire(ctx, confirmationID)
	if err != nil {
		return workflows.Decision{}, err
	}
	if c.Status != models.ConfirmationPending {
		// The workflow knows by this answer; it need not be told again.
		if err := a.Store.ConfirmationSignalled(ctx, c.ID); err != nil {
			return workflows.Decision{}, err
		}
	}
	return workflows.Decision{ConfirmationID: c.ID, Status: c.Status, By: c.DecidedByName}, nil
}
