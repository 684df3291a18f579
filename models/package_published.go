package models

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// published are the versions that may be visible at all: enabled, with an archive, of an enabled package.
const published = "FROM packages p JOIN package_versions v ON v.package_id = p.id WHERE p.status = 1 AND v.status = 1 AND v.archive_key <> ''"

// EachPackageWithVersions calls f for every package that has enabled versions with an archive, of an organization or, where
// consumerID is not 0, of those for which that consumer has a permission. versions are the normalized ones, in no order.
// Whether the package is enabled is the caller's to know. There may be tens of thousands of packages, so each is one row,
// rows are read by hand, and names are left out.
func (s *Store) EachPackageWithVersions(ctx context.Context, organizationID string, consumerID int64, f func(packageID int64, versions iter.Seq[string])) error {
	q := "SELECT package_id, " + s.joined("normalized") + " FROM package_versions WHERE status = 1 AND archive_key <> '' AND package_id IN (SELECT "
	var args []any
	if consumerID != 0 {
		q += "package_id FROM package_permissions WHERE consumer_id = ?)"
		args = append(args, consumerID)
	} else {
		q += "id FROM packages WHERE organization_id = ?)"
		args = append(args, organizationID)
	}
	rows, err := s.reader(ctx).Raw(q+" GROUP BY package_id", args...).Rows()
	if err != nil {
		return fmt.Errorf("list packages with versions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var versions string
		if err := rows.Scan(&id, &versions); err != nil {
			return fmt.Errorf("list packages with versions: %w", err)
		}
		f(id, strings.SplitSeq(versions, joint))
	}
	return rows.Err()
}

// PublishedVersion is a version that a client has reported as installed.
type PublishedVersion struct {
	ID, PackageID int64
	Normalized    string
}

// FindPublishedVersions finds published versions of an organization by pairs of package name and normalized version. What
// is not there is left out.
func (s *Store) FindPublishedVersions(ctx context.Context, organizationID string, pairs [][2]string) ([]PublishedVersion, error) {
	var list []PublishedVersion
	err := s.reader(ctx).Raw("SELECT DISTINCT v.id, v.package_id, v.normalized "+
		"FROM ("+s.pairs()+") r JOIN packages p ON p.name = r.a JOIN package_versions v ON v.package_id = p.id AND v.normalized = r.b "+
		"WHERE p.organization_id = ? AND p.status = 1 AND v.status = 1 AND v.archive_key <> ''", jsonText(pairs), organizationID).Scan(&list).Error
	return list, err
}

// CountPackageDownloads adds one to the downloads of each version. It is no change that consumers see.
func (s *Store) CountPackageDownloads(ctx context.Context, versionIDs []int64) error {
	if len(versionIDs) == 0 {
		return nil
	}
	return s.Tx(ctx, func(tx *Store) error {
		q := "SELECT id FROM package_versions WHERE id IN (" + tx.numberList() + ") ORDER BY id"
		if tx.dialect == PostgreSQL {
			// In order, or two reports of the same packages could each wait for the other.
			q += " FOR UPDATE"
		}
		var ids []int64
		if err := tx.writer(ctx).Raw(q, jsonText(versionIDs)).Scan(&ids).Error; err != nil || len(ids) == 0 {
			return err
		}
		return tx.writer(ctx).Exec("UPDATE package_versions SET downloads = downloads + 1 WHERE id IN ("+tx.numberList()+")", jsonText(ids)).Error
	})
}

// DownloadableVersion is a version with the name and the organization of its package.
type DownloadableVersion struct {
	PackageVersion
	PackageName    string
	OrganizationID string
}

// PublishedVersionByID finds a published version, as it is now.
func (s *Store) PublishedVersionByID(ctx context.Context, id int64) (*DownloadableVersion, error) {
	var v DownloadableVersion
	q := s.reader(ctx).Raw("SELECT v.id, v.package_id, v.name, v.normalized, v.filename, v.archive_key, v.archive_size, v.archive_sha1, v.archive_sha256, v.uploaded_at, "+
		"p.name AS package_name, p.organization_id "+published+" AND v.id = ?", id).Scan(&v)
	if q.Error == nil && q.RowsAffected == 0 {
		return nil, ErrNotFound
	}
	return &v, q.Error
}

// ConstraintsOf gives the constraints of a consumer's permissions for a package, as they are now.
func (s *Store) ConstraintsOf(ctx context.Context, consumerID, packageID int64) ([]string, error) {
	var list []string
	err := s.reader(ctx).Model(&PackagePermission{}).Where("consumer_id = ? AND package_id = ?", consumerID, packageID).Order("id").Pluck("version", &list).Error
	return list, err
}
