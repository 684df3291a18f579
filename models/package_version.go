package models

import (
	"context"
	"time"

	"slipway/internal/blob"
)

// PackageVersion is one version of a package. Consumers see it once it has an archive, and while it and its package are
// enabled.
type PackageVersion struct {
	ID        int64
	PackageID int64
	// Name is the version as its owner writes it, Normalized as Composer compares it. A package has each normalized
	// version once.
	Name, Normalized string
	// Filename is what the archive is called; it says nothing about where it is stored.
	Filename string
	Status   int
	// Metadata is what Composer reads of the archive's composer.json, as JSON, without dist.
	Metadata string
	// ArchiveKey is the archive's key in storage, "" for none. Size is in bytes, the hashes are hexadecimal.
	ArchiveKey    string
	ArchiveSize   int64
	ArchiveSHA1   string
	ArchiveSHA256 string
	// Reference identifies the content: a commit, or the archive's SHA-1.
	Reference  string
	UploadedAt *time.Time
	Downloads  int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// TableName names the table.
func (PackageVersion) TableName() string { return "package_versions" }

// withoutMetadata is every column but the large one.
const withoutMetadata = `id, package_id, name, normalized, filename, status, archive_key, archive_size, archive_sha1, archive_sha256,
	reference, uploaded_at, downloads, created_at, updated_at`

// CreatePackageVersion adds a version and sets its id and times. ErrExists where the package has it, under whatever
// spelling; ErrNotFound where there is no such package. No consumer sees it yet, since it has no archive.
func (s *Store) CreatePackageVersion(ctx context.Context, v *PackageVersion) error {
	return s.Tx(ctx, func(tx *Store) error {
		if _, err := tx.PackageByID(ctx, v.PackageID); err != nil {
			return err
		}
		v.ID, v.CreatedAt = 0, tx.Now()
		v.UpdatedAt = v.CreatedAt
		return created(tx.writer(ctx).Create(v))
	})
}

// PackageVersionByID finds a version, without its metadata.
func (s *Store) PackageVersionByID(ctx context.Context, id int64) (*PackageVersion, error) {
	var v PackageVersion
	return &v, one(s.reader(ctx).Select(withoutMetadata).Where("id = ?", id).Take(&v))
}

// PackageVersionByNormalized finds a version of a package, without its metadata.
func (s *Store) PackageVersionByNormalized(ctx context.Context, packageID int64, normalized string) (*PackageVersion, error) {
	var v PackageVersion
	return &v, one(s.reader(ctx).Select(withoutMetadata).Where("package_id = ? AND normalized = ?", packageID, normalized).Take(&v))
}

// ListPackageVersions gives the versions of a package in the order in which they were added, without their metadata.
func (s *Store) ListPackageVersions(ctx context.Context, packageID int64) ([]PackageVersion, error) {
	return all[PackageVersion](s.reader(ctx).Select(withoutMetadata).Where("package_id = ?", packageID).Order("id"))
}

// PublishedVersions gives what consumers may see of a package: its enabled versions that have an archive, with their
// metadata. Whether the package is enabled is the caller's to look at.
func (s *Store) PublishedVersions(ctx context.Context, packageID int64) ([]PackageVersion, error) {
	return all[PackageVersion](s.reader(ctx).Where("package_id = ? AND status = ? AND archive_key <> ''", packageID, StatusEnabled).Order("id"))
}

// PackageHasArchives says whether any version of a package has an archive.
func (s *Store) PackageHasArchives(ctx context.Context, packageID int64) (bool, error) {
	var n int64
	err := s.reader(ctx).Model(&PackageVersion{}).Where("package_id = ? AND archive_key <> ''", packageID).Limit(1).Count(&n).Error
	return n > 0, err
}

// UpdatePackageVersion writes name, filename and status of a version and sets its time. The name of a version that has an
// archive stays: ErrConflict. ErrExists where another version of the package is the same one.
func (s *Store) UpdatePackageVersion(ctx context.Context, v *PackageVersion) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		v.UpdatedAt = c.Now()
		q := c.writer(ctx).Model(&PackageVersion{}).Where("id = ? AND (archive_key = '' OR name = ?)", v.ID, v.Name)
		if err := changed(q.Select("name", "normalized", "filename", "status", "updated_at").UpdateColumns(v)); err != nil {
			return err
		}
		return c.touchPackage(ctx, v.PackageID)
	})
}

// DeletePackageVersion removes a version; its archive goes with the sweeper, as with DeletePackage.
func (s *Store) DeletePackageVersion(ctx context.Context, v *PackageVersion) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		if err := c.discardArchives(ctx, "id = ?", v.ID); err != nil {
			return err
		}
		if err := found(c.writer(ctx).Where("id = ?", v.ID).Delete(&PackageVersion{})); err != nil {
			return err
		}
		return c.touchPackage(ctx, v.PackageID)
	})
}

// PackageArchive is an archive that was checked and is in storage.
type PackageArchive struct {
	Object blob.Object
	SHA1   string
	// Filename is used where the version has none yet.
	Filename  string
	Reference string
	Metadata  string
}

// CompletePackageUpload gives a version its archive and makes it visible. The archive that it had must be the one that the
// caller saw, replaces ("" for none): of many uploads at once the first wins and the others get ErrConflict. So does one
// that took so long that the sweeper gave it up, or whose version was renamed or removed meanwhile. The replaced archive is
// handed over to the sweeper.
func (s *Store) CompletePackageUpload(ctx context.Context, v *PackageVersion, replaces string, a PackageArchive) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		if err := c.discardArchives(ctx, "id = ? AND archive_key = ?", v.ID, replaces); err != nil {
			return err
		}
		now := c.Now()
		set := map[string]any{
			"archive_key": a.Object.Key, "archive_size": a.Object.Size, "archive_sha256": a.Object.SHA256, "archive_sha1": a.SHA1,
			"reference": a.Reference, "metadata": a.Metadata, "uploaded_at": now, "updated_at": now,
		}
		if v.Filename == "" {
			set["filename"] = a.Filename
		}
		q := c.writer(ctx).Model(&PackageVersion{}).Where("id = ? AND archive_key = ? AND name = ?", v.ID, replaces, v.Name)
		if err := changed(q.UpdateColumns(set)); err != nil {
			return err
		}
		if err := changed(c.writer(ctx).Where("package_key = ? AND NOT abandoned", a.Object.Key).Delete(&PackageUpload{})); err != nil {
			return err
		}
		if replaces == "" || a.Object.Size > v.ArchiveSize {
			if err := c.keepQuota(ctx, QuotaStorage, ownerOfPackage(v.PackageID)); err != nil {
				return err
			}
		}
		return c.touchPackage(ctx, v.PackageID)
	})
}
