//go:build soak

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
)

// use is what an installation takes at one time.
type use struct {
	memory      map[string]float64 // MiB of each process
	descriptors map[string]int
	connections int
}

// R17: under a steady load an installation takes no more and more: memory, descriptors and connections of the last third
// of the time are those of the second. SOAK_TIME=1h is the hour of the checklist.
func TestSoakR17SteadyLoad(t *testing.T) {
	s := newStack(t, stackOptions{processes: true, database: testenv.Postgres(t)})
	processes := []*process{s.startAPI("api", s.address()), s.startWorker("worker")}
	p := s.project("steady")
	p.release()
	p.build("build", "seq 200")
	p.job("web", "", "echo $step")
	p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "build"}}, []client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}})
	conn, err := pgx.Connect(t.Context(), s.database)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	look := func() use {
		u := use{memory: map[string]float64{}, descriptors: map[string]int{}}
		for _, pr := range processes {
			u.memory[pr.name] = memory(t, pr.pid(), "VmRSS")
			entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pr.pid()))
			require.NoError(t, err)
			u.descriptors[pr.name] = len(entries)
		}
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").Scan(&u.connections))
		return u
	}
	// Four users, each of whom triggers a pipeline, follows its build's log and lists what there is, again and again.
	stop := make(chan struct{})
	var users sync.WaitGroup
	var mu sync.Mutex
	ended := 0
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ref, err := s.client.TriggerPipeline(s.ctx(), "steady", "all")
				if err != nil {
					t.Error(err)
					return
				}
				e, err := s.client.Watch(s.ctx(), ref, 200*time.Millisecond, func(*client.Execution) error { return nil })
				if err != nil || e.Outcome != "ok" {
					t.Errorf("%v %+v", err, e)
					return
				}
				if child, ok := e.Pipeline.Phases[0].Steps[0].Ref("steady"); ok {
					if _, err := s.client.Logs(s.ctx(), child); err != nil {
						t.Error(err)
					}
				}
				if _, err := s.client.Executions(s.ctx(), client.ExecutionFilter{}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				ended++
				mu.Unlock()
			}
		})
	}
	const samples = 60
	tick := time.NewTicker(soakTime(t) / samples)
	defer tick.Stop()
	var all []use
	for range samples {
		<-tick.C
		all = append(all, look())
	}
	close(stop)
	users.Wait()
	middle, last := all[samples/3:2*samples/3], all[2*samples/3:]
	median := func(of []use, f func(use) float64) float64 {
		var list []float64
		for _, u := range of {
			list = append(list, f(u))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	for _, pr := range processes {
		before, after := median(middle, func(u use) float64 { return u.memory[pr.name] }), median(last, func(u use) float64 { return u.memory[pr.name] })
		t.Logf("%s: %.0f MiB, then %.0f MiB", pr.name, before, after)
		require.Less(t, after, before*1.15+8, "memory of %s", pr.name)
		before, after = median(middle, func(u use) float64 { return float64(u.descriptors[pr.name]) }), median(last, func(u use) float64 { return float64(u.descriptors[pr.name]) })
		t.Logf("%s: %.0f descriptors, then %.0f", pr.name, before, after)
		require.Less(t, after, before+20, "descriptors of %s", pr.name)
	}
	before, after := median(middle, func(u use) float64 { return float64(u.connections) }), median(last, func(u use) float64 { return float64(u.connections) })
	t.Logf("%.0f connections to the database, then %.0f; %d pipelines", before, after, ended)
	require.LessOrEqual(t, after, before+4, "connections")
	require.Greater(t, ended, 10)
}
