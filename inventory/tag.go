package inventory

import (
	"context"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// Tag points a tag at the release that an id names, which may itself be a query or another tag. A tag that points
// elsewhere is moved. models.ErrNotFound if there is no such release.
func (s *Service) Tag(ctx context.Context, id release.ID, tag string, by policies.Subject) error {
	if !release.ValidTag(tag) {
		return problem.New(problem.Invalid, "The tag '%s' is invalid/not supported.", tag)
	}
	f, err := s.Find(ctx, id.Project, id.Name, id.Query())
	if err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		n, err := tx.NamespaceByName(ctx, id.Project)
		if err != nil {
			return err
		}
		if err := tx.TagRelease(ctx, f.Application.ID, tag, f.Release.ID, nameOf(by)); err != nil {
			return err
		}
		return audit(ctx, tx, by, "release:tag", "release", f.ID().String(), n, map[string]any{"tag": tag})
	})
}
