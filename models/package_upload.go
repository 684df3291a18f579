package models

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/blob"
)

// PackageUpload is an upload that has begun and not ended yet. It is written before the first byte goes to storage, so
// that a file whose process died can be found again without listing the storage.
type PackageUpload struct {
	PackageKey string `gorm:"primaryKey"`
	StartedAt  time.Time
	// Abandoned uploads are about to be removed by the sweeper and can no longer complete.
	Abandoned bool
}

// TableName names the table.
func (PackageUpload) TableName() string { return "package_uploads" }

// BeginUpload records that a file is about to be written.
func (s *Store) BeginUpload(ctx context.Context, key string) error {
	return created(s.writer(ctx).Create(&PackageUpload{PackageKey: key, StartedAt: s.Now()}))
}

// EndUpload forgets an upload whose file is gone.
func (s *Store) EndUpload(ctx context.Context, key string) error {
	return s.writer(ctx).Where("package_key = ?", key).Delete(&PackageUpload{}).Error
}

// CompleteUpload makes a package visible that was checked against the metadata of r. ErrExists if the release has one
// already: of many uploads at once the first wins. ErrConflict if the metadata is another one by now, or if the upload
// took so long that it was given up, a *problem.Error if the organization may store no more. It must run in a transaction: see Tx.
func (s *Store) CompleteUpload(ctx context.Context, r *Release, o blob.Object, by string) error {
	res := s.writer(ctx).Model(&Release{}).Where("id = ? AND package_key = '' AND metadata = ?", r.ID, r.Metadata).Updates(map[string]any{
		"package_key": o.Key, "package_size": o.Size, "package_sha256": o.SHA256, "uploaded_by": by, "uploaded_at": s.Now(),
	})
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected == 0 {
		now, err := s.ReleaseByID(ctx, r.ID)
		switch {
		case err != nil:
			return err
		case now.PackageKey == "":
			return ErrConflict
		}
		return ErrExists
	}
	if err := changed(s.writer(ctx).Where("package_key = ? AND NOT abandoned", o.Key).Delete(&PackageUpload{})); err != nil {
		return err
	}
	return s.keepQuota(ctx, QuotaStorage, ownerOfApplication(r.ApplicationID))
}

// AbandonUploads gives up at most limit uploads that began before t and lists their keys. The caller removes the files
// and then calls EndUpload for each; keys that it did not get to are listed again.
func (s *Store) AbandonUploads(ctx context.Context, t time.Time, limit int) ([]string, error) {
	var keys []string
	err := s.Tx(ctx, func(tx *Store) error {
		keys = nil
		q := tx.reader(ctx).Model(&PackageUpload{}).Where("started_at < ?", t.UTC()).Order("started_at").Limit(limit)
		if err := q.Pluck("package_key", &keys).Error; err != nil || len(keys) == 0 {
			return err
		}
		if err := tx.writer(ctx).Model(&PackageUpload{}).Where("package_key IN ?", keys).Update("abandoned", true).Error; err != nil {
			return err
		}
		// One that completed between the two statements is gone from the table: only what is marked may be removed.
		var marked []string
		if err := tx.reader(ctx).Model(&PackageUpload{}).Where("package_key IN ? AND abandoned", keys).Pluck("package_key", &marked).Error; err != nil {
			return err
		}
		keys = marked
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("abandon uploads: %w", err)
	}
	return keys, nil
}
