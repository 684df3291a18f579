package activities

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"slipway/models"
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
	fresh := models.Confirmation{ID: models.NewID(), ExecutionID: e.ID, Phase: phase, Step: step, CodeHash: models.HashCode(code), CodeSealed: sealed, User: st.User, Team: st.Team}
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
