package inventory

import (
	"context"
	"fmt"

	"slipway/models"
	"slipway/policies"
)

// Wipe removes everything: namespaces, applications, releases, tags, providers and packages. It is for development mode
// and works also after the storage folder was deleted.
func (s *Service) Wipe(ctx context.Context, by policies.Subject) error {
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.WipeInventory(ctx, packages); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{Action: "installation:update", ResourceKind: "inventory", ResourceName: "everything"}.ActorOf(by))
	})
	if err != nil {
		return fmt.Errorf("wipe the inventory: %w", err)
	}
	if _, err := s.Blob.DeletePrefix(ctx, packages); err != nil {
		return fmt.Errorf("wipe the inventory: %w", err)
	}
	return nil
}
