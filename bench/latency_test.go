//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"slipway/executions"
	"slipway/models"
	"slipway/policies"
)

// touch is a script whose first command leaves a file; its time of change is when the command ran.
const touch = "#!/bin/sh\n: > \"$INPUT_file\"\n"

// since reads when a file was made.
func since(t *testing.T, file string, begin time.Time) time.Duration {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.ModTime().Sub(begin)
}

func percentile(d []time.Duration, n int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*n/100)]
}

// TestBenchTriggerToFirstCommand measures from the trigger to the first command of a build's script, against the same
// from the start of a bare workflow.
func TestBenchTriggerToFirstCommand(t *testing.T) {
	s := newStack(t, stackOptions{eager: true, script: touch})
	b := newBare(t, false, map[string]string{"build.sh": touch})
	dir := t.TempDir()
	var ours, theirs []time.Duration
	for i := range 60 {
		file := filepath.Join(dir, fmt.Sprint(i))
		build := s.build(t, "touch"+fmt.Sprint(i), models.BuildStep{RunBuild: true, Variables: map[string]string{"file": file}})
		begin := time.Now()
		e, err := s.trigger(t.Context(), build)
		require.NoError(t, s.run(t.Context(), e, err))
		ours = append(ours, since(t, file, begin))
		begin = time.Now()
		require.NoError(t, b.run(t.Context(), 1, file+"-bare"))
		theirs = append(theirs, since(t, file+"-bare", begin))
	}
	ours, theirs = ours[10:], theirs[10:] // the first ones warm up
	for _, p := range []int{50, 95} {
		atMost(fmt.Sprintf("trigger_to_first_command_p%d", p), float64(percentile(ours, p))/float64(percentile(theirs, p)), 1.5)
		note("trigger to first command p%d: ours %v, bare %v", p, percentile(ours, p), percentile(theirs, p))
	}
}

// TestBenchApproveToNextCommand measures from the decision to the first command of the next phase, against a bare workflow
// that waits for a signal.
func TestBenchApproveToNextCommand(t *testing.T) {
	s := newStack(t, stackOptions{script: touch})
	b := newBare(t, false, map[string]string{"build.sh": touch})
	dir := t.TempDir()
	admin := policies.Subject{Kind: policies.KindUser, ID: models.NewID(), Name: "ann", Admin: true}
	var ours, theirs []time.Duration
	for i := range 30 {
		file := filepath.Join(dir, fmt.Sprint(i))
		name := "touch" + fmt.Sprint(i)
		s.build(t, name, models.BuildStep{RunBuild: true, Variables: map[string]string{"file": file}})
		p := &models.Pipeline{ProjectID: s.project.ID, Name: name, Phases: []models.PipelinePhase{
			{Name: "ask", Steps: []models.PipelineStep{{Type: models.StepConfirmation}}},
			{Name: "go", Steps: []models.PipelineStep{{Type: models.StepBuild, Environment: "dev", Build: name}}}}}
		require.NoError(t, s.Store.CreatePipeline(t.Context(), p))
		e, err := s.Service.Trigger(t.Context(), executions.TriggerRequest{Kind: models.KindPipeline, ProjectID: s.project.ID, SubjectID: p.ID, SubjectName: p.Name,
			Trigger: models.Trigger{Type: "api"}, Definition: p.Definition()})
		require.NoError(t, err)
		var code string
		require.Eventually(t, func() bool {
			list, err := s.Store.ConfirmationsOf(t.Context(), e.ID)
			if err != nil || len(list) == 0 {
				return false
			}
			code, err = s.Service.Code(&list[0])
			return err == nil
		}, 10*time.Second, 2*time.Millisecond)
		begin := time.Now()
		_, err = s.Service.Decide(t.Context(), e.ID, code, true, admin)
		require.NoError(t, err)
		require.NoError(t, s.run(t.Context(), e, nil))
		ours = append(ours, since(t, file, begin))

		r, err := b.client.ExecuteWorkflow(t.Context(), b.options(), "bare-waiting", file+"-bare")
		require.NoError(t, err)
		// Until it waits, as ours does.
		require.Eventually(t, func() bool {
			v, err := b.client.QueryWorkflow(t.Context(), r.GetID(), "", "waits")
			var waits bool
			return err == nil && v.Get(&waits) == nil && waits
		}, 10*time.Second, 2*time.Millisecond)
		begin = time.Now()
		require.NoError(t, b.client.SignalWorkflow(t.Context(), r.GetID(), "", "go", nil))
		require.NoError(t, r.Get(t.Context(), nil))
		theirs = append(theirs, since(t, file+"-bare", begin))
	}
	ours, theirs = ours[5:], theirs[5:]
	for _, p := range []int{50, 95} {
		atMost(fmt.Sprintf("approve_to_next_command_p%d", p), float64(percentile(ours, p))/float64(percentile(theirs, p)), 1.5)
		note("approve to next command p%d: ours %v, bare %v", p, percentile(ours, p), percentile(theirs, p))
	}
}

// waiting is the bare twin of a pipeline with a confirmation: a signal, then a child that runs a script.
func (b *bare) waiting(ctx workflow.Context, file string) error {
	waits := false
	if err := workflow.SetQueryHandler(ctx, "waits", func() (bool, error) { return waits, nil }); err != nil {
		return err
	}
	waits = true
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	c := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{TaskQueue: b.queue})
	return workflow.ExecuteChildWorkflow(c, "bare", 1, file).Get(ctx, nil)
}

// TestBenchCancelToProcessGone measures from the request to cancel to the end of a script's process that obeys SIGTERM.
func TestBenchCancelToProcessGone(t *testing.T) {
	s := newStack(t, stackOptions{script: "#!/bin/sh\necho $$ > \"$INPUT_file.part\"\nmv \"$INPUT_file.part\" \"$INPUT_file\"\nexec sleep 60\n"})
	dir := t.TempDir()
	admin := policies.Subject{Kind: policies.KindUser, ID: models.NewID(), Name: "ann", Admin: true}
	var took []time.Duration
	for i := range 40 {
		file := filepath.Join(dir, fmt.Sprint(i))
		build := s.build(t, "sleep"+fmt.Sprint(i), models.BuildStep{RunBuild: true, Variables: map[string]string{"file": file}})
		e, err := s.trigger(t.Context(), build)
		require.NoError(t, err)
		pid := 0
		require.Eventually(t, func() bool {
			b, err := os.ReadFile(file)
			if err != nil {
				return false
			}
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
			return err == nil
		}, 20*time.Second, 2*time.Millisecond)
		begin := time.Now()
		require.NoError(t, s.Service.Cancel(t.Context(), e.ID, admin))
		for syscall.Kill(pid, 0) == nil {
			require.Less(t, time.Since(begin), 20*time.Second)
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin))
		require.Error(t, s.run(t.Context(), e, nil), "it was cancelled")
	}
	atMost("cancel_to_process_gone_p95_ms", float64(percentile(took, 95).Microseconds())/1000, 150)
	note("cancel to process gone: p50 %v p95 %v", percentile(took, 50), percentile(took, 95))
}
