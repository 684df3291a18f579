//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/executions"
	"slipway/models"
)

// TestCost prints the processor time that one execution costs each process, ours and the bare workflow's. What else the
// machine does shows in it much less than in times on the clock.
func TestCost(t *testing.T) {
	for _, o := range []struct {
		name             string
		eager            bool
		steps, n, atOnce int
		pipeline         bool
	}{
		{name: "one script, one at a time", steps: 1, n: 72, atOnce: 1},
		{name: "one script, 16 at once", steps: 1, n: 192, atOnce: 16},
		{name: "one script, 16 at once, eager", eager: true, steps: 1, n: 192, atOnce: 16},
		{name: "ten scripts, 16 at once", steps: 10, n: 48, atOnce: 16},
		{name: "pipeline of ten, 16 at once", steps: 1, n: 24, atOnce: 16, pipeline: true},
	} {
		t.Run(o.name, func(t *testing.T) {
			s := newStack(t, stackOptions{eager: o.eager})
			b := newBare(t, false, script)
			build := s.build(t, "one", stepsOf(o.steps)...)
			ours := func(ctx context.Context) error { e, err := s.trigger(ctx, build); return s.run(ctx, e, err) }
			theirs := func(ctx context.Context) error { return b.run(ctx, o.steps, "") }
			if o.pipeline {
				p := s.pipelineOf(t, "ten", "one", 10)
				ours = func(ctx context.Context) error { return s.runPipeline(ctx, p) }
				theirs = func(ctx context.Context) error { return b.runParent(ctx, 10) }
			}
			warm(t, ours, theirs)
			var used [2]map[string]float64
			var all [2]samples
			const rounds = 6 // in turns, so that what else the machine does falls on both
			for range rounds {
				for i, run := range []func(context.Context) error{ours, theirs} {
					before := s.cpu(t)
					m := measure(t, o.n/rounds, o.atOnce, run)
					all[i].total, all[i].each = all[i].total+m.total, append(all[i].each, m.each...)
					if used[i] == nil {
						used[i] = map[string]float64{}
					}
					for k, v := range s.cpu(t) {
						used[i][k] += v - before[k]
					}
				}
			}
			var sum [2]float64
			for i, side := range []string{"ours", "bare"} {
				text := ""
				for _, k := range []string{"slipway and bench", "supervisor and scripts", "temporal", "postgres"} {
					ms := used[i][k] / float64(len(all[i].each))
					sum[i] += ms
					text += fmt.Sprintf("  %s %.2f", k, ms)
				}
				note("%s: %s: p50 %v, %.1f a second, processor ms each %.2f:%s", o.name, side, all[i].p(50), all[i].rate(), sum[i], text)
			}
			note("%s: bare by ours: p50 %.3f, rate %.3f, processor %.3f", o.name, float64(all[1].p(50))/float64(all[0].p(50)), all[0].rate()/all[1].rate(), sum[1]/sum[0])
		})
	}
}

func stepsOf(n int) []models.BuildStep {
	if n == 1 {
		return []models.BuildStep{{RunBuild: true}}
	}
	steps := make([]models.BuildStep, n)
	for i := range steps {
		steps[i] = models.BuildStep{PlanLocation: fmt.Sprintf("p%d/escape.yml", i), RunBuild: true}
	}
	return steps
}

// pipelineOf adds a pipeline of n phases with one build each.
func (s *stack) pipelineOf(t *testing.T, name, build string, n int) *models.Pipeline {
	t.Helper()
	phases := make([]models.PipelinePhase, n)
	for i := range phases {
		phases[i] = models.PipelinePhase{Name: fmt.Sprint(i), Steps: []models.PipelineStep{{Type: models.StepBuild, Environment: "dev", Build: build}}}
	}
	p := &models.Pipeline{ProjectID: s.project.ID, Name: name, Phases: phases}
	require.NoError(t, s.Store.CreatePipeline(t.Context(), p))
	return p
}

// runPipeline runs one execution of a pipeline to its end.
func (s *stack) runPipeline(ctx context.Context, p *models.Pipeline) error {
	e, err := s.Service.Trigger(ctx, executions.TriggerRequest{Kind: models.KindPipeline, ProjectID: s.project.ID, SubjectID: p.ID, SubjectName: p.Name,
		Trigger: models.Trigger{Type: "api"}, Definition: p.Definition()})
	return s.run(ctx, e, err)
}

// cpu gives the processor time in milliseconds that this process, its children and the database have used.
func (s *stack) cpu(t *testing.T) map[string]float64 {
	t.Helper()
	server := 0
	if u, err := url.Parse(s.Store.URL()); err == nil {
		if b, err := os.ReadFile(filepath.Join(u.Query().Get("host"), "data", "postmaster.pid")); err == nil {
			server, _ = strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
		}
	}
	sum := map[string]float64{}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, rest, _ := strings.Cut(string(b), " ")
		name, rest, _ := strings.Cut(strings.TrimPrefix(rest, "("), ") ")
		f := strings.Fields(rest)
		number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
		id, _ := strconv.Atoi(pid)
		own, reaped := float64(number(11)+number(12))*10, float64(number(13)+number(14))*10
		switch parent := number(1); {
		case id == os.Getpid():
			sum["slipway and bench"] += own
		case parent == os.Getpid() && name == "temporal":
			sum["temporal"] += own
		case parent == os.Getpid():
			sum["supervisor and scripts"] += own + reaped
		case server != 0 && id == server:
			sum["postgres"] += own + reaped
		case server != 0 && parent == server:
			sum["postgres"] += own
		}
	}
	return sum
}
