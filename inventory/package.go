package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"slipway/internal/blob"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// packages is where package files are in storage. Each upload has a key of its own, so that uploads of one release at
// once cannot touch each other's bytes; the release's row says which one counts.
const packages = "packages/"

func packageKey(id release.ID) string {
	return path.Join(packages+id.Project, id.Name, fmt.Sprintf("%s-v%s.%s.tgz", id.Name, id.Version, models.NewID()))
}

// afterwards is how long clean-up may take once the caller has gone.
const afterwards = 30 * time.Second

// Upload stores the package of a registered release. The bytes go to storage while they are hashed and checked, and can
// be downloaded once everything is there and sound. Errors: models.ErrNotFound for a release that is not registered,
// models.ErrExists for one that has its package, *problem.Error with the reason for a bad package; of all others the
// caller may try again. After any error nothing of the package is left.
func (s *Service) Upload(ctx context.Context, id release.ID, r io.Reader, by policies.Subject) error {
	if !id.Resolved() {
		return problem.New(problem.Invalid, "Can't upload package against unresolved version '%s'", id)
	}
	f, err := s.Find(ctx, id.Project, id.Name, id.Version)
	if err != nil {
		return err
	}
	if f.Release.PackageKey != "" {
		return models.ErrExists
	}
	m, err := f.Metadata()
	if err != nil {
		return err
	}
	n, err := s.Store.NamespaceByName(ctx, id.Project)
	if err != nil {
		return err
	}
	left, err := s.Store.StorageLeftForRelease(ctx, f.Application.ID, 0)
	if err != nil {
		return err
	}
	r = left.Reader(r)
	return s.store(ctx, id, m, r, func(tx *models.Store, o blob.Object) error {
		if err := tx.CompleteUpload(ctx, f.Release, o, nameOf(by)); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, "release:upload", "release", f.ID().String(), n, map[string]any{"bytes": o.Size, "sha256": o.SHA256}); err != nil {
			return err
		}
		return s.announce(ctx, tx, f, nameOf(by))
	})
}

// store receives a package with the metadata m into storage, and calls commit in the transaction that is to make it the
// release's. After an error of the package or of commit there is no file; where it is not known whether the transaction
// happened, the file stays.
func (s *Service) store(ctx context.Context, id release.ID, m *release.Metadata, r io.Reader, commit func(tx *models.Store, o blob.Object) error) error {
	key := packageKey(id)
	if err := s.Store.BeginUpload(ctx, key); err != nil {
		return err
	}
	o, err := s.receive(ctx, key, m, r)
	if err != nil {
		s.forget(ctx, key)
		return err
	}
	refused := false // by commit, so that nothing can have happened
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		err := commit(tx, o)
		refused = err != nil
		return err
	})
	if refused {
		s.forget(ctx, key)
	}
	// Where the commit itself failed it may have happened although its answer was lost, so the file must stay. If it did
	// not happen, the upload is still on record and Sweep removes the file.
	return err
}

// receive writes the package of a release to storage while checking it. After an error there is no file.
func (s *Service) receive(ctx context.Context, key string, m *release.Metadata, r io.Reader) (blob.Object, error) {
	w, err := s.Blob.Create(ctx, key)
	if err != nil {
		return blob.Object{}, err
	}
	defer w.Abort()
	if err := copyChecked(w, r, s.maxPackage(), func(r io.Reader) error {
		packaged, err := release.CheckArchive(r, m.ID(), s.limits())
		if err == nil {
			err = release.CheckAgrees(packaged, m)
		}
		return invalid(err)
	}); err != nil {
		return blob.Object{}, err
	}
	return w.Commit()
}

// forget removes the file and the record of an upload that came to nothing, also when its caller has gone. What fails
// here is tried again by Sweep.
func (s *Service) forget(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	err := s.Blob.Delete(ctx, key)
	if err == nil {
		err = s.Store.EndUpload(ctx, key)
	}
	if err != nil {
		s.logger().WarnContext(ctx, "a broken upload is left for the sweeper", "key", key, "error", err)
	}
}

// Package is the file of a release.
type Package struct {
	*blob.Reader
	Found *Found
}

// Download opens the package of the release that a query asks for. models.ErrNotFound if there is no such release, or it
// has no package. The caller closes it, and calls CountDownload when it gives the package to somebody.
func (s *Service) Download(ctx context.Context, namespace, application, query string) (*Package, error) {
	f, err := s.Find(ctx, namespace, application, query)
	if err != nil {
		return nil, err
	}
	if f.Release.PackageKey == "" {
		return nil, models.ErrNotFound
	}
	r, err := s.Blob.Open(ctx, f.Release.PackageKey)
	if errors.Is(err, blob.ErrNotFound) {
		s.logger().WarnContext(ctx, "the file of a package is missing in storage", "release", f.ID().String(), "key", f.Release.PackageKey)
		return nil, models.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &Package{Reader: r, Found: f}, nil
}

// CountDownload adds one to a release's downloads. A package that cannot be counted can still be read, so a failure is
// only logged.
func (s *Service) CountDownload(ctx context.Context, f *Found) {
	if err := s.Store.CountDownload(ctx, f.Release.ID); err != nil {
		s.logger().WarnContext(ctx, "a download was not counted", "release", f.ID().String(), "error", err)
	}
}
