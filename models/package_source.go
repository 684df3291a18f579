package models

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// PackageSource is the git repository whose tags become the versions of a package, and how the last mirroring went.
type PackageSource struct {
	PackageID        int64 `gorm:"primaryKey;autoIncrement:false"`
	Repository       string
	SealedPrivateKey []byte `gorm:"column:private_key" json:"-"`
	// WebhookHash is the hash of the secret part of the webhook's path.
	WebhookHash string
	// IntervalSeconds is how often tags are looked at by themselves; 0 for never.
	IntervalSeconds int64
	StartedAt       *time.Time
	FinishedAt      *time.Time
	// Mirrored is how many versions came with the last run, Refused how many tags are no versions of the package.
	Mirrored, Refused int64
	// Message is why the last run failed, "" for a good one.
	Message   string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TableName names the table.
func (PackageSource) TableName() string { return "package_sources" }

// PackageSourceTag is a tag that was looked at. It is looked at again when it points at another commit.
type PackageSourceTag struct {
	PackageID int64  `gorm:"primaryKey;autoIncrement:false"`
	Name      string `gorm:"primaryKey"`
	CommitID  string
	// Message says why the tag is no version; "" for one that is.
	Message string
	SeenAt  time.Time
}

// TableName names the table.
func (PackageSourceTag) TableName() string { return "package_source_tags" }

func (s *Store) sourceKeyPlace(packageID int64) string {
	return place("package_sources", "private_key", jsonText(packageID))
}

// PutPackageSource sets where a package comes from. A nil key leaves the one that is there; an empty webhook token leaves
// the webhook, a new one ends the old. What the last run said stays, and so do the tags that were looked at, unless the
// repository is another one.
func (s *Store) PutPackageSource(ctx context.Context, src *PackageSource, privateKey *string, webhookToken string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if _, err := tx.PackageByID(ctx, src.PackageID); err != nil {
			return err
		}
		old, err := tx.PackageSourceByID(ctx, src.PackageID)
		switch err {
		case nil:
			src.CreatedAt, src.SealedPrivateKey, src.WebhookHash = old.CreatedAt, old.SealedPrivateKey, old.WebhookHash
			src.StartedAt, src.FinishedAt, src.Mirrored, src.Refused, src.Message = old.StartedAt, old.FinishedAt, old.Mirrored, old.Refused, old.Message
		case ErrNotFound:
			src.CreatedAt = tx.Now()
		default:
			return err
		}
		src.UpdatedAt = tx.Now()
		if privateKey != nil {
			if src.SealedPrivateKey, err = tx.seal([]byte(*privateKey), tx.sourceKeyPlace(src.PackageID)); err != nil {
				return err
			}
		}
		if webhookToken != "" {
			src.WebhookHash = webhookHash(webhookToken)
		}
		if err := tx.writer(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(src).Error; err != nil {
			return err
		}
		if old.Repository != src.Repository {
			return tx.writer(ctx).Where("package_id = ?", src.PackageID).Delete(&PackageSourceTag{}).Error
		}
		return nil
	})
}

// PackageSourceByID finds the source of a package.
func (s *Store) PackageSourceByID(ctx context.Context, packageID int64) (*PackageSource, error) {
	var src PackageSource
	return &src, one(s.reader(ctx).Where("package_id = ?", packageID).Take(&src))
}

// PackageSourceByWebhook finds the source whose webhook has a token.
func (s *Store) PackageSourceByWebhook(ctx context.Context, token string) (*PackageSource, error) {
	var src PackageSource
	return &src, one(s.reader(ctx).Where("webhook_hash = ?", webhookHash(token)).Take(&src))
}

// ListPackageSources gives every source.
func (s *Store) ListPackageSources(ctx context.Context) ([]PackageSource, error) {
	return all[PackageSource](s.reader(ctx).Order("package_id"))
}

// DeletePackageSource ends mirroring. The versions stay.
func (s *Store) DeletePackageSource(ctx context.Context, packageID int64) error {
	return found(s.writer(ctx).Where("package_id = ?", packageID).Delete(&PackageSource{}))
}

// PackageSourceKey opens the private key of a source; "" for none.
func (s *Store) PackageSourceKey(src *PackageSource) (string, error) {
	b, err := s.unseal(src.SealedPrivateKey, s.sourceKeyPlace(src.PackageID))
	return string(b), err
}

// BeginMirror notes that a source is being mirrored.
func (s *Store) BeginMirror(ctx context.Context, packageID int64) error {
	return found(s.writer(ctx).Model(&PackageSource{}).Where("package_id = ?", packageID).
		UpdateColumns(map[string]any{"started_at": s.Now(), "finished_at": nil}))
}

// EndMirror notes how mirroring went. A source that was removed meanwhile is no error.
func (s *Store) EndMirror(ctx context.Context, packageID, mirrored, refused int64, message string) error {
	return s.writer(ctx).Model(&PackageSource{}).Where("package_id = ?", packageID).
		UpdateColumns(map[string]any{"finished_at": s.Now(), "mirrored": mirrored, "refused": refused, "message": clean(message)}).Error
}

// ListPackageSourceTags gives the tags of a source that were looked at, by name.
func (s *Store) ListPackageSourceTags(ctx context.Context, packageID int64) ([]PackageSourceTag, error) {
	return all[PackageSourceTag](s.reader(ctx).Where("package_id = ?", packageID).Order("name"))
}

// PutPackageSourceTag notes that a tag was looked at.
func (s *Store) PutPackageSourceTag(ctx context.Context, t PackageSourceTag) error {
	t.SeenAt, t.Message = s.Now(), clean(t.Message)
	return s.writer(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&t).Error
}
