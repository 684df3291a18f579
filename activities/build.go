package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/engine"
	"slipway/internal/logs"
	"slipway/internal/plan"
	"slipway/internal/problem"
	"slipway/internal/state"
	"slipway/models"
	"slipway/workflows"
)

// planFile is where a plan is looked for when a step names none.
const planFile = "escape.yml"

// Build runs all steps of a build in one go: fetch the source, then for each step compile, build, test, deploy, package
// and push, as its flags say.
func (a *Scripts) Build(ctx context.Context, in workflows.Input) (workflows.Outcome, error) {
	return a.build(ctx, in, pulseOf(ctx))
}

func (a *Scripts) build(ctx context.Context, in workflows.Input, p pulse) (workflows.Outcome, error) {
	return a.run(ctx, in, p, func(ctx context.Context, t *attempt) (models.Result, error) {
		var d models.BuildDefinition
		if err := t.e.DefinitionInto(&d); err != nil {
			return models.Result{}, problem.Wrap(problem.Unprocessable, err, "the build's definition cannot be read")
		}
		before, err := t.baseline(ctx, d)
		if err != nil {
			return models.Result{}, err
		}
		changed := changes{baseline: before}
		commit, err := t.fetch(ctx, d, &changed)
		if err != nil {
			return models.Result{}, err
		}
		t.state.stages = stagesOf(d)
		steps, err := t.steps(d)
		if err != nil {
			return models.Result{}, err
		}
		var result models.Result
		idle := true
		for i, st := range steps {
			if !changed.concern(st) {
				t.skip(i, st, changed)
				continue
			}
			idle = false
			r, err := t.release(ctx, d, st, i, commit)
			if r != nil {
				result.Releases = append(result.Releases, models.ReleaseResult{Release: r.ID.String(), Skipped: r.Skipped, Pushed: st.PushRelease && !r.Skipped && err == nil})
			}
			if err == nil && st.TagGit && !r.Skipped {
				err = t.tagGit(ctx, d, commit, r.ID.String())
			}
			if err != nil {
				if len(steps) > 1 {
					err = fmt.Errorf("step %d (%s): %w", i+1, planOf(st), err)
				}
				return result, err
			}
		}
		if idle && len(steps) > 0 {
			return result, &idleError{since: changed.since}
		}
		return result, nil
	})
}

// PlanBuild reads the plans of a build that deploys, and gives the names of the deployments it changes.
func (a *Scripts) PlanBuild(ctx context.Context, in workflows.Input) (workflows.PlanResult, error) {
	var res workflows.PlanResult
	out, err := a.try(ctx, in, pulseOf(ctx), false, func(ctx context.Context, t *attempt) (models.Result, error) {
		var d models.BuildDefinition
		if err := t.e.DefinitionInto(&d); err != nil {
			return models.Result{}, problem.Wrap(problem.Unprocessable, err, "the build's definition cannot be read")
		}
		if _, err := t.fetch(ctx, d, nil); err != nil {
			return models.Result{}, err
		}
		steps, err := t.steps(d)
		if err != nil {
			return models.Result{}, err
		}
		for _, st := range steps {
			if !st.RunDeploy && !st.RunSmoke && !st.RunDestroy && !st.RunDestroyDeploy {
				continue
			}
			text, err := readPlan(t.workspace.Source, planOf(st))
			if err != nil {
				return models.Result{}, err
			}
			p, err := plan.Parse(planOf(st), text)
			if err != nil {
				return models.Result{}, problem.Wrap(problem.Unprocessable, err, "%s", err.Error())
			}
			res.Deployments = append(res.Deployments, p.Deployment(st.OverrideNamespace))
		}
		return models.Result{}, nil
	})
	if err == nil && !out.Ok() {
		res.Failed = &out
	}
	return res, err
}

// readPlan reads a plan inside of the source, never one that a link or a path leads to outside.
func readPlan(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, err := root.ReadFile(name)
	if err != nil {
		return nil, problem.Wrap(problem.Unprocessable, err, "no plan at %s", name)
	}
	return b, nil
}

// stagesOf are the stages of the state that a build works on.
func stagesOf(d models.BuildDefinition) []string {
	stages := []string{state.StageBuild}
	if d.Deploys() {
		stages = append(stages, state.StageDeploy)
	}
	return stages
}

func (t *attempt) by() string {
	if t.e.Trigger.SubjectName != "" {
		return t.e.Trigger.SubjectName
	}
	return "slipway"
}

func planOf(st models.BuildStep) string {
	if st.PlanLocation == "" {
		return planFile
	}
	return filepath.ToSlash(filepath.Clean(st.PlanLocation))
}

// fetch puts the build's source into the workspace and records which commit it is. A repetition gets the commit that the
// first try got, whatever was pushed since. changed, where it has a commit to compare with, gets what differs from that.
func (t *attempt) fetch(ctx context.Context, d models.BuildDefinition, changed *changes) (models.Commit, error) {
	key, token, err := t.Store.BuildKeys(ctx, d.BuildID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return models.Commit{}, fmt.Errorf("open the secrets of the build: %w", err)
	}
	t.hide(key, token)
	t.token = token
	want := d.Commit
	if want == "" && t.e.Commit != nil {
		want = t.e.Commit.Revision
	}
	q := SourceRequest{URL: d.Repo, Branch: d.Branch, Commit: want, PrivateKey: key, Log: func(line string) { t.say(logs.LevelInfo, line) }}
	if changed != nil && changed.since != "" {
		q.Since, q.Changes = changed.since, func(files []string) { changed.known, changed.files = true, files }
	}
	commit, err := t.Sources.Fetch(ctx, t.workspace, q)
	if err != nil {
		return commit, err
	}
	if commit.Revision != "" && (t.e.Commit == nil || t.e.Commit.Revision != commit.Revision) {
		if err := persist(ctx, func() error { return t.Store.SetCommit(ctx, t.e.ID, commit) }); err != nil {
			return commit, err
		}
		t.e.Commit = &commit
	}
	if commit.Revision != "" {
		t.say(logs.LevelInfo, fmt.Sprintf("Source: %s at %s.", orElse(d.Branch, orElse(commit.Branch, "HEAD")), commit.Revision))
	}
	return commit, t.workspace.Own()
}

// tagGit pushes a git tag of a release's name to the source repository, with the build's key. The release is made by then:
// a repository that refuses the tag fails the build all the same, since somebody asked for it.
func (t *attempt) tagGit(ctx context.Context, d models.BuildDefinition, commit models.Commit, name string) error {
	if t.Fetcher == nil || commit.Revision == "" {
		return problem.New(problem.Unprocessable, "the release %s is made, but there is no commit of a git repository to tag", name)
	}
	key, _, err := t.Store.BuildKeys(ctx, d.BuildID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return fmt.Errorf("open the secrets of the build: %w", err)
	}
	err = Repositories{t.Fetcher}.Tag(ctx, SourceRequest{URL: d.Repo, Branch: orElse(commit.Branch, d.Branch), Commit: commit.Revision, PrivateKey: key}, name)
	var p *problem.Error
	if errors.As(err, &p) {
		return problem.Wrap(p.Kind, err, "the release %s is made, but its git tag is not: %s", name, p.Message)
	}
	if err != nil {
		return err
	}
	t.say(logs.LevelSuccess, fmt.Sprintf("Tagged %s as %s in the repository.", commit.Revision, name))
	return nil
}

// hide keeps a secret out of the log. The lines of a key are secrets too: a script may print one of them.
func (t *attempt) hide(values ...string) {
	for _, v := range values {
		if v == "" {
			continue
		}
		t.secrets.Add(v)
		if strings.Contains(v, "\n") {
			for line := range strings.SplitSeq(v, "\n") {
				if len(line) > 8 && !strings.HasPrefix(line, "-----") {
					t.secrets.Add(line)
				}
			}
		}
	}
}

// steps are the steps of the definition, or those that the repository defines.
func (t *attempt) steps(d models.BuildDefinition) ([]models.BuildStep, error) {
	if !d.StepsFromYML {
		if len(d.Steps) == 0 {
			return nil, problem.New(problem.Unprocessable, "the build has no steps")
		}
		return d.Steps, nil
	}
	root, err := os.OpenRoot(t.workspace.Source)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, err := root.ReadFile(stepsFile)
	if err != nil {
		return nil, problem.Wrap(problem.Unprocessable, err, "the build takes its steps from %s, which is not in the repository", stepsFile)
	}
	return readSteps(b)
}

// release runs one step.
func (t *attempt) release(ctx context.Context, d models.BuildDefinition, st models.BuildStep, number int, commit models.Commit) (*engine.ReleaseResult, error) {
	q := engine.ReleaseRequest{
		Target: engine.Target{Project: d.Project, Environment: d.Environment, Variables: anyValues(st.Variables), Providers: st.Providers},
		Dir:    t.workspace.Source,
		Plan:   planOf(st),
		Steps: engine.ReleaseSteps{Build: st.RunBuild, Test: st.RunTests, DestroyBuild: st.RunDestroyBuild || st.RunDestroy, Deploy: st.RunDeploy,
			Smoke: st.RunSmoke, DestroyDeploy: st.RunDestroyDeploy || st.RunDestroy, Package: st.PushRelease || st.CacheRelease || st.FatPackage, Cache: st.CacheRelease, Push: st.PushRelease},
		SkipIfExists: st.SkipIfExists, ForceOverwrite: st.ForceOverwrite, OverrideNamespace: st.OverrideNamespace,
		Source: plan.Source{Repository: d.Repo, Branch: orElse(commit.Branch, d.Branch), Revision: commit.Revision, Message: commit.Message, Author: commit.Author},
	}
	e, err := t.engine(ctx)
	if err != nil {
		return nil, err
	}
	// Steps may share a plan: what each decided and ran is recorded apart.
	e.KeyPrefix = fmt.Sprintf("%d ", number+1)
	return e.Release(ctx, q)
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func anyValues(m map[string]string) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// engine puts an engine together for this attempt.
func (t *attempt) engine(ctx context.Context) (*engine.Engine, error) {
	inventory, err := t.Inventory(ctx, t.e, t.token)
	if err != nil {
		return nil, err
	}
	e := &engine.Engine{
		Inventory: inventory, Scripts: t, State: t.state, Log: t, Decisions: t,
		Secret: func(v string) { t.hide(v) }, Owner: t.owner(), Client: t.Version, User: t.by(), CacheDir: t.CacheDir,
	}
	if t.Fetcher != nil {
		e.Downloads = downloads{t.Fetcher, t.workspace}
	}
	return e, nil
}

// owner gives what the engine makes to the user that scripts run as.
func (t *attempt) owner() func(string) error {
	if t.workspace.UID == 0 {
		return nil
	}
	return func(path string) error { return os.Lchown(path, t.workspace.UID, t.workspace.GID) }
}
