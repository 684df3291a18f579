package packages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/models"
	"slipway/policies"
)

// minInterval keeps schedules from being all that workers do.
const minInterval = 5 * time.Minute

// SourceInput is what a caller says of the repository that a package comes from.
type SourceInput struct {
	// Repository is the URL of a git repository.
	Repository string
	// PrivateKey is an ssh key for it; nil leaves the one that is there, "" removes it.
	PrivateKey *string
	// Interval is how often tags are looked at; 0 for never.
	Interval time.Duration
	// NewWebhook ends the webhook that there is. The first time one is made in any case.
	NewWebhook bool
}

// PutSource sets the repository that a package's versions are mirrored from. It gives the secret of the webhook if that is
// new, which cannot be had again. check says what is wrong with a repository's URL.
func (s *Service) PutSource(ctx context.Context, packageID int64, in SourceInput, check func(url string) error, by policies.Subject) (token string, err error) {
	var f fields
	if err := check(in.Repository); err != nil {
		f.add("repository", err.Error())
	}
	if in.Interval != 0 && in.Interval < minInterval {
		f.add("interval", fmt.Sprintf("must be 0 for never, or at least %d seconds", int(minInterval.Seconds())))
	}
	if in.PrivateKey != nil && len(*in.PrivateKey) > 64<<10 {
		f.add("private_key", "is too long for a key")
	}
	if err := f.err(); err != nil {
		return "", err
	}
	err = s.tx(ctx, by, "package:update", func(tx *models.Store) (audited, error) {
		token = ""
		_, err := tx.PackageSourceByID(ctx, packageID)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return audited{}, err
		}
		if err != nil || in.NewWebhook {
			token = models.NewWebhookToken()
		}
		src := &models.PackageSource{PackageID: packageID, Repository: in.Repository, IntervalSeconds: int64(in.Interval / time.Second)}
		return audited{kind: "package", id: packageID, detail: map[string]any{"source": in.Repository, "new_key": in.PrivateKey != nil, "new_webhook": token != ""}},
			tx.PutPackageSource(ctx, src, in.PrivateKey, token)
	})
	return token, err
}

// DeleteSource ends mirroring; the versions stay.
func (s *Service) DeleteSource(ctx context.Context, packageID int64, by policies.Subject) error {
	return s.tx(ctx, by, "package:update", func(tx *models.Store) (audited, error) {
		return audited{kind: "package", id: packageID, detail: map[string]any{"source": nil}}, tx.DeletePackageSource(ctx, packageID)
	})
}

// AuditMirror notes that somebody asks for a mirroring.
func (s *Service) AuditMirror(ctx context.Context, packageID int64, by policies.Subject) error {
	a := audited{kind: "package", id: packageID, detail: map[string]any{"mirror": true}}
	return s.Store.Audit(ctx, a.entry(by, "version:create"))
}
