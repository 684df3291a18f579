package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/logs"
	"slipway/internal/testenv"
	"slipway/models"
)

// project is a project with an environment "dev" and a namespace of its name, and with one application whose scripts are
// what each build or deployment job says.
type project struct {
	*stack
	name string
	repo *testenv.Repository
	n    int
}

// plan is the application's plan: every script runs the file that the input names, with the step in $step.
const plan = `name: %s/app
version: 0.1.@
inputs:
- id: script
  default: ""
- id: more
  default: ""
outputs:
- id: said
  default: ""
build: build.sh
test: test.sh
deploy: deploy.sh
smoke: smoke.sh
destroy: destroy.sh
`

func (s *stack) project(name string) *project {
	s.t.Helper()
	p := &project{stack: s, name: name}
	require.NoError(s.t, s.client.AddProject(s.ctx(), client.Project{Name: name}))
	require.NoError(s.t, s.client.AddEnvironment(s.ctx(), name, "dev"))
	require.NoError(s.t, s.client.AddNamespace(s.ctx(), name, name))
	files := map[string]string{"escape.yml": fmt.Sprintf(plan, name)}
	for _, step := range []string{"build", "test", "deploy", "smoke", "destroy"} {
		files[step+".sh"] = "#!/bin/sh\nstep=" + step + "\noutputs=$1\n[ -z \"$INPUT_script\" ] || . \"$INPUT_script\"\n"
	}
	p.repo = testenv.GitRepo(s.t, files)
	return p
}

func (s *stack) ctx() context.Context { return context.Background() }

// script writes a script into a file of its own and gives its path.
func (p *project) script(lines ...string) string {
	p.t.Helper()
	p.n++
	dir := filepath.Join(p.dir, "scripts")
	require.NoError(p.t, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.sh", p.name, p.n))
	require.NoError(p.t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return path
}

// build adds a build that runs the script given as its build script.
func (p *project) build(name string, lines ...string) {
	p.t.Helper()
	p.buildOf(client.Build{Name: name, Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true,
		Variables: map[string]string{"script": p.script(lines...)}}}})
}

func (p *project) buildOf(b client.Build) {
	p.t.Helper()
	require.NoError(p.t, p.client.AddBuild(p.ctx(), p.name, "dev", b))
}

func (p *project) trigger(build string) client.Ref {
	p.t.Helper()
	ref, err := p.client.TriggerBuild(p.ctx(), p.name, "dev", build)
	require.NoError(p.t, err)
	return ref
}

// release builds and pushes the application, so that deployment jobs have something to deploy.
func (p *project) release() {
	p.t.Helper()
	p.buildOf(client.Build{Name: "release", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", CacheRelease: true, PushRelease: true}}})
	p.ok(p.trigger("release"))
}

// job adds a deployment job, which needs a release, that runs the script for every step.
func (p *project) job(name, deployment string, lines ...string) {
	p.t.Helper()
	require.NoError(p.t, p.client.AddDeploymentJob(p.ctx(), p.name, client.DeploymentJob{Name: name, Environment: "dev", Deployment: deployment,
		Release: p.name + "/app", Version: "latest", Inputs: map[string]any{"script": p.script(lines...)}}))
}

func (p *project) deploy(job string) client.Ref {
	p.t.Helper()
	ref, err := p.client.TriggerDeploymentJob(p.ctx(), p.name, "dev", job, client.Deploy)
	require.NoError(p.t, err)
	return ref
}

func (p *project) pipeline(name string, phases ...[]client.PipelineStep) {
	p.t.Helper()
	pl := client.Pipeline{Name: name}
	for i, steps := range phases {
		for j := range steps {
			if steps[j].Type != client.StepConfirmation {
				steps[j].Project, steps[j].Environment = p.name, "dev"
			}
		}
		pl.Phases = append(pl.Phases, client.PipelinePhase{Name: fmt.Sprintf("phase %d", i+1), Steps: steps})
	}
	require.NoError(p.t, p.client.AddPipeline(p.ctx(), p.name, pl))
}

func (p *project) triggerPipeline(name string) client.Ref {
	p.t.Helper()
	ref, err := p.client.TriggerPipeline(p.ctx(), p.name, name)
	require.NoError(p.t, err)
	return ref
}

// execution asks the API how an execution stands.
func (s *stack) execution(ref client.Ref) *client.Execution {
	s.t.Helper()
	e, err := s.client.Execution(s.ctx(), ref)
	require.NoError(s.t, err)
	return e
}

// reaches waits until an execution has an outcome: running, queued, waiting, or one that ends it.
func (s *stack) reaches(ref client.Ref, outcome models.Status) *client.Execution {
	s.t.Helper()
	var e *client.Execution
	await(s.t, fmt.Sprintf("execution %s is %s", ref.ID, outcome), func() (bool, string) {
		var err error
		if e, err = s.client.Execution(s.ctx(), ref); err != nil {
			return false, err.Error()
		}
		if e.Ended() && e.Outcome != string(outcome) {
			s.t.Fatalf("execution %s ended as %s (%s), expected %s\n%s", ref.ID, e.Outcome, e.Reason, outcome, s.logText(ref))
		}
		return e.Outcome == string(outcome), e.Outcome + " " + e.Reason
	})
	return e
}

// ok waits until an execution has ended well.
func (s *stack) ok(ref client.Ref) *client.Execution {
	s.t.Helper()
	return s.reaches(ref, models.StatusOK)
}

// failed waits until an execution has failed, for a reason that has the text in it.
func (s *stack) failed(ref client.Ref, reason string) *client.Execution {
	s.t.Helper()
	e := s.reaches(ref, models.StatusFailed)
	require.Contains(s.t, e.Reason, reason)
	return e
}

// logText is the log of a build's or job's execution as plain lines.
func (s *stack) logText(ref client.Ref) string {
	items, err := s.client.Logs(s.ctx(), ref)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, it := range items {
		b.WriteString(it.Message + "\n")
	}
	return b.String()
}

var errSeen = errors.New("seen")

// line follows the log of an execution until a line begins with the prefix, and returns the rest of that line.
func (s *stack) line(ref client.Ref, prefix string) string {
	s.t.Helper()
	return s.lineAfter(ref, prefix, 0)
}

// lineAfter is line for the occurrence after the first skip ones.
func (s *stack) lineAfter(ref client.Ref, prefix string, skip int) string {
	s.t.Helper()
	rest, _ := s.lineAt(ref, prefix, skip)
	return rest
}

// lineAt is lineAfter with the time at which the worker read the line, whenever it got here.
func (s *stack) lineAt(ref client.Ref, prefix string, skip int) (rest string, at time.Time) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx(), patience)
	defer cancel()
	err := s.client.FollowLogs(ctx, ref, func(it logs.Item) error {
		if r, ok := strings.CutPrefix(it.Message, prefix); ok {
			if skip--; skip < 0 {
				rest, at = r, it.Timestamp
				return errSeen
			}
		}
		return nil
	})
	require.ErrorIs(s.t, err, errSeen, "the log of %s has no line %q:\n%s", ref.ID, prefix, s.logText(ref))
	return rest, at
}

// eachLine counts the lines of a file that scripts append to; a file that is not there has none.
func fileLines(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	return strings.Fields(string(b))
}

// row reads an execution from the database.
func (s *stack) row(ref client.Ref) *models.Execution {
	s.t.Helper()
	e, err := s.store.ExecutionByID(s.ctx(), ref.ID)
	require.NoError(s.t, err)
	return e
}
