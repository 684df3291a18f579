package packages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// archives is where archives are in storage. Each upload has a key of its own, so that uploads of one version at once
// cannot touch each other's bytes; the version's row says which one counts.
const archives = "composer/"

// afterwards is how long clean-up may take once the caller has gone.
const afterwards = 30 * time.Second

// Upload gives a version its archive, a zip file that is read from r. The bytes go to storage as they come; they count
// once the whole archive was checked and its composer.json is that of the package and the version.
//
// A released version keeps the archive that it has: the same bytes again are fine, others are refused as a conflict. The
// archive of a development version (dev-main, 1.x-dev) is replaced. Of uploads at the same time one wins, and the others
// are refused. After an error nothing of the upload is left.
func (s *Service) Upload(ctx context.Context, versionID int64, r io.Reader, by policies.Subject) (*models.PackageVersion, error) {
	return s.upload(ctx, versionID, r, "", by)
}

// upload is Upload with a reference to what the archive was made from; "" takes its SHA-1.
func (s *Service) upload(ctx context.Context, versionID int64, r io.Reader, reference string, by policies.Subject) (*models.PackageVersion, error) {
	v, err := s.Store.PackageVersionByID(ctx, versionID)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.PackageByID(ctx, v.PackageID)
	if err != nil {
		return nil, err
	}
	left, err := s.Store.StorageLeftForPackage(ctx, p.ID, v.ArchiveSize)
	if err != nil {
		return nil, err
	}
	r = left.Reader(r)
	key := archives + p.Name + "/" + models.NewID() + ".zip"
	if err := s.Store.BeginUpload(ctx, key); err != nil {
		return nil, err
	}
	a, err := s.receive(ctx, key, p, v, r)
	if err != nil {
		s.forget(ctx, key)
		return nil, err
	}
	if reference != "" {
		a.Reference = reference
	}
	replaces := v.ArchiveKey
	if replaces != "" {
		same := a.SHA1 == v.ArchiveSHA1 && a.Object.SHA256 == v.ArchiveSHA256
		dev := composer.FromNormalized(v.Normalized).Stability() == composer.Dev
		if same || !dev {
			s.forget(ctx, key)
			if same {
				return v, nil
			}
			return nil, problem.New(problem.Conflict, "version %s of %s has another archive already: a released version does not change", v.Name, p.Name)
		}
	}
	err = s.tx(ctx, by, "version:upload", func(tx *models.Store) (audited, error) {
		au := auditVersion(v)
		au.detail["bytes"], au.detail["sha256"], au.detail["reference"] = a.Object.Size, a.Object.SHA256, a.Reference
		return au, tx.CompletePackageUpload(ctx, v, replaces, a)
	})
	switch {
	case err == nil:
		return s.Store.PackageVersionByID(ctx, versionID)
	case problem.Is(err, problem.LimitReached):
		s.forget(ctx, key)
		return nil, err
	case errors.Is(err, models.ErrConflict):
		s.forget(ctx, key)
		return nil, problem.New(problem.Conflict, "version %s of %s was changed by somebody else during the upload", v.Name, p.Name)
	default:
		// The commit may have happened although its answer was lost, so the file must stay. If it did not happen, the
		// upload is still on record and the sweeper removes the file.
		return nil, err
	}
}

// receive writes an archive to storage and to a temporary file, from which it is then checked: a zip is read from its end.
// Nothing is visible in storage before that. After an error there is no file.
func (s *Service) receive(ctx context.Context, key string, p *models.Package, v *models.PackageVersion, r io.Reader) (models.PackageArchive, error) {
	var none models.PackageArchive
	f, err := os.CreateTemp(s.TempDir, "slipway-archive-*.zip")
	if err != nil {
		return none, fmt.Errorf("receive an archive: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	w, err := s.Blob.Create(ctx, key)
	if err != nil {
		return none, err
	}
	defer w.Abort()
	sender := &sender{r: r}
	digest, err := composer.CopyDigest(io.MultiWriter(f, w), sender, s.limits().Bytes)
	if err != nil {
		return none, sender.explain(err)
	}
	archive, err := composer.ReadArchive(ctx, f, digest.Size, s.limits())
	if err != nil {
		return none, badArchive(err)
	}
	if err := archive.Manifest.CheckIdentity(p.Name, v.Name); err != nil {
		return none, badArchive(err)
	}
	m, err := archive.Manifest.Metadata(v.Name)
	if err != nil {
		return none, badArchive(err)
	}
	metadata, err := json.Marshal(m)
	if err != nil {
		return none, fmt.Errorf("encode metadata: %w", err)
	}
	o, err := w.Commit()
	if err != nil {
		return none, err
	}
	return models.PackageArchive{Object: o, SHA1: digest.SHA1, Reference: digest.SHA1, Metadata: string(metadata), Filename: filename(p.Name, v.Name)}, nil
}

func (s *Service) limits() composer.ArchiveLimits {
	l := s.Limits
	if l.Bytes == 0 {
		l.Bytes = composer.DefaultArchiveLimits.Bytes
	}
	return l
}

// filename is what an archive is called that its owner gave no name.
func filename(packageName, version string) string {
	name := strings.NewReplacer("/", "-", "\\", "-", " ", "-").Replace(packageName + "-" + version)
	if len(name) > 190 {
		name = name[:190] // versions are ASCII
	}
	return name + ".zip"
}

// sender remembers whether it was the sender's side that failed.
type sender struct {
	r   io.Reader
	err error
}

func (s *sender) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *sender) explain(err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case problem.Is(s.err, problem.LimitReached):
		return s.err
	case errors.Is(err, composer.ErrTooLarge), errors.As(err, &tooBig):
		return problem.Wrap(problem.TooLarge, err, "the archive is larger than the limit")
	case s.err != nil:
		return problem.Wrap(problem.Invalid, err, "the upload broke off: the archive did not arrive completely")
	}
	return err
}

// badArchive turns what is wrong with an archive into an error that its sender sees. Other errors are faults of ours.
func badArchive(err error) error {
	var manifest *composer.ManifestError
	switch {
	case errors.As(err, &manifest):
		return badField("archive", manifest.Error())
	case errors.Is(err, composer.ErrTooLarge):
		return problem.Wrap(problem.TooLarge, err, "%s", err.Error())
	case errors.Is(err, composer.ErrNotZip), errors.Is(err, composer.ErrUnsafeEntry), errors.Is(err, composer.ErrBomb), errors.Is(err, composer.ErrNoManifest):
		return badField("archive", err.Error())
	}
	return fmt.Errorf("check an archive: %w", err)
}

// forget removes the file and the record of an upload that came to nothing, also when its caller has gone. What fails here
// is tried again by the sweeper.
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
