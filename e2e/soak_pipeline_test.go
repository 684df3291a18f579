//go:build soak

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"slipway/internal/client"
	"slipway/models"
)

// R13: a pipeline of 50 phases with 50 steps runs within Temporal's limits on histories, every step once, with its
// clean-up at the end; and what people ask about it stays quick.
func TestSoakR13LargePipeline(t *testing.T) { largePipeline(t, 50, 50) }

// The server warns at 10,240 events and 10 MB, and ends a workflow at five times of that. A pipeline stays below the
// warnings.
const maxEvents, maxHistory = 10_240, 10 << 20

func largePipeline(t *testing.T, phases, steps int) {
	s := newStack(t, stackOptions{})
	p := s.project("large")
	ran := p.dir + "/ran"
	p.build("tiny", "echo $SLIPWAY_EXECUTION >>"+ran)
	p.build("bad", "echo $SLIPWAY_EXECUTION >>"+ran, "exit 3")
	var list []client.PipelinePhase
	for i := range phases {
		ph := client.PipelinePhase{Name: fmt.Sprint("phase ", i)}
		for j := range steps {
			ph.Steps = append(ph.Steps, client.PipelineStep{Name: fmt.Sprintf("%d.%d", i, j), Type: client.StepBuild, Build: "tiny"})
		}
		list = append(list, ph)
	}
	// The last but one fails: the last one cleans up, after the pipeline has continued as new.
	list[phases-2].Steps[0].Build = "bad"
	list[phases-1].RunAlways = true
	p.phases("large", list...)
	began := time.Now()
	ref := p.triggerPipeline("large")
	first := ""
	awaitWithin(t, 30*time.Minute, "the pipeline has ended", func() (bool, string) {
		e := s.row(ref)
		if first == "" {
			first = e.RunID
		}
		return e.Status.Final(), fmt.Sprint(e.Status, " ", len(fileLines(t, ran)))
	})
	t.Logf("%d steps took %s", phases*steps, time.Since(began))
	e := s.failed(ref, fmt.Sprintf("step %d.0:", phases-2))
	var ids []string
	for i, ph := range e.Pipeline.Phases {
		for j, st := range ph.Steps {
			want := "ok"
			if i == phases-2 && j == 0 {
				want = "failed"
			}
			require.Equal(t, want, st.Outcome, st.Name)
			ids = append(ids, st.ExecutionID)
		}
	}
	require.ElementsMatch(t, ids, fileLines(t, ran), "each step ran once")

	runs := 0
	for run := first; run != ""; runs++ {
		d, err := s.workflows.DescribeWorkflowExecution(t.Context(), ref.ID, run)
		require.NoError(t, err)
		info := d.GetWorkflowExecutionInfo()
		t.Logf("run %d: %d events, %d bytes", runs+1, info.GetHistoryLength(), info.GetHistorySizeBytes())
		require.Less(t, info.GetHistoryLength(), int64(maxEvents))
		require.Less(t, info.GetHistorySizeBytes(), int64(maxHistory))
		it := s.workflows.GetWorkflowHistory(t.Context(), ref.ID, run, false, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
		run = ""
		for it.HasNext() {
			event, err := it.Next()
			require.NoError(t, err)
			run = event.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
		}
	}
	if phases*steps >= 2500 {
		require.Greater(t, runs, 1, "it continued as new")
	}
	for name, ask := range map[string]func(){
		"the list": func() {
			require.Equal(t, 200, s.do("GET", "/api/v1/pipelines/by-project/large/by-name/large/executions/?page_size=50", nil).status)
		},
		"the execution": func() { s.execution(ref) },
		"its queue":     func() { require.Equal(t, 200, s.do("GET", "/api/v1/slipway/projects/large/queue", nil).status) },
	} {
		ask() // what the first one reads from disk is not the question
		asked := time.Now()
		ask()
		took := time.Since(asked)
		t.Logf("%s took %s", name, took)
		require.Less(t, took, time.Second, name)
	}
	open, err := s.store.CountOpen(t.Context())
	require.NoError(t, err)
	require.Empty(t, open)
	_, err = s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindPipeline})
	require.NoError(t, err)
}
