package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/activities"
	"slipway/internal/client"
	"slipway/internal/runner"
	"slipway/models"
)

// panics are sources that panic for one branch, and are empty but for the scripts of the plan for others.
type panics struct{ dir *string }

func (s panics) Fetch(_ context.Context, space *runner.Workspace, r activities.SourceRequest) (models.Commit, error) {
	if r.Branch == "poisoned" {
		panic("the ground opens: hunter2")
	}
	return models.Commit{}, os.CopyFS(space.Source, os.DirFS(*s.dir))
}

// R1: a build that panics in the worker, wherever it began, ends as failed and says why, is not begun again, leaves nothing
// behind, and takes nothing down with it.
func TestR1ABuildThatPanicsEnds(t *testing.T) {
	t.Parallel()
	var dir string
	s := newStack(t, stackOptions{sqlite: true, sources: panics{&dir}})
	p := s.project("panics")
	dir = p.repo.Dir
	p.build("good", "echo built")
	for name, steps := range map[string][]client.BuildStep{
		"here":     {{PlanLocation: "escape.yml", RunBuild: true}},
		"activity": {{PlanLocation: "escape.yml", RunBuild: true, RunDeploy: true}}, // its plans are read first
	} {
		p.buildOf(client.Build{Name: name, Repo: p.repo.Dir, Branch: "poisoned", Steps: steps})
		ref := p.trigger(name)
		e := s.reaches(ref, models.StatusFailed)
		require.Equal(t, "a panic in Slipway ended it; the worker's log has its stack", e.Reason)
		require.Contains(t, s.logText(ref), e.Reason)
		require.NotContains(t, s.logText(ref), "Attempt 2")
		require.NotContains(t, s.logText(ref), "hunter2", "what it was about may be secret")
	}
	await(t, "the workspaces are gone", func() (bool, string) {
		left, err := filepath.Glob(filepath.Join(s.dir, "workspaces", "worker-*", "w*"))
		require.NoError(t, err)
		return len(left) == 0, ""
	})
	s.ok(p.trigger("good"))
}
