package models

import (
	"context"
	"net/url"
	"time"

	"gorm.io/gorm/clause"

	"slipway/internal/problem"
)

// AssetRegistry is an OCI registry whose images become assets of an organization.
type AssetRegistry struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Name           string
	// URL is https://host or, where that is allowed, http://host. It holds no credential.
	URL            string
	Username       string
	SealedPassword []byte `gorm:"column:password"`
	// Repositories are those to scan; none means all that the registry's catalog lists.
	Repositories []string `gorm:"serializer:json"`
	// Schedule is a cron expression in UTC, "" for scans on demand only.
	Schedule             string
	CreatedAt, UpdatedAt time.Time
}

// check says what is wrong with a registry.
func (r *AssetRegistry) check() error {
	if !tagKeyPattern.MatchString(r.Name) || len(r.Name) > 100 {
		return problem.BadField("name", "expected 1 to 100 characters of a-z, A-Z, 0-9, _ and -")
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !registryPattern.MatchString(u.Host) || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return problem.BadField("url", "expected https:// and the host of a registry, without a path and without a credential")
	}
	if len(r.Repositories) > 10_000 {
		return problem.BadField("repositories", "expected at most 10000 repositories")
	}
	for _, x := range r.Repositories {
		if !IsRepository(x) {
			return problem.BadField("repositories", "expected repositories such as library/nginx, in lower case")
		}
	}
	for name, text := range map[string]string{"username": r.Username, "schedule": r.Schedule} {
		if len(text) > 200 || !plainText(text) {
			return problem.BadField(name, "expected at most 200 characters of text")
		}
	}
	return nil
}

// PutAssetRegistry adds a registry to an organization or changes the one of that name, and sets its id and times. A nil
// password keeps the one that is there, "" takes it away. With another URL it is asked for again: nobody who may change a
// registry but has not been told its password shall have it sent to another host.
func (s *Store) PutAssetRegistry(ctx context.Context, r *AssetRegistry, password *string) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.Repositories == nil {
		r.Repositories = []string{}
	}
	return s.Tx(ctx, func(tx *Store) error {
		var old AssetRegistry
		err := one(tx.writer(ctx).Where("organization_id = ? AND name = ?", r.OrganizationID, r.Name).Take(&old))
		switch err {
		case nil:
			r.ID, r.CreatedAt, r.SealedPassword = old.ID, old.CreatedAt, old.SealedPassword
			if password == nil && r.URL != old.URL && len(old.SealedPassword) > 0 {
				return problem.BadField("password", "expected the password again, since the URL is another one")
			}
		case ErrNotFound:
			r.ID, r.CreatedAt = NewID(), tx.Now()
		default:
			return err
		}
		r.UpdatedAt = tx.Now()
		if password != nil {
			if r.SealedPassword, err = tx.seal([]byte(*password), place("asset_registries", "password", r.ID)); err != nil {
				return err
			}
		}
		if len(r.SealedPassword) > 0 && r.Username == "" {
			return problem.BadField("username", "expected the user whose password it is; an empty password takes it away")
		}
		return created(tx.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, UpdateAll: true}).Create(r))
	})
}

// AssetRegistryByName finds a registry of an organization.
func (s *Store) AssetRegistryByName(ctx context.Context, organizationID, name string) (*AssetRegistry, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	return take[AssetRegistry](s.reader(ctx).Where("organization_id = ? AND name = ?", organizationID, name))
}

// AssetRegistryByID finds a registry.
func (s *Store) AssetRegistryByID(ctx context.Context, id string) (*AssetRegistry, error) {
	return take[AssetRegistry](s.reader(ctx).Where("id = ?", id))
}

// ListAssetRegistries gives the registries of an organization by name.
func (s *Store) ListAssetRegistries(ctx context.Context, organizationID string) ([]AssetRegistry, error) {
	return all[AssetRegistry](s.reader(ctx).Where("organization_id = ?", organizationID).Order("name"))
}

// ListScheduledAssetRegistries gives the registries of all organizations that are scanned at certain times.
func (s *Store) ListScheduledAssetRegistries(ctx context.Context) ([]AssetRegistry, error) {
	return all[AssetRegistry](s.reader(ctx).Where("schedule <> ''").Order("id"))
}

// DeleteAssetRegistry removes a registry and the progress of its scans. Its assets stay.
func (s *Store) DeleteAssetRegistry(ctx context.Context, id string) error {
	return found(s.writer(ctx).Where("id = ?", id).Delete(&AssetRegistry{}))
}

// AssetRegistryPassword opens a registry's password; "" for none.
func (s *Store) AssetRegistryPassword(r *AssetRegistry) (string, error) {
	p, err := s.unseal(r.SealedPassword, place("asset_registries", "password", r.ID))
	return string(p), err
}

// AssetScan is how far a scan is.
type AssetScan struct {
	ExecutionID string `gorm:"primaryKey"`
	RegistryID  string
	// Position is the last repository that was read to its end, in order; a scan that begins again goes on behind it.
	Position                       string
	Repositories, RepositoriesDone int64
	Images, Created                int64 // images found; of those, how many are new assets
	Reading                        int64 // images found so far in the repository that is being read, beside Images
	Failures                       int64 // repositories and images that could not be read
	LastFailure                    string
	UpdatedAt                      time.Time
}

// PutAssetScan writes how far a scan is.
func (s *Store) PutAssetScan(ctx context.Context, a *AssetScan) error {
	a.UpdatedAt = s.Now()
	a.LastFailure = clip(a.LastFailure, 1000)
	return s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "execution_id"}}, UpdateAll: true}).Create(a).Error
}

// AssetScanByID finds the progress of a scan by its execution.
func (s *Store) AssetScanByID(ctx context.Context, executionID string) (*AssetScan, error) {
	return take[AssetScan](s.reader(ctx).Where("execution_id = ?", executionID))
}

// ListAssetScans gives the last scans of a registry, newest first.
func (s *Store) ListAssetScans(ctx context.Context, registryID string, limit int) ([]AssetScan, error) {
	return all[AssetScan](s.reader(ctx).Where("registry_id = ?", registryID).Order("execution_id DESC").Limit(limit))
}

// AssetImport is how far the import of a file is, so that it can go on after an interruption.
type AssetImport struct {
	OrganizationID string `gorm:"primaryKey"`
	// Source tells files apart: a hash of the file's beginning.
	Source     string `gorm:"primaryKey"`
	ByteOffset int64
	// Checksum is that of the file up to ByteOffset: a file of the same beginning may differ in what follows.
	Checksum  string
	Lines     int64
	Created   int64
	Finished  bool
	UpdatedAt time.Time
}

// AssetImportBySource finds how far the import of a file is.
func (s *Store) AssetImportBySource(ctx context.Context, organizationID, source string) (*AssetImport, error) {
	return take[AssetImport](s.reader(ctx).Where("organization_id = ? AND source = ?", organizationID, source))
}

// PutAssetImport writes how far an import is.
func (s *Store) PutAssetImport(ctx context.Context, a *AssetImport) error {
	a.UpdatedAt = s.Now()
	return s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "organization_id"}, {Name: "source"}}, UpdateAll: true}).Create(a).Error
}
