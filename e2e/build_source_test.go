package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/state"
	"slipway/models"
)

// A build with conditions on files builds what has changed since it last ended well, and is skipped where nothing has.
func TestBuildsOnFileChanges(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("changes")
	count := filepath.Join(s.dir, "count")
	step := func(name string, on, ignore []string) client.BuildStep {
		return client.BuildStep{PlanLocation: "escape.yml", RunBuild: true, BuildOnFileChanges: on, IgnoreFileChanges: ignore,
			Variables: map[string]string{"script": p.script("[ ! -e '"+s.dir+"/broken' ] || exit 1", "echo "+name+" >> '"+count+"'")}}
	}
	steps := []client.BuildStep{step("web", []string{"web/"}, nil), step("rest", nil, []string{"docs", "*.md"})}
	p.buildOf(client.Build{Name: "some", Repo: p.repo.Dir, Branch: "main", Steps: steps})
	s.ok(p.trigger("some"))
	require.Equal(t, []string{"web", "rest"}, fileLines(t, count), "there is nothing to compare with yet")

	ref := p.trigger("some")
	e := s.reaches(ref, models.StatusSkipped)
	require.Equal(t, "ok", e.Status, "the document has no other word for it")
	require.Contains(t, e.Reason, "nothing that it builds has changed since commit "+p.repo.Git("rev-parse", "HEAD"))

	p.repo.Commit("docs", map[string]string{"docs/a.txt": "a", "README.md": "b"})
	s.reaches(p.trigger("some"), models.StatusSkipped)
	p.repo.Commit("web", map[string]string{"web/docs/index.html": "a"})
	ref = p.trigger("some")
	s.ok(ref)
	require.Equal(t, []string{"web", "rest", "web"}, fileLines(t, count))
	require.Contains(t, s.logText(ref), "Step 2 (escape.yml) is skipped")

	// What failed was not built: the next one compares with the last that ended well.
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "broken"), nil, 0o644))
	p.repo.Commit("main", map[string]string{"main.c": "1"})
	s.failed(p.trigger("some"), "")
	require.NoError(t, os.Remove(filepath.Join(s.dir, "broken")))
	p.repo.Commit("docs again", map[string]string{"docs/a.txt": "b"})
	last := p.trigger("some")
	s.ok(last)
	require.Equal(t, []string{"web", "rest", "web", "rest"}, fileLines(t, count))

	// Who retries means it.
	again, err := s.client.Retry(s.ctx(), last)
	require.NoError(t, err)
	s.ok(again)
	require.Len(t, fileLines(t, count), 6)

	// A step that was added since the last good build has never run well: it does not wait for a change of its files.
	late := client.Build{Name: "some", Repo: p.repo.Dir, Branch: "main", Steps: append(steps, step("late", []string{"late/"}, nil))}
	require.Equal(t, http.StatusOK, s.do(http.MethodPut, "/api/v1/state/changes/environments/dev/builds/by-name/some/", late).status)
	s.ok(p.trigger("some"))
	require.Equal(t, "late", fileLines(t, count)[6])
	s.reaches(p.trigger("some"), models.StatusSkipped)

	// A history that was rewritten has nothing to compare with.
	p.repo.Git("checkout", "-q", "--orphan", "new")
	p.repo.Commit("anew", nil)
	p.repo.Git("branch", "-D", "main")
	p.repo.Git("branch", "-m", "main")
	p.repo.Git("reflog", "expire", "--expire=now", "--all")
	p.repo.Git("gc", "-q", "--prune=now")
	s.ok(p.trigger("some"))
	require.Len(t, fileLines(t, count), 10)
}

// tag_git pushes a tag of the release's name to the repository, and never moves one.
func TestBuildsTagTheirSource(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("tags")
	p.buildOf(client.Build{Name: "release", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, CacheRelease: true, PushRelease: true, TagGit: true}}})
	head := p.repo.Git("rev-parse", "HEAD")
	ref := p.trigger("release")
	s.ok(ref)
	require.Equal(t, head, p.repo.Git("rev-parse", "refs/tags/tags/app-v0.1.0"))
	require.Contains(t, s.logText(ref), "Tagged "+head+" as tags/app-v0.1.0 in the repository.")
	p.repo.Git("tag", "tags/app-v0.1.1", head)
	p.repo.Commit("more", map[string]string{"more": "x"})
	s.failed(p.trigger("release"), "the release tags/app-v0.1.1 is made, but its git tag is not:")
	require.Equal(t, head, p.repo.Git("rev-parse", "refs/tags/tags/app-v0.1.1"), "never moved")
	s.ok(p.trigger("release"))
	require.Equal(t, p.repo.Git("rev-parse", "HEAD"), p.repo.Git("rev-parse", "refs/tags/tags/app-v0.1.2"))
}

// The other members of a build's step do what they say: another namespace, variables, providers, the cache.
func TestBuildStepMembers(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("members")
	require.NoError(t, s.client.AddNamespace(s.ctx(), "members", "members-next"))
	said := filepath.Join(s.dir, "said")
	p.buildOf(client.Build{Name: "other", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, CacheRelease: true, PushRelease: true, FatPackage: true,
		OverrideNamespace: "members-next", Variables: map[string]string{"script": p.script("echo \"$INPUT_more\" >> '" + said + "'"), "more": "$(reboot)"}}}})
	s.ok(p.trigger("other"))
	require.Equal(t, []string{"$(reboot)"}, fileLines(t, said), "a variable is text")
	r, err := s.client.Release(s.ctx(), "members-next", "app", "latest")
	require.NoError(t, err)
	require.Equal(t, "0.1.0", r.Metadata.Version)
	_, err = s.client.Release(s.ctx(), "members", "app", "latest")
	require.Error(t, err)
	cached, err := filepath.Glob(filepath.Join(s.dir, "packages", "*", "*", "app-v0.1.0.tgz"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(s.dir, "packages", "*", "app-v0.1.0.tgz"))
	require.NoError(t, err)
	require.NotEmpty(t, append(cached, more...), "the package is kept for later runs")
}

// R7: builds whose repository defines the steps deploy too: they take turns with the deployment that they change, and what
// their last step made of it stands in the state.
func TestR7BuildsWithStepsOfTheirRepositoryTakeTurns(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("kit")
	inside, g := p.dir+"/inside", newGate(t)
	script := p.script(`[ "$step" = deploy ] || return 0`, "echo pid $$", "mkdir "+inside+" || { echo overlap; exit 9; }", g.wait(), "rmdir "+inside)
	p.repo.Commit("steps", map[string]string{
		"escape.yml":    strings.Replace(fmt.Sprintf(plan, p.name), `default: ""`, "default: "+script, 1),
		"escapekit.yml": "escapekit_version: 1\nbuild:\n  steps:\n  - escape_plan_location: escape.yml\n"})
	p.buildOf(client.Build{Name: "kit", Repo: p.repo.Dir, Branch: "main", StepsFromYML: true})
	first := p.trigger("kit")
	s.line(first, "pid ")
	second := p.trigger("kit")
	s.reaches(second, models.StatusQueued)
	g.open(2)
	s.ok(first)
	s.ok(second)
	env, err := s.store.EnvironmentState(t.Context(), s.row(first).EnvironmentID)
	require.NoError(t, err)
	require.Len(t, env.Deployments, 1)
	for _, d := range env.Deployments {
		require.Contains(t, d.Stages, state.StageDeploy)
		require.NotEqual(t, state.RunningMainStep, d.Stages[state.StageDeploy].Status.Code, "its end is written")
	}
}
