//go:build bench

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"slipway/executions"
	"slipway/models"
)

const (
	plan      = "name: bench/app%d\nversion: 0.1.0\nbuild: build.sh\n"
	inputPlan = plan + "inputs:\n- id: file\n"
)

// planFiles are the sources of a build with one step, or with ten.
func planFiles(steps, script string) map[string]string {
	if script != "" {
		return map[string]string{"escape.yml": fmt.Sprintf(inputPlan, 1), "build.sh": script}
	}
	if steps == "1" {
		return map[string]string{"escape.yml": fmt.Sprintf(plan, 1), "build.sh": "#!/bin/sh\nexit 0\n"}
	}
	files := map[string]string{}
	for i := range 10 {
		dir := fmt.Sprintf("p%d", i)
		files[filepath.Join(dir, "escape.yml")] = fmt.Sprintf(plan, i)
		files[filepath.Join(dir, "build.sh")] = "#!/bin/sh\nexit 0\n"
	}
	return files
}

var script = map[string]string{"build.sh": "#!/bin/sh\nexit 0\n"}

// Engine: one script, ten scripts, and a pipeline of ten builds, against a bare workflow that runs the same scripts.
func TestBenchEngine(t *testing.T) {
	for _, database := range []string{"postgres", "sqlite"} {
		for _, eager := range []bool{false, true} {
			name := database
			if eager {
				name += "_eager"
			}
			t.Run(name, func(t *testing.T) { benchEngine(t, name, database, eager) })
		}
	}
}

func benchEngine(t *testing.T, name, database string, eager bool) {
	o := stackOptions{eager: eager}
	if database == "sqlite" {
		o.database = "sqlite:" + filepath.Join(t.TempDir(), "bench.db")
	}
	bound := 0.9
	if eager {
		bound = 1.0
	}
	b := newBare(t, false, script)
	one := newStack(t, o)
	build := one.build(t, "one", models.BuildStep{RunBuild: true})
	ours := func(ctx context.Context) error { e, err := one.trigger(ctx, build); return one.run(ctx, e, err) }
	theirs := func(ctx context.Context) error { return b.run(ctx, 1, "") }
	warm(t, ours, theirs)
	// Both sides in turns, so that what else the machine does falls on both.
	oneAtATime := func() (float64, samples) { return pair(t, 3, 30, 1, ours, theirs) }
	lat, mine := oneAtATime()
	atLeast(name+"_one_script_latency", lat, bound)
	note("%s: one script, one at a time: p50 %v p95 %v", name, mine.p(50), mine.p(95))
	rate, mine := pair(t, 3, 96, 16, ours, theirs)
	atLeast(name+"_one_script_per_second_16_at_once", rate, bound)
	note("%s: one script, 16 at once: %.0f executions/s, history events %d", name, mine.rate(), one.events(t, ours))
	one.transactions(t, name, ours)

	steps := make([]models.BuildStep, 10)
	for i := range steps {
		steps[i] = models.BuildStep{PlanLocation: fmt.Sprintf("p%d/escape.yml", i), RunBuild: true}
	}
	tenBuild := one.build(t, "ten", steps...)
	ours10 := func(ctx context.Context) error { e, err := one.trigger(ctx, tenBuild); return one.run(ctx, e, err) }
	theirs10 := func(ctx context.Context) error { return b.run(ctx, 10, "") }
	warm(t, ours10, theirs10)
	lat, _ = pair(t, 2, 8, 1, ours10, theirs10)
	atLeast(name+"_ten_scripts_latency", lat, 2)
	rate, mine = pair(t, 2, 32, 16, ours10, theirs10)
	atLeast(name+"_ten_scripts_per_second_16_at_once", rate, 2)
	note("%s: ten scripts, 16 at once: %.1f executions/s", name, mine.rate())

	phases := make([]models.PipelinePhase, 10)
	for i := range phases {
		phases[i] = models.PipelinePhase{Name: fmt.Sprint(i), Steps: []models.PipelineStep{{Type: models.StepBuild, Environment: "dev", Build: "one"}}}
	}
	p := &models.Pipeline{ProjectID: one.project.ID, Name: "ten", Phases: phases}
	require.NoError(t, one.Store.CreatePipeline(t.Context(), p))
	oursPipe := func(ctx context.Context) error {
		e, err := one.Service.Trigger(ctx, executions.TriggerRequest{Kind: models.KindPipeline, ProjectID: one.project.ID, SubjectID: p.ID, SubjectName: p.Name,
			Trigger: models.Trigger{Type: "api"}, Definition: p.Definition()})
		return one.run(ctx, e, err)
	}
	theirsPipe := func(ctx context.Context) error { return b.runParent(ctx, 10) }
	warm(t, oursPipe, theirsPipe)
	lat, mine = pair(t, 2, 5, 1, oursPipe, theirsPipe)
	atLeast(name+"_pipeline_of_ten_latency", lat, 0.9)
	note("%s: pipeline of ten builds, one at a time: p50 %v", name, mine.p(50))
	rate, mine = pair(t, 2, 16, 16, oursPipe, theirsPipe)
	atLeast(name+"_pipeline_of_ten_per_second_16_at_once", rate, 0.9)
	note("%s: pipeline of ten builds, 16 at once: %.2f pipelines/s", name, mine.rate())
}

func warm(t *testing.T, ours, theirs func(context.Context) error) {
	t.Helper()
	measure(t, 4, 2, ours)
	measure(t, 4, 2, theirs)
}

// pair measures both sides in turns and gives ours compared with theirs: the ratio of their rates where several run at
// once, of their median latencies where one runs at a time. Over 1 means that ours is quicker.
func pair(t *testing.T, rounds, n, parallel int, ours, theirs func(context.Context) error) (float64, samples) {
	t.Helper()
	var mine, other samples
	for range rounds {
		a, b := measure(t, n, parallel, ours), measure(t, n, parallel, theirs)
		mine.total, mine.each = mine.total+a.total, append(mine.each, a.each...)
		other.total, other.each = other.total+b.total, append(other.each, b.each...)
	}
	if parallel == 1 {
		return float64(other.p(50)) / float64(mine.p(50)), mine
	}
	return mine.rate() / other.rate(), mine
}

// events counts the history events of one execution.
func (s *stack) events(t *testing.T, run func(context.Context) error) int {
	t.Helper()
	require.NoError(t, run(t.Context()))
	list, err := s.Store.ListExecutions(t.Context(), models.ExecutionFilter{PageSize: 1})
	require.NoError(t, err)
	n := 0
	it := s.Temporal.GetWorkflowHistory(t.Context(), list[0].ID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		_, err := it.Next()
		require.NoError(t, err)
		n++
	}
	return n
}

// transactions prints how many transactions of Slipway's database one execution of one script takes, where the database
// counts them.
func (s *stack) transactions(t *testing.T, name string, run func(context.Context) error) {
	t.Helper()
	if s.Store.Dialect() != models.PostgreSQL {
		return
	}
	count := func() (n int64) {
		db, err := sql.Open("pgx", s.Store.URL())
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, db.QueryRow("SELECT true, xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(new(bool), &n))
		return n
	}
	const runs = 400            // for some seconds: what a connection did in its last one may not be counted yet
	time.Sleep(2 * time.Second) // PostgreSQL reports its counters once a second
	before := count()
	measure(t, runs, 1, run)
	time.Sleep(2 * time.Second)
	note("%s: %.1f transactions of the database for one execution of one script, the reconciler's and the notifications' among them", name, float64(count()-before)/runs)
}
