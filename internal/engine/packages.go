package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"slipway/internal/plan"
	"slipway/internal/release"
)

// maxNesting bounds how deep packages of dependencies nest.
const maxNesting = 32

// unpacked is a package in the folder of the run.
type unpacked struct {
	id       release.ID
	metadata *release.Metadata
}

// lookup resolves an id, which may be a query or a tag, and returns the release with its project set.
func (r *run) lookup(ctx context.Context, id release.ID) (*release.Metadata, error) {
	if m := r.releases[id.String()]; m != nil {
		return m, nil
	}
	resolved := id
	if !id.Resolved() {
		version, err := r.decide(ctx, "resolve "+id.String(), func() (string, error) {
			m, err := r.Inventory.Release(ctx, id)
			if err != nil {
				return "", err
			}
			return m.Version, nil
		})
		if err != nil {
			return nil, r.notFound(id, err)
		}
		resolved = release.ID{Project: id.Project, Name: id.Name, Version: version}
	}
	m, err := r.Inventory.Release(ctx, resolved)
	if err != nil {
		return nil, r.notFound(resolved, err)
	}
	copied := *m
	copied.Project = id.Project // releases of old clients do not always carry it
	r.releases[id.String()], r.releases[resolved.String()] = &copied, &copied
	return &copied, nil
}

func (r *run) notFound(id release.ID, err error) error {
	if errors.Is(err, ErrNotFound) {
		return &Failure{Reason: ReasonMissing, Message: fmt.Sprintf("the release '%s' was not found in the inventory", id), Err: err}
	}
	return fmt.Errorf("look up the release %s: %w", id, err)
}

// planInventory is the inventory as compiling sees it: with recorded decisions.
type planInventory struct{ *run }

func (p planInventory) Release(ctx context.Context, id release.ID) (*release.Metadata, error) {
	m, err := p.lookup(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	return m, err
}

func (p planInventory) NextVersion(ctx context.Context, project, name, prefix string) (string, error) {
	return p.decide(ctx, "next-version "+project+"/"+name+" "+prefix, func() (string, error) {
		return p.Inventory.NextVersion(ctx, project, name, prefix)
	})
}

// unpack fetches the package of a release into a folder of the run and returns its metadata. A package that is there
// already, of the same release, is used as it is.
func (r *run) unpack(ctx context.Context, id release.ID, dir string) (*release.Metadata, error) {
	if there := r.packages[dir]; there != nil {
		if there.id == id {
			return there.metadata, nil
		}
		return nil, failf(ReasonPackage, "the packages of %s and %s would both be unpacked into %s", there.id, id, dir)
	}
	if dir != "." {
		if err := r.clearPackageDir(dir); err != nil {
			return nil, err
		}
	}
	m, err := r.unpackCached(ctx, id, dir)
	if err == nil && m == nil {
		m, err = r.unpackFetched(ctx, id, dir)
	}
	if err != nil {
		return nil, err
	}
	if err := r.ownTree(dir); err != nil {
		return nil, err
	}
	r.packages[dir] = &unpacked{id, m}
	return m, nil
}

// clearPackageDir makes an empty folder for a package. It replaces an unpacked package, and refuses to remove anything
// else: a plan may have a folder of the same name.
func (r *run) clearPackageDir(dir string) error {
	if info, err := r.root.Lstat(dir); err == nil {
		_, isPackage := r.root.Stat(path.Join(dir, release.MetadataFile))
		entries, _ := fs.ReadDir(r.root.FS(), dir)
		if info.IsDir() && isPackage != nil && len(entries) > 0 {
			return failf(ReasonPackage, "the folder %s is needed for a package, but there are other files in it", dir)
		}
		if err := r.root.RemoveAll(dir); err != nil {
			return err
		}
	}
	return r.mkdir(dir)
}

func (r *run) ownTree(dir string) error {
	if r.Owner == nil {
		return nil
	}
	return fs.WalkDir(r.root.FS(), dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return r.own(name)
	})
}

// unpackFetched unpacks a package from the inventory.
func (r *run) unpackFetched(ctx context.Context, id release.ID, dir string) (*release.Metadata, error) {
	r.log(LevelDebug, "fetch.package", fmt.Sprintf("Fetching the package of %s.", id), map[string]string{"release": id.String()})
	archive, err := r.Inventory.Package(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, &Failure{Reason: ReasonMissing, Message: fmt.Sprintf("the inventory has no package of %s", id), Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the package of %s: %w", id, err)
	}
	defer archive.Close()
	m, err := r.unpackArchive(archive, id, dir)
	var invalid *release.InvalidError
	if errors.As(err, &invalid) {
		return nil, &Failure{Reason: ReasonPackage, Message: fmt.Sprintf("the package of %s is not sound: %s", id, invalid.Message), Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("unpack the package of %s: %w", id, err)
	}
	return m, nil
}

// unpackCached unpacks a package from the cache. The answer is nil if the cache has none, or one that is not what the
// inventory knows; then the folder is empty.
func (r *run) unpackCached(ctx context.Context, id release.ID, dir string) (*release.Metadata, error) {
	if r.CacheDir == "" {
		return nil, nil
	}
	archive, err := os.Open(r.cacheFile(id))
	if err != nil {
		return nil, nil
	}
	defer archive.Close()
	known, err := r.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := r.unpackArchive(archive, id, dir)
	if err == nil && sameRelease(m, known) {
		return m, nil
	}
	r.log(LevelWarn, "cache.mismatch", fmt.Sprintf("The cached package of %s is not the one in the inventory and is not used.", id), nil)
	if dir == "." {
		return nil, r.empty(dir)
	}
	return nil, errors.Join(r.root.RemoveAll(dir), r.mkdir(dir))
}

func (r *run) unpackArchive(archive io.Reader, id release.ID, dir string) (*release.Metadata, error) {
	root, err := r.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	m, err := release.Unpack(archive, id, r.limits(), root)
	if err != nil {
		return nil, err
	}
	m.Project = id.Project
	return m, nil
}

// sameRelease compares all of the metadata, checksums included.
func sameRelease(a, b *release.Metadata) bool {
	left, err := json.Marshal(a)
	right, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(left, right)
}

// empty removes what is in a folder.
func (r *run) empty(dir string) error {
	entries, err := fs.ReadDir(r.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := r.root.RemoveAll(path.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) cacheFile(id release.ID) string {
	return filepath.Join(r.CacheDir, id.Project, id.Unqualified()+".tgz")
}

// unpackNeeded unpacks the packages that a release in dir needs in a stage: its dependencies and extensions, and theirs.
func (r *run) unpackNeeded(ctx context.Context, m *release.Metadata, dir string, stages []string, depth int) error {
	if depth > maxNesting {
		return failf(ReasonPackage, "the dependencies of %s nest deeper than %d", m.ID(), maxNesting)
	}
	var needed []string
	for _, d := range m.Depends {
		for _, stage := range stages {
			if release.InScope(d.Scopes, stage) {
				needed = append(needed, d.ReleaseID)
				break
			}
		}
	}
	for _, e := range m.Extends {
		needed = append(needed, e.ReleaseID)
	}
	for _, text := range needed {
		id, err := release.ParseID(text)
		if err != nil {
			return err
		}
		where := r.packageDir(dir, id)
		unpacked, err := r.unpack(ctx, id, where)
		if err != nil {
			return err
		}
		if err := r.unpackNeeded(ctx, unpacked, where, []string{release.ScopeDeploy}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// packageDir is where the package of a dependency goes. A second version of the same release gets a folder of its own.
func (r *run) packageDir(dir string, id release.ID) string {
	where := path.Join(dir, plan.PackageDir(id))
	if there := r.packages[where]; there != nil && there.id != id {
		return where + "-v" + id.Version
	}
	return where
}
