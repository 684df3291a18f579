package models

import (
	"context"
	"fmt"

	"gorm.io/gorm/clause"

	"slipway/internal/blob"
)

// LockRelease finds a release and keeps others from changing it until the transaction ends. ErrNotFound.
func (s *Store) LockRelease(ctx context.Context, applicationID, version string) (*Release, error) {
	return take[Release](s.writer(ctx).Model(&Release{}).Clauses(clause.Locking{Strength: "UPDATE"}).
		Where("application_id = ? AND version = ?", applicationID, version))
}

// OverwriteRelease puts metadata and a package in the place of those that a release has, at once. The old package goes to
// the sweeper, which leaves it to running downloads for a while. r is what LockRelease gave in the same transaction.
// ErrConflict if the upload of the new package took so long that it was given up.
func (s *Store) OverwriteRelease(ctx context.Context, r *Release, n NewRelease, o blob.Object) error {
	if err := changed(s.writer(ctx).Where("package_key = ? AND NOT abandoned", o.Key).Delete(&PackageUpload{})); err != nil {
		return err
	}
	if err := s.discardPackages(ctx, "id = ?", r.ID); err != nil {
		return err
	}
	now := s.Now()
	err := found(s.writer(ctx).Model(&Release{}).Where("id = ?", r.ID).Updates(map[string]any{
		"metadata": n.Metadata, "description": n.Description, "execution_id": n.ExecutionID,
		"package_key": o.Key, "package_size": o.Size, "package_sha256": o.SHA256, "uploaded_by": n.By, "uploaded_at": now,
	}))
	if err != nil {
		return err
	}
	if o.Size > r.PackageSize {
		if err := s.keepQuota(ctx, QuotaStorage, ownerOfApplication(r.ApplicationID)); err != nil {
			return err
		}
	}
	if err := s.relinkRelease(ctx, r, n); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Application{}).Where("id = ?", r.ApplicationID).Updates(map[string]any{
		"description": n.Description, "logo": n.Logo, "uploaded_by": n.By, "uploaded_at": now,
	}))
}

// discardPackages hands the package files of releases over to the sweeper of uploads. where is a condition on releases.
func (s *Store) discardPackages(ctx context.Context, where string, args ...any) error {
	q := s.writer(ctx).Exec("INSERT INTO package_uploads (package_key, started_at, abandoned) SELECT package_key, ?, ? FROM releases WHERE package_key <> '' AND "+where,
		append([]any{s.Now(), false}, args...)...)
	if q.Error != nil {
		return fmt.Errorf("discard packages: %w", q.Error)
	}
	return nil
}
