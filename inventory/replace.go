package inventory

import (
	"context"
	"io"

	"slipway/internal/blob"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// Replace puts metadata and a package in the place of those of an existing release, for the execution with that id. Others
// see the old ones or the new ones, never a mixture; a download that has begun ends with the old bytes. The release keeps
// its tags, its downloads and the time when it was registered. Errors: models.ErrNotFound for a release that is not
// there, *problem.Error with the reason for bad metadata or a bad package; after any error the old ones stand.
//
// Of replacements at the same time the last wins, as a whole.
func (s *Service) Replace(ctx context.Context, namespace string, m *release.Metadata, r io.Reader, by policies.Subject, execution string) error {
	if err := release.ValidateNamespace(namespace); err != nil {
		return invalid(err)
	}
	m.Normalise()
	if err := m.Validate(); err != nil {
		return invalid(err)
	}
	n, err := newRelease(m, by, execution)
	if err != nil {
		return err
	}
	f, err := s.Find(ctx, namespace, m.Name, m.Version)
	if err != nil {
		return err
	}
	left, err := s.Store.StorageLeftForRelease(ctx, f.Application.ID, f.Release.PackageSize)
	if err != nil {
		return err
	}
	r = left.Reader(r)
	return s.store(ctx, f.ID(), m, r, func(tx *models.Store, o blob.Object) error {
		ns, err := tx.NamespaceByName(ctx, namespace)
		if err != nil {
			return err
		}
		old, err := tx.LockRelease(ctx, f.Application.ID, m.Version)
		if err != nil {
			return err
		}
		if err := tx.OverwriteRelease(ctx, old, n, o); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, "release:replace", "release", f.ID().String(), ns,
			map[string]any{"bytes": o.Size, "sha256": o.SHA256, "replaced_sha256": old.PackageSHA256, "execution": execution}); err != nil {
			return err
		}
		return s.announce(ctx, tx, f, nameOf(by))
	})
}
