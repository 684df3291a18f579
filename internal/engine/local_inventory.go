package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"slipway/internal/release"
	"slipway/internal/version"
)

// LocalInventory keeps releases in a folder, in the layout of the client's local inventory: for each application a
// folder project/name with index.json, and for each release name-v1.0.json and name-v1.0.tgz. Two processes must not
// write to one folder at once.
type LocalInventory struct {
	dir string
	mu  sync.Mutex
}

// NewLocalInventory uses a folder, which is made when the first release is registered.
func NewLocalInventory(dir string) *LocalInventory { return &LocalInventory{dir: dir} }

// localIndex is the document index.json of an application.
type localIndex struct {
	Name              string                       `json:"name"`
	EscapeVersion     string                       `json:"escape_version"`
	EscapeCoreVersion string                       `json:"escape_core_version"`
	CoreAPIVersion    int                          `json:"core_api_version"`
	Versions          map[string]*release.Metadata `json:"versions"`
	Tags              map[string]string            `json:"tags"`
}

// folder is where an application is kept. Names that could lead elsewhere are refused.
func (l *LocalInventory) folder(project, name string) (string, error) {
	if _, _, err := release.ParseVersionless(project + "/" + name); err != nil {
		return "", err
	}
	return filepath.Join(l.dir, project, name), nil
}

func (l *LocalInventory) index(project, name string) (*localIndex, string, error) {
	folder, err := l.folder(project, name)
	if err != nil {
		return nil, "", err
	}
	index := &localIndex{Name: name, EscapeCoreVersion: release.CoreVersion, CoreAPIVersion: release.APIVersion}
	data, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err == nil {
		if err := json.Unmarshal(data, index); err != nil {
			return nil, "", fmt.Errorf("the local inventory's %s/%s/index.json: %w", project, name, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if index.Versions == nil {
		index.Versions = map[string]*release.Metadata{}
	}
	if index.Tags == nil {
		index.Tags = map[string]string{}
	}
	return index, folder, nil
}

func (i *localIndex) versions() []string {
	versions := make([]string, 0, len(i.Versions))
	for v := range i.Versions {
		versions = append(versions, v)
	}
	return versions
}

// Release finds a release by version, version query or tag.
func (l *LocalInventory) Release(_ context.Context, id release.ID) (*release.Metadata, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, _, err := l.index(id.Project, id.Name)
	if err != nil {
		return nil, err
	}
	query, err := version.ParseQuery(id.Query())
	if err != nil {
		return nil, err
	}
	found, ok := query.Select(index.versions())
	if query.Kind == version.Tag {
		found, ok = index.Tags[query.Value]
	}
	m := index.Versions[found]
	if !ok || m == nil {
		return nil, ErrNotFound
	}
	m.Normalise()
	return m, nil
}

// NextVersion gives the version that follows the releases of an application.
func (l *LocalInventory) NextVersion(_ context.Context, project, name, prefix string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, _, err := l.index(project, name)
	if err != nil {
		return "", err
	}
	return version.Next(index.versions(), prefix), nil
}

// Package opens the archive of a release.
func (l *LocalInventory) Package(_ context.Context, id release.ID) (io.ReadCloser, error) {
	folder, err := l.folder(id.Project, id.Name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(folder, id.Unqualified()+".tgz"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	return file, err
}

// Register adds a release. One without a package can be registered again.
func (l *LocalInventory) Register(_ context.Context, m *release.Metadata) error {
	return l.put(m, func(known bool, archive string) error {
		if _, err := os.Stat(archive); err == nil && known {
			return ErrExists
		}
		if err := os.Remove(archive); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.MkdirAll(filepath.Dir(archive), 0o755)
	})
}

// Replace puts a release in the place of one that exists. A bad package changes nothing.
func (l *LocalInventory) Replace(_ context.Context, m *release.Metadata, open func() (io.ReadCloser, error)) error {
	return l.put(m, func(known bool, archive string) error {
		if !known {
			return ErrNotFound
		}
		return writeArchive(archive, m, open)
	})
}

// put writes the metadata of a release once prepare, which is told whether the index has the release and where its archive
// belongs, has returned nil.
func (l *LocalInventory) put(m *release.Metadata, prepare func(known bool, archive string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := m.Validate(); err != nil {
		return err
	}
	index, folder, err := l.index(m.Project, m.Name)
	if err != nil {
		return err
	}
	if err := prepare(index.Versions[m.Version] != nil, filepath.Join(folder, m.ArchiveName())); err != nil {
		return err
	}
	return writeRelease(index, folder, m)
}

// writeRelease puts the metadata of a release into its own file and into the index.
func writeRelease(index *localIndex, folder string, m *release.Metadata) error {
	index.Versions[m.Version] = m
	if err := writeJSON(filepath.Join(folder, m.Folder()+".json"), m); err != nil {
		return err
	}
	return writeJSON(filepath.Join(folder, "index.json"), index)
}

// Upload adds the package of a registered release, after checking it.
func (l *LocalInventory) Upload(_ context.Context, id release.ID, open func() (io.ReadCloser, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, folder, err := l.index(id.Project, id.Name)
	if err != nil {
		return err
	}
	m := index.Versions[id.Version]
	if m == nil {
		return ErrNotFound
	}
	m.Normalise()
	target := filepath.Join(folder, id.Unqualified()+".tgz")
	if _, err := os.Stat(target); err == nil {
		return ErrExists
	}
	return writeArchive(target, m, open)
}

// writeArchive writes the package of a release. It is checked while it is copied; a bad one never gets its name.
func writeArchive(target string, m *release.Metadata, open func() (io.ReadCloser, error)) error {
	source, err := open()
	if err != nil {
		return err
	}
	defer source.Close()
	return atomicFile(target, 0o644, func(w io.Writer) error {
		packaged, err := release.CheckArchive(io.TeeReader(source, w), m.ID(), release.DefaultLimits)
		if err != nil {
			return err
		}
		return release.CheckAgrees(packaged, m)
	})
}

func writeJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return atomicFile(name, 0o644, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}
