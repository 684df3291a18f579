package packages

import (
	"context"

	"slipway/internal/composer"
	"slipway/models"
	"slipway/policies"
)

// VersionInput is what a caller says of a version. What is nil stays as it is, or gets its default: no file name, enabled.
type VersionInput struct {
	Name, Filename *string
	Status         *int
}

func (in VersionInput) check() (normalized string, err error) {
	var f fields
	if in.Name != nil {
		v, err := composer.ParseVersion(*in.Name)
		if err != nil {
			f.add("name", err.Error())
		}
		normalized = v.String()
	}
	if in.Filename != nil {
		checkFilename(&f, *in.Filename)
	}
	f.status(in.Status)
	return normalized, f.err()
}

// checkFilename refuses what is no plain file name: it is put into headers, and onto consumers' disks.
func checkFilename(f *fields, name string) {
	if len(name) > 200 {
		f.add("filename", "must not be longer than 200 bytes")
		return
	}
	if name == "." || name == ".." {
		f.add("filename", "must be the name of a file")
		return
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			f.add("filename", "must be a plain name, without slashes and control characters")
			return
		}
	}
}

// CreateVersion adds a version to a package. Consumers see it once it has an archive.
func (s *Service) CreateVersion(ctx context.Context, packageID int64, in VersionInput, by policies.Subject) (*models.PackageVersion, error) {
	if in.Name == nil {
		return nil, badField("name", "is required")
	}
	normalized, err := in.check()
	if err != nil {
		return nil, err
	}
	v := &models.PackageVersion{PackageID: packageID, Name: *in.Name, Normalized: normalized, Filename: value(in.Filename, ""),
		Status: value(in.Status, models.StatusEnabled)}
	err = s.tx(ctx, by, "version:create", func(tx *models.Store) (audited, error) {
		err := tx.CreatePackageVersion(ctx, v)
		return auditVersion(v), err
	})
	return v, taken(err, "name", "is a version that the package has already")
}

// UpdateVersion changes a version. Its name stays once it has an archive.
func (s *Service) UpdateVersion(ctx context.Context, id int64, in VersionInput, by policies.Subject) (*models.PackageVersion, error) {
	normalized, err := in.check()
	if err != nil {
		return nil, err
	}
	var v *models.PackageVersion
	err = s.tx(ctx, by, "version:update", func(tx *models.Store) (audited, error) {
		var err error
		if v, err = tx.PackageVersionByID(ctx, id); err != nil {
			return audited{}, err
		}
		if in.Name != nil && *in.Name != v.Name {
			if v.ArchiveKey != "" {
				return audited{}, badField("name", "cannot be changed: the version has its archive already")
			}
			v.Name, v.Normalized = *in.Name, normalized
		}
		v.Filename, v.Status = value(in.Filename, v.Filename), value(in.Status, v.Status)
		return auditVersion(v), tx.UpdatePackageVersion(ctx, v)
	})
	return v, taken(err, "name", "is a version that the package has already")
}

// DeleteVersion removes a version. Downloads that are running go on to their end.
func (s *Service) DeleteVersion(ctx context.Context, id int64, by policies.Subject) error {
	return s.tx(ctx, by, "version:delete", func(tx *models.Store) (audited, error) {
		v, err := tx.PackageVersionByID(ctx, id)
		if err != nil {
			return audited{}, err
		}
		return auditVersion(v), tx.DeletePackageVersion(ctx, v)
	})
}

func auditVersion(v *models.PackageVersion) audited {
	return audited{kind: "version", id: v.ID, name: v.Name, detail: map[string]any{"package": v.PackageID, "status": v.Status}}
}
