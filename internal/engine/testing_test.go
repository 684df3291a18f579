package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/internal/version"
)

// memory is an inventory without a database. It checks what it gets as the real one does.
type memory struct {
	mu       sync.Mutex
	releases map[string]*release.Metadata
	packages map[string][]byte
	tags     map[string]string // "project/name:tag" to version
}

func newMemory() *memory {
	return &memory{releases: map[string]*release.Metadata{}, packages: map[string][]byte{}, tags: map[string]string{}}
}

func (m *memory) versions(project, name string) []string {
	var versions []string
	for _, r := range m.releases {
		if r.Project == project && r.Name == name {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

func (m *memory) Release(_ context.Context, id release.ID) (*release.Metadata, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	query, err := version.ParseQuery(id.Query())
	if err != nil {
		return nil, err
	}
	found, ok := query.Select(m.versions(id.Project, id.Name))
	if query.Kind == version.Tag {
		found, ok = m.tags[id.String()]
	}
	if !ok {
		return nil, ErrNotFound
	}
	return m.releases[release.ID{Project: id.Project, Name: id.Name, Version: found}.String()], nil
}

func (m *memory) NextVersion(_ context.Context, project, name, prefix string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return version.Next(m.versions(project, name), prefix), nil
}

func (m *memory) Package(_ context.Context, id release.ID) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.packages[id.String()]
	if !ok {
		return nil, ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) Register(_ context.Context, r *release.Metadata) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	document, err := r.Indented()
	if err != nil {
		return err
	}
	decoded, err := release.Decode(document)
	if err != nil {
		return err
	}
	if m.releases[r.ID().String()] != nil {
		return ErrExists
	}
	m.releases[r.ID().String()] = decoded
	return nil
}

func (m *memory) Upload(_ context.Context, id release.ID, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if _, err := release.CheckArchive(bytes.NewReader(data), id, release.DefaultLimits); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.packages[id.String()] != nil {
		return ErrExists
	}
	m.packages[id.String()] = data
	return nil
}

// watched runs scripts for real and notes them. fail makes a script fail before it runs.
type watched struct {
	LocalRunner
	scripts []Script
	fail    map[string]error
	out     bytes.Buffer
}

func (w *watched) RunScript(ctx context.Context, s Script) (Result, error) {
	w.scripts = append(w.scripts, s)
	if err := w.fail[s.Key]; err != nil {
		return Result{}, err
	}
	return w.LocalRunner.RunScript(ctx, s)
}

func (w *watched) keys() []string {
	var keys []string
	for _, s := range w.scripts {
		keys = append(keys, s.Key)
	}
	return keys
}

func (w *watched) env(t *testing.T, key string) map[string]string {
	t.Helper()
	for _, s := range w.scripts {
		if s.Key == key {
			env := map[string]string{}
			for _, pair := range s.Env {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			return env
		}
	}
	require.Fail(t, "no script "+key, "%q", w.keys())
	return nil
}

// saves is a state store in memory that notes every status.
type saves struct {
	environment *state.Environment
	statuses    []string
	count       int
	fail        error
	asked       []string
}

func (s *saves) Environment(context.Context) (*state.Environment, error) {
	return &state.Environment{Name: s.environment.Name, Inputs: s.environment.Inputs}, nil
}

// Deployments notes what it is asked for; "*" stands for all.
func (s *saves) Deployments(_ context.Context, roots ...string) (map[string]*state.Deployment, error) {
	if len(roots) == 0 {
		s.asked = append(s.asked, "*")
		return s.environment.Deployments, nil
	}
	s.asked = append(s.asked, roots...)
	found := map[string]*state.Deployment{}
	for _, name := range roots {
		if d := s.environment.Deployments[name]; d != nil {
			found[name] = d
		}
	}
	return found, nil
}

func (s *saves) SaveDeployment(_ context.Context, root string, path []string, rootStage string, d *state.Deployment) error {
	if s.fail != nil {
		return s.fail
	}
	if root != path[0] || len(path) > 1 && rootStage == "" || len(path) == 1 && rootStage != "" {
		return errors.New("wrong path")
	}
	s.count++
	for _, stage := range []string{state.StageBuild, state.StageDeploy} {
		if st := d.Stages[stage]; st != nil && st.Status != nil {
			line := state.FormatPath(path) + " " + stage + " " + string(st.Status.Code)
			if len(s.statuses) == 0 || s.statuses[len(s.statuses)-1] != line {
				s.statuses = append(s.statuses, line)
			}
		}
	}
	return s.environment.Put(path, rootStage, d)
}

type entries struct{ list []Entry }

func (e *entries) Log(entry Entry) { e.list = append(e.list, entry) }

// bench is everything that a test of the engine needs.
type bench struct {
	*Engine
	inventory *memory
	runner    *watched
	state     *saves
	log       *entries
	secrets   []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{inventory: newMemory(), runner: &watched{fail: map[string]error{}}, log: &entries{},
		state: &saves{environment: &state.Environment{Name: "dev"}}}
	b.runner.Stdout, b.runner.Stderr = &b.runner.out, &b.runner.out
	b.runner.Grace = 100 * time.Millisecond
	b.runner.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	b.Engine = &Engine{Inventory: b.inventory, Scripts: b.runner, State: b.state, Log: b.log, Client: "slipway test",
		Secret: func(value string) { b.secrets = append(b.secrets, value) }}
	return b
}

// fork gives a bench with the same inventory and state, and nothing noted yet.
func (b *bench) fork(t *testing.T) *bench {
	t.Helper()
	next := newBench(t)
	next.inventory, next.Inventory = b.inventory, b.inventory
	next.state.environment = b.state.environment
	return next
}

// source writes files into a new folder. Files that end in .sh are not executable: making them so is the engine's part.
func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return dir
}

// release makes a release with all steps and expects it to work.
func (b *bench) release(t *testing.T, files map[string]string) *ReleaseResult {
	t.Helper()
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps, Target: Target{Project: "proj", Environment: "dev"}})
	require.NoError(t, err, b.runner.out.String())
	return result
}

func (b *bench) mustID(t *testing.T, text string) release.ID {
	t.Helper()
	id, err := release.ParseID(text)
	require.NoError(t, err)
	return id
}

func newEnvironment() *state.Environment { return &state.Environment{Name: "dev"} }
