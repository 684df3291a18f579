package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"slipway/internal/state"
)

// LocalState keeps the state of a project in a file, in the client's format. Each change replaces the file as a whole.
// Two processes must not use one file at once.
type LocalState struct {
	file        string
	project     string
	environment string

	mu sync.Mutex
}

// NewLocalState uses a file, which may be missing, for one environment of a project. The project's name only counts for
// a new file.
func NewLocalState(file, project, environment string) (*LocalState, error) {
	if err := state.ValidateEnvironmentName(environment); err != nil {
		return nil, err
	}
	return &LocalState{file: file, project: project, environment: environment}, nil
}

// Environment reads the environment; one that the file does not have is empty.
func (s *LocalState) Environment(context.Context) (*state.Environment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	project, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.of(project), nil
}

// Deployments reads deployments of the environment: those of these names, or all.
func (s *LocalState) Deployments(ctx context.Context, roots ...string) (map[string]*state.Deployment, error) {
	e, err := s.Environment(ctx)
	if err != nil {
		return nil, err
	}
	if len(roots) == 0 {
		return e.Deployments, nil
	}
	found := map[string]*state.Deployment{}
	for _, name := range roots {
		if d := e.Deployments[name]; d != nil {
			found[name] = d
		}
	}
	return found, nil
}

// SaveDeployment replaces a deployment in the file.
func (s *LocalState) SaveDeployment(_ context.Context, _ string, path []string, rootStage string, d *state.Deployment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	project, err := s.read()
	if err != nil {
		return err
	}
	if err := s.of(project).Put(path, rootStage, d); err != nil {
		return err
	}
	data, err := json.MarshalIndent(project, "", "  ")
	if err != nil {
		return err
	}
	return atomicFile(s.file, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

func (s *LocalState) of(project *state.Project) *state.Environment {
	if project.Environments == nil {
		project.Environments = map[string]*state.Environment{}
	}
	if project.Environments[s.environment] == nil {
		project.Environments[s.environment] = &state.Environment{Name: s.environment}
	}
	return project.Environments[s.environment]
}

func (s *LocalState) read() (*state.Project, error) {
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return &state.Project{Name: s.project}, nil
	}
	if err != nil {
		return nil, err
	}
	project, err := state.DecodeProject(data)
	if err != nil {
		return nil, fmt.Errorf("the state file %s: %w", s.file, err)
	}
	return project, nil
}
