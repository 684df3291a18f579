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

// admittedPackage is a package with what a consumer's permissions for it say.
type admittedPackage struct {
	name        string
	constraints []composer.Constraint
}

func (p *admittedPackage) admits(v composer.Version) bool {
	for i := range p.constraints {
		if p.constraints[i].Matches(v) {
			return true
		}
	}
	return false
}

// admit notes permissions. Constraints were checked before they were stored; one that cannot be read after all admits to
// nothing, and is an error that somebody should see.
func (v *View) admit(list []models.AdmittedPackage) error {
	v.byID, v.byName = make(map[int64]*admittedPackage, len(list)), make(map[string]*admittedPackage, len(list))
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
		p := v.byID[a.PackageID]
		if p == nil {
			p = &admittedPackage{name: a.Name}
			v.byID[a.PackageID], v.byName[a.Name] = p, p
		}
		p.constraints = append(p.constraints, c)
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
	b, ok := v.files[key]
	v.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := write()
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	if v.files == nil {
		v.files = map[string][]byte{}
	}
	v.files[key] = b
	v.mu.Unlock()
	v.repository.mu.Lock()
	defer v.repository.mu.Unlock()
	v.repository.spend(fileCost + len(key) + len(b))
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
	store := v.repository.service.Store
	if v.everything() {
		enabled := map[int64]string{}
		list, err := store.ListPackages(ctx, v.OrganizationID)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Status == models.StatusEnabled {
				enabled[list[i].ID] = list[i].Name
			}
		}
		return store.EachPackageWithVersions(ctx, v.OrganizationID, 0, func(id int64, _ iter.Seq[string]) {
			if name, ok := enabled[id]; ok {
				f(name)
			}
		})
	}
	return store.EachPackageWithVersions(ctx, v.OrganizationID, v.ConsumerID, func(id int64, versions iter.Seq[string]) {
		p := v.byID[id]
		if p == nil {
			return // it is disabled
		}
		for normalized := range versions {
			if p.admits(composer.FromNormalized(normalized)) {
				f(p.name)
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
	if p := v.byName[name]; p != nil {
		return p.admits
	}
	return func(composer.Version) bool { return false }
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
		if p := v.byID[f.PackageID]; v.everything() || p != nil && p.admits(composer.FromNormalized(f.Normalized)) {
			ids = append(ids, f.ID)
		}
	}
	return store.CountPackageDownloads(ctx, ids)
}
