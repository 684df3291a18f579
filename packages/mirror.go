package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Tag is a tag of a repository.
type Tag struct{ Name, Commit string }

// Checkout is a repository that has been fetched.
type Checkout interface {
	// Tags lists its tags with the commits that they point at.
	Tags(ctx context.Context) ([]Tag, error)
	// Archive writes the files of a commit to w as a zip.
	Archive(ctx context.Context, commit string, w io.Writer) error
}

// MirrorResult is how mirroring went.
type MirrorResult struct {
	// Mirrored is the number of new versions, Refused that of the tags that are no versions of the package.
	Mirrored, Refused int64
}

// MirrorSubject is who adds mirrored versions, for the audit log.
var MirrorSubject = policies.Subject{Kind: "mirror", ID: "package-mirror", Name: "package mirror"}

// Mirror makes versions of the tags of a package's repository. A tag is looked at once, and again when it points at another
// commit; a version that was deleted does not come back. What is wrong with one tag keeps no other from being mirrored and
// is noted with the tag. Where the organization may store no more, the rest is left for the next time. progress is called for each tag that is looked at.
func (s *Service) Mirror(ctx context.Context, packageID int64, from Checkout, progress func(tag string)) (MirrorResult, error) {
	var result MirrorResult
	p, err := s.Store.PackageByID(ctx, packageID)
	if err != nil {
		return result, err
	}
	tags, err := from.Tags(ctx)
	if err != nil {
		return result, err
	}
	known, err := s.Store.ListPackageSourceTags(ctx, packageID)
	if err != nil {
		return result, err
	}
	seen := make(map[string]models.PackageSourceTag, len(known))
	for _, t := range known {
		seen[t.Name] = t
	}
	// In a fixed order: of two tags that are the same version (1.0 and v1.0) the same one wins each time.
	sort.Slice(tags, func(i, j int) bool { return tags[i].Name < tags[j].Name })
	for _, tag := range tags {
		if old, ok := seen[tag.Name]; ok && old.CommitID == tag.Commit {
			if old.Message != "" {
				result.Refused++
			}
			continue
		}
		progress(tag.Name)
		noted := models.PackageSourceTag{PackageID: packageID, Name: tag.Name, CommitID: tag.Commit}
		isNew, err := s.mirrorTag(ctx, p, tag, from)
		var bad *problem.Error
		switch {
		case err == nil:
			if isNew {
				result.Mirrored++
			}
		case problem.Is(err, problem.LimitReached):
			// Nothing is wrong with the tag: it is not noted, and looked at again with the next mirroring, as are those after it.
			s.logger().WarnContext(ctx, "mirroring ends early", "package", p.Name, "tag", tag.Name, "reason", err)
			result.Refused++
			return result, nil
		case errors.As(err, &bad) && bad.Kind != problem.Internal && bad.Kind != problem.Unavailable:
			noted.Message = bad.Error()
			result.Refused++
		default:
			return result, fmt.Errorf("mirror the tag %s of %s: %w", tag.Name, p.Name, err)
		}
		if err := s.Store.PutPackageSourceTag(ctx, noted); err != nil {
			return result, err
		}
	}
	return result, nil
}

// mirrorTag makes a version of a tag. Nothing is new where the version was made from the same commit before: by another
// spelling of the tag, or by a run that broke off.
func (s *Service) mirrorTag(ctx context.Context, p *models.Package, tag Tag, from Checkout) (isNew bool, err error) {
	version, err := composer.ParseVersion(tag.Name)
	if err != nil {
		return false, problem.Wrap(problem.Unprocessable, err, "%s", err.Error())
	}
	if version.Stability() == composer.Dev {
		return false, problem.New(problem.Unprocessable, "a tag cannot be a development version")
	}
	v, err := s.Store.PackageVersionByNormalized(ctx, p.ID, version.String())
	created := errors.Is(err, models.ErrNotFound)
	switch {
	case created:
		if v, err = s.CreateVersion(ctx, p.ID, VersionInput{Name: &tag.Name}, MirrorSubject); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case v.ArchiveKey != "" && v.Reference == tag.Commit:
		return false, nil
	case v.ArchiveKey != "":
		return false, problem.New(problem.Conflict, "version %s has another archive already, made from %s: a released version does not change", v.Name, v.Reference)
	}
	err = s.uploadFrom(ctx, v.ID, tag, from)
	if err != nil && created {
		// A version without an archive would only be in the way.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
		defer cancel()
		if cleanErr := s.DeleteVersion(clean, v.ID, MirrorSubject); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
	}
	return err == nil, err
}

// uploadFrom streams an archive from the repository into an upload.
func (s *Service) uploadFrom(ctx context.Context, versionID int64, tag Tag, from Checkout) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	archived := make(chan error, 1)
	go func() {
		err := from.Archive(ctx, tag.Commit, w)
		_ = w.CloseWithError(err)
		archived <- err
	}()
	_, err := s.upload(ctx, versionID, r, tag.Commit, MirrorSubject)
	// The upload may have had enough before the archive's end.
	_ = r.Close()
	if archiveErr := <-archived; archiveErr != nil && !errors.Is(archiveErr, io.ErrClosedPipe) {
		return archiveErr // the cause of whatever the upload says
	}
	return err
}
