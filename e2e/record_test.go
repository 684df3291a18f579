package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"slipway/internal/client"
	"slipway/models"
	"slipway/workflows"
)

// RecordVariable makes TestRecordHistories write the histories that the replay test of package workflows reads. It is for
// the day of a release: what is recorded then must replay for as long as such workflows may be open.
const RecordVariable = "SLIPWAY_RECORD_HISTORIES"

// suggestsContinue is the number of events from which the server suggests that a workflow continue as new.
const suggestsContinue = 4096

func TestRecordHistories(t *testing.T) {
	if os.Getenv(RecordVariable) == "" {
		t.Skip(RecordVariable + " is not set: nothing is recorded")
	}
	dir := filepath.Join("..", "workflows", "testdata", "histories")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	s := newStack(t, stackOptions{})
	p := s.project("record")
	p.release()
	write := func(name, id, run string) {
		t.Helper()
		h := &historypb.History{}
		it := s.workflows.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for it.HasNext() {
			event, err := it.Next()
			require.NoError(t, err)
			h.Events = append(h.Events, event)
		}
		encoded, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
		require.NoError(t, err)
		encoded = withoutIdentities(t, encoded)
		file := filepath.Join(dir, name+".json")
		if len(encoded) > 256<<10 {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err = z.Write(encoded)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			encoded, file = b.Bytes(), file+".gz"
		}
		require.NoError(t, os.WriteFile(file, encoded, 0o644))
	}

	p.build("good", "echo good")
	ref := p.trigger("good")
	s.ok(ref)
	write("build-ok", ref.ID, "")

	p.build("bad", "exit 3")
	ref = p.trigger("bad")
	s.failed(ref, "3")
	write("build-failed", ref.ID, "")

	p.build("long", "echo pid $$", "exec sleep 1000")
	ref = p.trigger("long")
	s.line(ref, "pid ")
	write("build-open-running", ref.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("build-cancelled", ref.ID, "")

	p.buildOf(client.Build{Name: "deploys", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunDeploy: true}}})
	ref = p.trigger("deploys")
	s.ok(ref)
	write("build-that-deploys", ref.ID, "")

	g := newGate(t)
	p.job("web", "", "echo pid $$", g.wait(), "echo passed")
	holder := p.deploy("web")
	s.line(holder, "pid ")
	second, third := p.deploy("web"), p.deploy("web")
	s.reaches(second, models.StatusQueued)
	s.reaches(third, models.StatusQueued)
	write("deployment-open-waits-for-lock", third.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), third))
	s.reaches(third, models.StatusCancelled)
	write("deployment-cancelled-in-queue", third.ID, "")
	g.open(2)
	s.ok(holder)
	write("deployment-ok", holder.ID, "")
	s.ok(second)
	write("deployment-waited-for-lock", second.ID, "")

	ask := client.PipelineStep{Name: "go?", Type: client.StepConfirmation}
	build := func() client.PipelineStep { return client.PipelineStep{Type: client.StepBuild, Build: "good"} }
	p.pipeline("all", []client.PipelineStep{build(), build()}, []client.PipelineStep{ask}, []client.PipelineStep{build(), {Type: client.StepSmoke, Deployment: "web"}})
	ref = p.triggerPipeline("all")
	link := s.link(ref)
	write("pipeline-open-waiting", ref.ID, "")
	require.NoError(t, s.client.Approve(t.Context(), link))
	g.open(1)
	s.ok(ref)
	write("pipeline-approved", ref.ID, "")

	ref = p.triggerPipeline("all")
	require.NoError(t, s.client.Disapprove(t.Context(), s.link(ref)))
	s.failed(ref, "disapproved")
	write("pipeline-disapproved", ref.ID, "")

	ref = p.triggerPipeline("all")
	s.link(ref)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-cancelled-while-waiting", ref.ID, "")

	p.pipeline("running", []client.PipelineStep{{Type: client.StepBuild, Build: "long"}, build()})
	ref = p.triggerPipeline("running")
	await(t, "its step runs", func() (bool, string) {
		child, ok := s.execution(ref).Pipeline.Phases[0].Steps[0].Ref("record")
		return ok && len(processesOf(t, child.ID)) > 0, ""
	})
	write("pipeline-open-running", ref.ID, "")
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	write("pipeline-cancelled-while-running", ref.ID, "")

	p.pipeline("fails", []client.PipelineStep{{Type: client.StepBuild, Build: "bad"}, build()}, []client.PipelineStep{build()})
	ref = p.triggerPipeline("fails")
	s.failed(ref, "3")
	write("pipeline-failed", ref.ID, "")

	// So many signals that the server suggests to continue as new.
	p.pipeline("continued", []client.PipelineStep{ask}, []client.PipelineStep{build()}, []client.PipelineStep{ask})
	ref = p.triggerPipeline("continued")
	link = s.link(ref)
	first := s.row(ref).RunID
	for range suggestsContinue {
		require.NoError(t, s.workflows.SignalWorkflow(t.Context(), ref.ID, "", workflows.SignalDecision, workflows.Decision{ConfirmationID: "of nobody"}))
	}
	require.NoError(t, s.client.Approve(t.Context(), link))
	for link2 := link; link2 == link; {
		link2 = s.link(ref)
	}
	d, err := s.workflows.DescribeWorkflowExecution(t.Context(), ref.ID, "")
	require.NoError(t, err)
	run := d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	require.NotEqual(t, first, run, "it continued as new")
	write("pipeline-before-it-continued", ref.ID, first)
	write("pipeline-open-continued", ref.ID, run)
	require.NoError(t, s.client.Approve(t.Context(), s.link(ref)))
	s.ok(ref)
	write("pipeline-continued", ref.ID, run)
}

// withoutIdentities takes the names of the machine and the process out of a history: they are nobody's business and tell
// a replay nothing.
func withoutIdentities(t testing.TB, history []byte) []byte {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(history, &v))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				if s, ok := m.(string); ok && k == "identity" && s != "" {
					v[k] = "worker"
				} else {
					walk(m)
				}
			}
		case []any:
			for _, m := range v {
				walk(m)
			}
		}
	}
	walk(v)
	out, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return append(out, '\n')
}
