package packages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"slipway/internal/composer"
	"slipway/models"
)

// packageData is a package as it was at one revision, decoded: what is the same for all consumers. It does not change,
// but for the files that were written of it.
type packageData struct {
	id       int64
	name     string
	revision int64
	// versions are the published ones, newest first.
	versions []publishedVersion
	// size is roughly what it takes, in bytes.
	size int

	mu    sync.Mutex
	files map[fileKey][]byte
}

type publishedVersion struct {
	id      int64
	version composer.Version
	dev     bool
	data    composer.Metadata // without dist
	dist    composer.Dist     // without URL
}

// fileKey says which file was written: for which host, of which of the two kinds, with which versions. Consumers who are
// admitted to the same versions share a file.
type fileKey struct {
	base     string
	dev      bool
	admitted string
}

// versionCost is what a version takes on top of its metadata, roughly.
const versionCost = 1 << 10

func newPackageData(p *models.Package, versions []models.PackageVersion) (*packageData, error) {
	d := &packageData{id: p.ID, name: p.Name, revision: p.Revision, versions: make([]publishedVersion, 0, len(versions)), files: map[fileKey][]byte{}}
	for i := range versions {
		v := &versions[i]
		w := publishedVersion{id: v.ID, version: composer.FromNormalized(v.Normalized), dist: composer.Dist{Reference: v.Reference, SHA1: v.ArchiveSHA1}}
		if err := json.Unmarshal([]byte(v.Metadata), &w.data); err != nil {
			return nil, fmt.Errorf("version %d of package %s: %w", v.ID, p.Name, err)
		}
		w.dev = w.version.Stability() == composer.Dev
		if v.UploadedAt != nil {
			w.data = w.data.WithTime(*v.UploadedAt)
		}
		d.versions = append(d.versions, w)
		d.size += versionCost + len(v.Metadata)
	}
	slices.SortStableFunc(d.versions, func(a, b publishedVersion) int { return b.version.Compare(a.version) })
	return d, nil
}

// all admits everything.
func all(composer.Version) bool { return true }

// admitted gives the set of the versions that admits holds for, as bits in a text, and whether there is any.
func (d *packageData) admitted(dev bool, admits func(composer.Version) bool) (set string, any bool) {
	bits := make([]byte, (len(d.versions)+7)/8)
	for i := range d.versions {
		if d.versions[i].dev == dev && admits(d.versions[i].version) {
			bits[i/8] |= 1 << (i % 8)
			any = true
		}
	}
	return string(bits), any
}

// file writes the file of the releases or of the development versions that admits holds for. Without any there is none:
// nil.
func (d *packageData) file(base string, dev bool, admits func(composer.Version) bool) ([]byte, error) {
	set, any := d.admitted(dev, admits)
	if !any {
		return nil, nil
	}
	key := fileKey{base: base, dev: dev, admitted: set}
	d.mu.Lock()
	b, ok := d.files[key]
	d.mu.Unlock()
	if ok {
		return b, nil
	}
	list := make([]composer.Metadata, 0, len(d.versions))
	for i := range d.versions {
		if set[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		m, err := d.versions[i].metadata(base, d.name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	b = composer.AppendPackageFile(nil, d.name, list)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[key] = b
	return b, nil
}

// metadata is a version with the address of its archive.
func (v *publishedVersion) metadata(base, name string) (composer.Metadata, error) {
	dist := v.dist
	dist.URL = base + DistPath(name, v.id)
	return v.data.WithDist(dist)
}

// DistPath is the path of a version's archive below the repository. It has the id and not the version, because a branch
// may be called anything.
func DistPath(name string, versionID int64) string {
	return "/dist/" + name + "/" + strconv.FormatInt(versionID, 10) + ".zip"
}

// seconds is how times go into headers.
func seconds(n int64) time.Time { return time.Unix(n, 0).UTC() }
