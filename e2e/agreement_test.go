package e2e

import (
	"context"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
)

// The API is killed while it starts a workflow: the execution is recorded, and Temporal has not answered.
func TestR2KilledAPI(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{processes: true, temporal: server})
	api := s.startAPI("api", s.address())
	s.startWorker("worker")
	p := s.project("recorded")
	ran := p.dir + "/ran"
	p.build("build", "echo ran >>"+ran)

	pid := server.PID()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	go func() {
		_, _ = s.try(http.MethodPost, "/api/v1/state/recorded/environments/dev/builds/by-name/build/trigger-build", nil)
	}()
	var id string
	await(t, "the execution is recorded", func() (bool, string) {
		list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild})
		if err == nil && len(list) == 1 {
			id = list[0].ID
		}
		return id != "", ""
	})
	api.kill()
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	ref := client.BuildRef("recorded", "dev", "build", id)
	require.Equal(t, models.StatusNew, s.row(ref).Status, "killed between commit and start")

	s.startAPI("api-again", s.address())
	s.ok(ref)
	require.Equal(t, []string{"ran"}, fileLines(t, ran), "once")
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// Somebody terminates workflows in Temporal's Web UI: nothing of ours runs in them any more, so nothing of ours can end
// the row. The reconciler does.
func TestR2TerminatedWorkflows(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("terminated")
	p.release()
	terminate := func(t *testing.T, ref client.Ref) {
		t.Helper()
		require.NoError(t, s.workflows.TerminateWorkflow(t.Context(), ref.ID, "", "wrong release"))
	}
	g := newGate(t)
	p.job("web", "", "trap '' TERM", "echo pid $$", g.wait())
	p.job("twin", "web", "echo $step")
	p.job("third", "web", "echo $step")

	running := p.deploy("web")
	s.line(running, "pid ")
	waiting := p.deploy("twin")
	s.reaches(waiting, models.StatusQueued)
	third := p.deploy("third")
	s.reaches(third, models.StatusQueued)

	// One that waits for a deployment leaves the queue.
	terminate(t, waiting)
	e := s.failed(waiting, "terminated")
	require.Contains(t, e.Reason, "wrong release", "with the reason that was given")
	require.Equal(t, models.StatusQueued, s.row(third).Status)

	// One that runs loses its script, its deployment goes to the next.
	terminate(t, running)
	e = s.failed(running, "terminated")
	require.Contains(t, e.Reason, "wrong release")
	noProcessesOf(t, 5*time.Second, running.ID)
	s.ok(third)
	queue, err := s.store.LockQueue(t.Context(), s.row(third).EnvironmentID)
	require.NoError(t, err)
	require.Empty(t, queue)

	// One that waits for a person ends, and there is nothing left to decide.
	p.pipeline("ask", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}})
	asks := p.triggerPipeline("ask")
	link := s.link(asks)
	terminate(t, asks)
	s.failed(asks, "wrong release")
	err = s.client.Approve(t.Context(), link)
	require.ErrorContains(t, err, "409")
	require.ErrorContains(t, err, "ended")
}

// R2: a pipeline's workflow is terminated, or deleted, while its step runs: the step is asked to end, and so are its
// scripts.
func TestR2PipelineWithoutItsWorkflow(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("parents")
	p.release()
	for _, c := range []struct {
		name string
		end  func(ref client.Ref) error
		says string
	}{
		{"terminated", func(ref client.Ref) error { return s.workflows.TerminateWorkflow(t.Context(), ref.ID, "", "by hand") }, "by hand"},
		{"deleted", func(ref client.Ref) error {
			_, err := s.workflows.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{Namespace: s.namespace,
				WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: ref.ID}})
			return err
		}, "workflow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.job(c.name, "web", "trap '' TERM", "echo pid $$", "exec sleep 1000")
			p.pipeline(c.name, []client.PipelineStep{{Type: client.StepDeploy, Deployment: c.name}}, []client.PipelineStep{{Name: "never", Type: client.StepConfirmation}})
			ref := p.triggerPipeline(c.name)
			var child client.Ref
			await(t, "its step runs", func() (ok bool, at string) {
				child, ok = s.execution(ref).Pipeline.Phases[0].Steps[0].Ref("parents")
				return ok && len(processesOf(t, child.ID)) > 0, ""
			})
			require.NoError(t, c.end(ref))
			s.failed(ref, c.says)
			await(t, "its step has ended", func() (bool, string) { e := s.row(child); return e.Status.Final(), string(e.Status) })
			noProcessesOf(t, 5*time.Second, child.ID)
			queue, err := s.store.LockQueue(t.Context(), s.row(child).EnvironmentID)
			require.NoError(t, err)
			require.Empty(t, queue)
		})
	}
}

// A retry of a pipeline keeps what succeeded and goes on where it failed; the first execution stays as it was.
func TestRetryOfAPipeline(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("retry")
	p.release()
	mark, ran := p.dir+"/mark", p.dir+"/ran"
	p.build("first", "echo first >>"+ran)
	p.build("flaky", "echo flaky >>"+ran, "[ -e "+mark+" ] || exit 7")
	p.build("last", "echo last >>"+ran)
	p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "first"}},
		[]client.PipelineStep{{Type: client.StepBuild, Build: "flaky"}, {Type: client.StepBuild, Build: "first"}}, []client.PipelineStep{{Type: client.StepBuild, Build: "last"}})
	ref := p.triggerPipeline("all")
	s.failed(ref, "status 7")
	require.ElementsMatch(t, []string{"first", "flaky", "first"}, fileLines(t, ran))
	require.NoError(t, os.WriteFile(mark, nil, 0o600))
	retry, err := s.client.Retry(t.Context(), ref)
	require.NoError(t, err)
	s.ok(retry)
	require.ElementsMatch(t, []string{"first", "flaky", "first", "flaky", "last"}, fileLines(t, ran))
	require.Equal(t, 2, s.execution(retry).Number)
	require.Equal(t, string(models.StatusFailed), s.execution(ref).Outcome)
}

// A terminated workflow that is cancelled before anybody noticed says so: it had begun.
func TestR2CancelOfATerminatedWorkflow(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("both")
	g := newGate(t)
	p.build("build", "echo pid $$", g.wait())
	ref := p.trigger("build")
	s.line(ref, "pid ")
	require.NoError(t, s.workflows.TerminateWorkflow(t.Context(), ref.ID, "", "by hand"))
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	await(t, "the execution ends", func() (bool, string) { e := s.execution(ref); return e.Ended(), e.Outcome })
	require.NotContains(t, s.execution(ref).Reason, "before it began")
	noProcessesOf(t, 5*time.Second, ref.ID)
}

// link waits until a pipeline asks for a decision and gives the link.
func (s *stack) link(ref client.Ref) string {
	s.t.Helper()
	link := ""
	await(s.t, "the pipeline waits for a decision", func() (bool, string) {
		e, err := s.client.Execution(context.Background(), ref)
		if err != nil {
			return false, err.Error()
		}
		for _, ph := range e.Pipeline.Phases {
			for _, st := range ph.Steps {
				if st.ConfirmationURL != "" {
					link = st.ConfirmationURL
				}
			}
		}
		return link != "" && e.Outcome == string(models.StatusWaiting), e.Outcome + " " + e.Reason
	})
	return link
}
