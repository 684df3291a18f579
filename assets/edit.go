package assets

import (
	"context"
	"slices"
	"strings"

	"slipway/models"
	"slipway/policies"
)

// MaxEdits is how many assets one call can change.
const MaxEdits = 100

// Edit changes assets that a scope sees, all or none, and gives them as they are afterwards, in the order of the edits.
// Errors about one edit are *models.MissingAssetError and *models.AssetEditError.
func (s *Service) Edit(ctx context.Context, scope Scope, by policies.Subject, edits []models.AssetEdit) ([]models.Asset, error) {
	organizations, err := s.organizations(ctx, scope)
	if err != nil {
		return nil, err
	}
	edits = slices.Clone(edits)
	for i := range edits {
		edits[i].ID = strings.ToLower(edits[i].ID)
	}
	var after []models.Asset
	err = s.store.Tx(ctx, func(tx *models.Store) error {
		if after, err = tx.EditAssets(ctx, organizations, edits, true); err != nil {
			return err
		}
		ids := make([]string, len(edits))
		for i := range edits {
			ids[i] = edits[i].ID
		}
		return tx.Audit(ctx, models.AuditEntry{Action: "asset:update", ResourceKind: scope.Kind, ResourceID: scope.ID, Result: "ok",
			Detail: map[string]any{"assets": ids}}.ActorOf(by))
	})
	return after, err
}
