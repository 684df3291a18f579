package packages

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/blob"
	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
)

// Archive is an open archive. The caller closes it.
type Archive struct {
	*blob.Reader
	Version *models.DownloadableVersion
}

// Open opens the archive of a version, if it may be had now: whatever was said before, permissions are asked for again, past
// all that is kept in memory. To a consumer, a version that is not there and one that its permissions do not admit are
// refused alike (Forbidden); who sees everything gets models.ErrNotFound.
func (v *View) Open(ctx context.Context, packageName string, versionID int64) (*Archive, error) {
	s := v.repository.service
	version, err := s.Store.PublishedVersionByID(ctx, versionID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	there := err == nil && version.OrganizationID == v.OrganizationID && version.PackageName == packageName
	if !v.everything() {
		admitted, err := there, error(nil)
		if there {
			admitted, err = v.admittedNow(ctx, version)
		}
		if err != nil {
			return nil, err
		}
		if !admitted {
			return nil, problem.New(problem.Forbidden, "there is no such version of %s, or these keys do not give access to it", packageName)
		}
	} else if !there {
		return nil, models.ErrNotFound
	}
	r, err := s.Blob.Open(ctx, version.ArchiveKey)
	if errors.Is(err, blob.ErrNotFound) {
		s.logger().ErrorContext(ctx, "the archive of a version is missing in storage", "package", packageName, "version", versionID, "key", version.ArchiveKey)
		return nil, models.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &Archive{Reader: r, Version: version}, nil
}

// admittedNow asks the database whether a permission admits the consumer to a version.
func (v *View) admittedNow(ctx context.Context, version *models.DownloadableVersion) (bool, error) {
	texts, err := v.repository.service.Store.ConstraintsOf(ctx, v.ConsumerID, version.PackageID)
	if err != nil {
		return false, err
	}
	for _, text := range texts {
		c, err := composer.ParseConstraint(text)
		if err != nil {
			return false, fmt.Errorf("permission of consumer %d for package %d: %w", v.ConsumerID, version.PackageID, err)
		}
		if c.Matches(composer.FromNormalized(version.Normalized)) {
			return true, nil
		}
	}
	return false, nil
}
