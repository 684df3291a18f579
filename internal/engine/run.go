package engine

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"slipway/internal/release"
	"slipway/internal/state"
)

// run is one call of the engine.
type run struct {
	*Engine
	target   Target
	env      *state.Environment // with the deployments that were read
	read     map[string]bool    // names of root deployments that were asked for
	dir      string             // absolute path of the folder of the run
	root     *os.Root           // the same folder; everything is written through it, so that no link leads outside
	keys     map[string]int
	sections []string
	told     string // the text of the last error that a section ended with
	now      time.Time
	packages map[string]*unpacked // by folder in root
	releases map[string]*release.Metadata
	folders  map[string]*os.Root // folders of packages that expressions read in
}

// metaDir is the platform's own folder in the folder of a release.
const metaDir = ".escape"

// outputsFile is where scripts find and leave their outputs.
const outputsFile = metaDir + "/outputs.json"

func (e *Engine) start(ctx context.Context, dir string, target Target) (*run, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(absolute)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the run: %w", err)
	}
	r := &run{Engine: e, target: target, dir: absolute, root: root, keys: map[string]int{}, now: e.now(),
		read: map[string]bool{}, packages: map[string]*unpacked{}, releases: map[string]*release.Metadata{}, folders: map[string]*os.Root{}}
	env, err := e.State.Environment(ctx)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("load the state of the environment: %w", err)
	}
	r.env = &state.Environment{Name: target.Environment}
	if env != nil {
		r.env.Inputs = env.Inputs
		if env.Name != "" {
			r.env.Name = env.Name
		}
	}
	return r, nil
}

// rootDeployment gives a root deployment of the environment, nil if there is none. The state is asked once.
func (r *run) rootDeployment(ctx context.Context, name string) (*state.Deployment, error) {
	if !r.read[name] {
		if err := r.readDeployments(ctx, name); err != nil {
			return nil, err
		}
		r.read[name] = true
	}
	return r.env.Deployments[name], nil
}

// readDeployments reads root deployments, all without names. What the run has read already may be changed and stays.
func (r *run) readDeployments(ctx context.Context, names ...string) error {
	found, err := r.State.Deployments(ctx, names...)
	if err != nil {
		return fmt.Errorf("load the state of the environment: %w", err)
	}
	if r.env.Deployments == nil {
		r.env.Deployments = map[string]*state.Deployment{}
	}
	for name, d := range found {
		if !r.read[name] && d != nil {
			r.env.Deployments[name], r.read[name] = d, true
		}
	}
	return nil
}

func (r *run) close() {
	for _, folder := range r.folders {
		folder.Close()
	}
	r.root.Close()
}

// key makes the key of a script. A key that comes again gets a number.
func (r *run) key(n *node, step string) string {
	key := r.KeyPrefix + n.stage + " " + state.FormatPath(n.path) + " " + step
	r.keys[key]++
	if count := r.keys[key]; count > 1 {
		key += fmt.Sprintf(" %d", count)
	}
	return key
}

func (r *run) decide(ctx context.Context, key string, decide func() (string, error)) (string, error) {
	if r.Decisions == nil {
		return decide()
	}
	return r.Decisions.Decide(ctx, r.KeyPrefix+key, decide)
}

// write makes or replaces a file below the folder of the run. What was there is removed first: it may be a link, or
// belong to the user of a script.
func (r *run) write(name string, data []byte, mode os.FileMode) error {
	if err := r.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := r.root.RemoveAll(name); err != nil {
		return err
	}
	file, err := r.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return r.own(name)
}

// mkdir makes a folder and its parents.
func (r *run) mkdir(name string) error {
	if name == "." || name == "" {
		return nil
	}
	if info, err := r.root.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := r.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := r.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return r.own(name)
}

// folder opens a package's folder for expressions; nil, in which they find nothing, if it is not there.
func (r *run) folder(name string) *os.Root {
	if name == "." {
		return r.root
	}
	if r.folders[name] == nil {
		opened, err := r.root.OpenRoot(name)
		if err != nil {
			return nil
		}
		r.folders[name] = opened
	}
	return r.folders[name]
}

func (r *run) own(name string) error {
	if r.Owner == nil {
		return nil
	}
	return r.Owner(filepath.Join(r.dir, filepath.FromSlash(name)))
}
