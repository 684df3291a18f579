package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

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

// R1: what panics in the small activities around the scripts ends its execution too, and is not repeated for ever.
func TestR1APipelineThatPanicsEnds(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"Claim", "BeginPhase", "Finish"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			var on atomic.Bool
			f := &models.Faults{Before: func() error {
				if on.Load() && strings.HasPrefix(statementSite(), "activities.(*Executions)."+where+" ") || on.Load() && where == "Finish" && strings.Contains(statementSite(), ".End >") {
					panic("the ground opens: hunter2")
				}
				return nil
			}}
			s := newStack(t, stackOptions{sqlite: true, faults: f})
			p := s.project("panics")
			p.build("good", "echo built")
			p.pipeline("ship", []client.PipelineStep{{Type: client.StepBuild, Build: "good"}})
			on.Store(true)
			ref := p.triggerPipeline("ship")
			var e *models.Execution
			await(t, "its workflow has failed", func() (bool, string) {
				d, err := s.workflows.DescribeWorkflowExecution(s.ctx(), ref.ID, "")
				require.NoError(t, err)
				return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_FAILED, d.GetWorkflowExecutionInfo().GetStatus().String()
			})
			on.Store(false)
			await(t, "it ends", func() (bool, string) { e = s.row(ref); return e.Status.Final(), string(e.Status) })
			require.Equal(t, models.StatusFailed, e.Status)
			require.Equal(t, "its workflow failed: a panic in Slipway ended it; the worker's log has its stack", e.Reason)
			s.ok(p.triggerPipeline("ship"))
		})
	}
}
