package inventory

import (
	"context"
	"maps"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// Tag points a tag at the release that an id names, which may itself be a query or another tag. A tag that points
// elsewhere is moved. models.ErrNotFound if there is no such release.
func (s *Service) Tag(ctx context.Context, id release.ID, tag string, by policies.Subject) error {
	_, err := s.tag(ctx, id, tag, by, nil)
	return err
}

// TagRelease is Service.Tag with the rights of an execution. It gives the release that the id led to.
func (e ForExecution) TagRelease(ctx context.Context, id release.ID, tag string) (release.ID, error) {
	n, err := e.Store.NamespaceByName(ctx, id.Project)
	if err != nil {
		return id, err
	}
	ok, err := e.allowed(ctx, n.ProjectID, n.OrganizationID, "release:tag")
	if err != nil {
		return id, err
	}
	if !ok {
		return id, problem.New(problem.Forbidden, "%s may not tag releases in the namespace '%s'", e.Subject.Name, id.Project)
	}
	return e.tag(ctx, id, tag, e.Subject, map[string]any{"execution": e.ExecutionID})
}

func (s *Service) tag(ctx context.Context, id release.ID, tag string, by policies.Subject, detail map[string]any) (release.ID, error) {
	if !release.ValidTag(tag) {
		return id, problem.New(problem.Invalid, "The tag '%s' is invalid/not supported.", tag)
	}
	f, err := s.Find(ctx, id.Project, id.Name, id.Query())
	if err != nil {
		return id, err
	}
	line := map[string]any{"tag": tag}
	maps.Copy(line, detail)
	return f.ID(), s.Store.Tx(ctx, func(tx *models.Store) error {
		n, err := tx.NamespaceByName(ctx, id.Project)
		if err != nil {
			return err
		}
		if err := tx.TagRelease(ctx, f.Application.ID, tag, f.Release.ID, nameOf(by)); err != nil {
			return err
		}
		return audit(ctx, tx, by, "release:tag", "release", f.ID().String(), n, line)
	})
}
