package packages

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"slipway/internal/composer"
	"slipway/models"
	"slipway/policies"
)

// maxViewFiles bounds what a view keeps of its own, in bytes.
const maxViewFiles = 8 << 20

// admit notes permissions. Constraints were checked before they were stored; one that cannot be read after all admits to
// nothing, and is an error that somebody should see.
func (v *View) admit(list []models.AdmittedPackage) error {
	v.byID, v.byName = make(map[int64]constraints, len(list)), make(map[string]constraints, len(list))
	known := map[string]composer.Constraint{} // most permissions say the same
	for _, a := range list {
		c, ok := known[a.Version]
		if !ok {
			var err error
			if c, err = composer.ParseConstraint(a.Version); err != nil {
				return fmt.Errorf("permission of consumer %d for %s: %w", v.ConsumerID, a.Name, err)
			}
			known[a.Version] = c
		}
		v.byID[a.PackageID] = append(v.byID[a.PackageID], c)
		v.byName[a.Name] = v.byID[a.PackageID]
	}
	return nil
}

// Subject is the consumer as the policy sees it: a member of its organization that may install packages.
func (v *View) Subject() policies.Subject { return v.subject }

// LastModified is when what the consumer sees has changed last, the zero time where that is not known. It is different for
// any two consumers and any two states of one: a request whose If-Modified-Since is exactly this time needs no answer but
// 304. See package_change.go of models.
func (v *View) LastModified() time.Time {
	if v.ConsumerID == 0 {
		return time.Time{}
	}
	return seconds(v.modified)
}

// everything says whether the view is not a consumer's.
func (v *View) everything() bool { return v.ConsumerID == 0 }

// kept gives a file from memory or by write. Only a consumer's files are kept: they end with the consumer's view.
func (v *View) kept(key string, write func() ([]byte, error)) ([]byte, error) {
	if v.everything() {
		return write()
	}
	v.mu.Lock()
	f, ok := v.files[key]
	v.mu.Unlock()
	if ok {
		return f.content, nil
	}
	b, err := write()
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	const entry = 256 // what a file that is not there costs
	if v.bytes += len(b) + len(key) + entry; v.files == nil || v.bytes > maxViewFiles {
		v.files, v.bytes = map[string]viewFile{}, len(b)+len(key)+entry
	}
	v.files[key] = viewFile{b}
	return b, nil
}

// Root writes packages.json: the names of the packages of which at least one version is seen. base is the absolute URL of
// the repository and prefix the path of it.
func (v *View) Root(ctx context.Context, prefix string) ([]byte, error) {
	return v.kept("root "+prefix, func() ([]byte, error) {
		names := []string{}
		err := v.eachPackage(ctx, func(name string) { names = append(names, name) })
		if err != nil {
			return nil, err
		}
		return composer.RepositoryRoot{Prefix: prefix}.V2(names)
	})
}

// eachPackage calls f for every package of which at least one version is seen.
func (v *View) eachPackage(ctx context.Context, f func(name string)) error {
	return v.repository.service.Store.EachPublishedPackage(ctx, v.OrganizationID, v.ConsumerID, func(id int64, name string, versions iter.Seq[string]) {
		for normalized := range versions {
			if v.everything() || v.byID[id].admits(composer.FromNormalized(normalized)) {
				f(name)
				return
			}
		}
	})
}

// RootV1 writes packages.json for Composer 1, with all versions of all packages in it.
func (v *View) RootV1(ctx context.Context, base, prefix string) ([]byte, error) {
	var names []string
	if err := v.eachPackage(ctx, func(name string) { names = append(names, name) }); err != nil {
		return nil, err
	}
	all := make(map[string][]composer.Metadata, len(names))
	for _, name := range names {
		d, err := v.repository.data(ctx, v.OrganizationID, name)
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		admits := v.admits(name)
		for i := range d.versions {
			if !admits(d.versions[i].version) {
				continue
			}
			m, err := d.versions[i].metadata(base, name)
			if err != nil {
				return nil, err
			}
			all[name] = append(all[name], m)
		}
	}
	return composer.RepositoryRoot{Prefix: prefix}.V1(all)
}

// admits gives the condition for versions of a package.
func (v *View) admits(name string) func(composer.Version) bool {
	if v.everything() {
		return all
	}
	return v.byName[name].admits
}

// PackageFile writes the file of a package's releases, or of its development versions. It is nil where the package is not
// there or nothing of it is seen, which is answered alike.
func (v *View) PackageFile(ctx context.Context, base, name string, dev bool) ([]byte, error) {
	if !v.everything() && v.byName[name] == nil {
		return nil, nil // a quick answer: clients ask for every name they hear of
	}
	return v.kept(fmt.Sprintf("p2 %t %s %s", dev, name, base), func() ([]byte, error) {
		d, err := v.repository.data(ctx, v.OrganizationID, name)
		if errors.Is(err, models.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return d.file(base, dev, v.admits(name))
	})
}

// CountDownloads notes what a client has installed. Versions that are not there, or not the consumer's, count for nothing;
// one that is reported twice counts once.
func (v *View) CountDownloads(ctx context.Context, downloads []composer.Download) error {
	pairs := make([][2]string, 0, len(downloads))
	for _, d := range downloads {
		normal, err := composer.Normalize(d.Version)
		if err != nil {
			continue // ReadDownloads has refused these
		}
		pairs = append(pairs, [2]string{d.Name, normal})
	}
	store := v.repository.service.Store
	found, err := store.FindPublishedVersions(ctx, v.OrganizationID, pairs)
	if err != nil {
		return err
	}
	var ids []int64
	for _, f := range found {
		if v.everything() || v.byID[f.PackageID].admits(composer.FromNormalized(f.Normalized)) {
			ids = append(ids, f.ID)
		}
	}
	return store.CountPackageDownloads(ctx, ids)
}
