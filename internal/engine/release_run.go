package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

// ReleaseSteps says which steps of a release run are done, in their order.
type ReleaseSteps struct {
	Build         bool
	Test          bool
	DestroyBuild  bool
	Deploy        bool
	Smoke         bool
	DestroyDeploy bool
	Package       bool
	Cache         bool
	Push          bool
}

// AllSteps does everything.
var AllSteps = ReleaseSteps{true, true, true, true, true, true, true, true, true}

// ReleaseRequest asks for a release to be made from a plan.
type ReleaseRequest struct {
	Target
	// Dir is the folder with the source. It has to be one that the run may change.
	Dir string
	// Plan is the path of the plan below Dir; "" means escape.yml. Its folder is where the scripts run.
	Plan  string
	Steps ReleaseSteps
	// SkipIfExists ends the run well, without doing anything, if the inventory has the release.
	SkipIfExists bool
	// ForceOverwrite replaces a release that the inventory has. The inventory has to be a Replacer.
	ForceOverwrite bool
	// OverrideNamespace replaces the project of the plan.
	OverrideNamespace string
	// OverrideVersion replaces the version of the plan.
	OverrideVersion string
	Source          plan.Source
}

// ReleaseResult is what a release run has made.
type ReleaseResult struct {
	ID       release.ID
	Metadata *release.Metadata
	// Skipped says that the inventory had the release and nothing was done.
	Skipped bool
	// Package is the absolute path of the archive; "" if none was made.
	Package string
}

// Release makes a release: compile, build, test, destroy, deploy, smoke, destroy, package, cache and push, as far as the
// request says. The error is a *Failure.
func (e *Engine) Release(ctx context.Context, q ReleaseRequest) (*ReleaseResult, error) {
	result, err := e.release(ctx, q)
	if err != nil {
		return result, asFailure(err)
	}
	return result, nil
}

func (e *Engine) release(ctx context.Context, q ReleaseRequest) (result *ReleaseResult, err error) {
	dir, text, name, err := readPlan(q.Dir, q.Plan)
	if err != nil {
		return nil, err
	}
	parsed, err := plan.Parse(name, text)
	if err != nil {
		return nil, err
	}
	r, err := e.start(ctx, dir, q.Target)
	if err != nil {
		return nil, err
	}
	defer r.close()
	end := r.section("Release "+parsed.Name, "release.start", fmt.Sprintf("Release %s.", parsed.Name), nil)
	defer func() { end(err) }()

	compiled, err := plan.Compile(ctx, parsed, r.root, planInventory{r}, plan.Options{
		Project: q.OverrideNamespace, Version: q.OverrideVersion, Client: e.Client, Source: q.Source, Env: e.Env, Now: r.now,
	})
	if err != nil {
		return nil, err
	}
	m := compiled.Metadata
	for _, warning := range compiled.Warnings {
		r.log(LevelWarn, "compile.warning", warning, nil)
	}
	r.log(LevelInfo, "compile.finished", fmt.Sprintf("Compiled %s.", m.ID()), map[string]string{"release": m.ID().String()})
	result = &ReleaseResult{ID: m.ID(), Metadata: m}
	exists := false
	if q.SkipIfExists || q.Steps.Push {
		if exists, err = r.exists(ctx, m.ID()); err != nil {
			return result, err
		}
	}
	switch {
	case exists && q.SkipIfExists:
		r.log(LevelInfo, "release.exists", fmt.Sprintf("%s is already in the inventory, there is nothing to do.", m.ID()), nil)
		result.Skipped = true
		return result, nil
	case exists && q.Steps.Push && !r.canReplace(q.ForceOverwrite):
		return result, failf(ReasonExists, "the release %s is already in the inventory", m.ID())
	}
	if err := r.steps(ctx, q, compiled); err != nil {
		return result, err
	}
	if q.Steps.Package || q.Steps.Cache || q.Steps.Push {
		if result.Package, err = r.pack(compiled); err != nil {
			return result, err
		}
	}
	if q.Steps.Cache {
		if err := r.cache(m, result.Package); err != nil {
			return result, err
		}
	}
	if q.Steps.Push {
		return result, r.push(ctx, m, result.Package, q.ForceOverwrite)
	}
	return result, nil
}

// steps does what runs scripts.
func (r *run) steps(ctx context.Context, q ReleaseRequest, compiled *plan.Compiled) error {
	m, s := compiled.Metadata, q.Steps
	var stages []string
	if s.Build || s.Test || s.DestroyBuild {
		stages = append(stages, state.StageBuild)
	}
	if s.Deploy || s.Smoke || s.DestroyDeploy {
		stages = append(stages, state.StageDeploy)
	}
	if len(stages) == 0 {
		return nil
	}
	if err := r.unpackNeeded(ctx, m, ".", stages, 0); err != nil {
		return err
	}
	for _, side := range []struct {
		stage                string
		apply, test, destroy bool
	}{
		{state.StageBuild, s.Build, s.Test, s.DestroyBuild},
		{state.StageDeploy, s.Deploy, s.Smoke, s.DestroyDeploy},
	} {
		if !side.apply && !side.test && !side.destroy {
			continue
		}
		n, err := r.rootNode(ctx, m, side.stage)
		if err != nil {
			return err
		}
		if side.apply {
			if err := r.apply(ctx, n, q.Variables); err != nil {
				return err
			}
		} else if n.state().Version != m.Version {
			return failf(ReasonMissing, "the tests and the destroy step of %s need its %s step, which is turned off and has not run before",
				m.ID(), side.stage)
		}
		if side.test {
			if err := r.test(ctx, n); err != nil {
				return err
			}
		}
		if side.destroy {
			if err := r.destroy(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPlan reads a plan below a folder and returns the folder that it is in.
func readPlan(source, name string) (dir string, text []byte, shown string, err error) {
	if name == "" {
		name = plan.DefaultFile
	}
	shown = path.Clean(filepath.ToSlash(name))
	if !release.SafePath(shown) {
		return "", nil, "", failf(ReasonPlan, "the plan '%s' is not in the source", name)
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		return "", nil, "", fmt.Errorf("open the source: %w", err)
	}
	defer root.Close()
	file, err := openRegular(root, shown)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, "", failf(ReasonPlan, "no plan at %s", shown)
	}
	if err != nil {
		return "", nil, "", failf(ReasonPlan, "the plan %s cannot be read", shown)
	}
	defer file.Close()
	if text, err = io.ReadAll(io.LimitReader(file, 2<<20)); err != nil {
		return "", nil, "", err
	}
	return filepath.Join(source, filepath.FromSlash(path.Dir(shown))), text, shown, nil
}

// exists asks once whether the inventory has the release, since later the answer would be this run's own doing.
func (r *run) exists(ctx context.Context, id release.ID) (bool, error) {
	answer, err := r.decide(ctx, "exists "+id.String(), func() (string, error) {
		switch _, err := r.Inventory.Release(ctx, id); {
		case errors.Is(err, ErrNotFound):
			return "no", nil
		case err != nil:
			return "", fmt.Errorf("look up the release %s: %w", id, err)
		}
		return "yes", nil
	})
	return answer == "yes", err
}

// pack writes the archive of the release, with the files as they are now.
func (r *run) pack(compiled *plan.Compiled) (string, error) {
	m := compiled.Metadata
	if err := compiled.CollectFiles(r.root); err != nil {
		var wrong *plan.FileError
		if errors.As(err, &wrong) {
			return "", failf(ReasonPackage, "the package of %s: %s", m.ID(), wrong.Message)
		}
		return "", err
	}
	name := path.Join(metaDir, "target", m.ArchiveName())
	partial := name + ".partial"
	if err := r.write(partial, nil, 0o644); err != nil {
		return "", fmt.Errorf("write the package: %w", err)
	}
	file, err := r.root.OpenFile(partial, os.O_WRONLY, 0)
	if err != nil {
		return "", fmt.Errorf("write the package: %w", err)
	}
	err = release.WriteArchive(file, m, r.root.FS())
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = r.root.Rename(partial, name)
	}
	if err != nil {
		return "", fmt.Errorf("write the package: %w", err)
	}
	r.log(LevelSuccess, "package.finished", fmt.Sprintf("Packaged %s: %d files.", m.ID(), len(m.Files)), map[string]string{"release": m.ID().String()})
	return filepath.Join(r.dir, filepath.FromSlash(name)), nil
}

// cache keeps the archive and the metadata for later runs.
func (r *run) cache(m *release.Metadata, archive string) error {
	if r.CacheDir == "" {
		return nil
	}
	target := r.cacheFile(m.ID())
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("cache the package: %w", err)
	}
	source, err := r.openArchive(archive)
	if err != nil {
		return fmt.Errorf("cache the package: %w", err)
	}
	defer source.Close()
	err = atomicFile(target, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
	if err != nil {
		return fmt.Errorf("cache the package: %w", err)
	}
	return nil
}

func (r *run) openArchive(archive string) (io.ReadCloser, error) {
	name, err := filepath.Rel(r.dir, archive)
	if err != nil {
		return nil, err
	}
	return r.root.Open(name)
}

// canReplace says whether a release that exists may be replaced: where the request says so and the inventory can.
func (r *run) canReplace(force bool) bool {
	_, can := r.Inventory.(Replacer)
	return force && can
}

// push registers the release and uploads its package.
func (r *run) push(ctx context.Context, m *release.Metadata, archive string, force bool) error {
	id := m.ID()
	open := func() (io.ReadCloser, error) { return r.openArchive(archive) }
	err := r.Inventory.Register(ctx, m)
	if errors.Is(err, ErrExists) && r.canReplace(force) {
		if err := r.Inventory.(Replacer).Replace(ctx, m, open); err != nil {
			return fmt.Errorf("replace %s: %w", id, err)
		}
		r.log(LevelSuccess, "push.replaced", fmt.Sprintf("Pushed %s in the place of the release that was there.", id), map[string]string{"release": id.String()})
		return nil
	}
	if errors.Is(err, ErrExists) {
		return &Failure{Reason: ReasonExists, Message: fmt.Sprintf("the release %s is already in the inventory", id), Err: err}
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", id, err)
	}
	err = r.Inventory.Upload(ctx, id, open)
	if errors.Is(err, ErrExists) {
		return &Failure{Reason: ReasonExists, Message: fmt.Sprintf("the inventory already has a package of %s", id), Err: err}
	}
	if err != nil {
		return fmt.Errorf("upload the package of %s: %w", id, err)
	}
	r.log(LevelSuccess, "push.finished", fmt.Sprintf("Pushed %s.", id), map[string]string{"release": id.String()})
	return nil
}
