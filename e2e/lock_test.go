package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/models"
)

// R7: deployments of one deployment never overlap, whoever asks, and take their turns in the order in which they came.
func TestR7DeploymentsNeverOverlap(t *testing.T) {
	t.Parallel()
	for _, sqlite := range []bool{true, false} {
		t.Run(fmt.Sprintf("sqlite=%v", sqlite), func(t *testing.T) {
			t.Parallel()
			s := newStack(t, stackOptions{sqlite: sqlite})
			p := s.project("turns")
			p.release()
			inside, order := p.dir+"/inside", p.dir+"/order"
			// mkdir is atomic: the second of two that overlap fails, and so does its deployment.
			critical := func(name string) []string {
				return []string{"mkdir " + inside + " || { echo overlap; exit 9; }", "echo " + name + " >>" + order, "rmdir " + inside}
			}
			g := newGate(t)
			p.job("first", "web", append([]string{"echo pid $$", g.wait()}, critical("first")...)...)
			first := p.deploy("first")
			s.line(first, "pid ")
			var refs []client.Ref
			var want = []string{"first"}
			for i := range 4 {
				name := fmt.Sprintf("job-%d", i)
				p.job(name, "web", critical(name)...)
				ref := p.deploy(name)
				s.reaches(ref, models.StatusQueued)
				require.Equal(t, client.StatusPending, s.execution(ref).Status, "what waits for a deployment is pending on the state surface")
				refs, want = append(refs, ref), append(want, name)
			}
			// A build that deploys takes the same lock, by the name of its deployment.
			p.buildOf(client.Build{Name: "deploys", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunDeploy: true,
				Variables: map[string]string{"script": p.script("echo built")}}}})
			s.ok(p.trigger("deploys"))
			queue, err := s.store.LockQueue(t.Context(), s.row(first).EnvironmentID)
			require.NoError(t, err)
			require.Len(t, queue, 5)
			for i, l := range queue[1:] {
				require.Equal(t, refs[i].ID, l.ExecutionID, "the queue shows the order")
			}
			g.open(1)
			s.ok(first)
			for _, ref := range refs {
				s.ok(ref)
			}
			require.Equal(t, want, fileLines(t, order))

			// Many at the same instant.
			var wg sync.WaitGroup
			many := make([]client.Ref, 8)
			for i := range many {
				wg.Go(func() {
					many[i], err = s.client.TriggerDeploymentJob(s.ctx(), p.name, "dev", fmt.Sprintf("job-%d", i%4), client.Deploy)
				})
			}
			wg.Wait()
			require.NoError(t, err)
			for _, ref := range many {
				s.ok(ref)
			}
			require.Len(t, fileLines(t, order), len(want)+len(many))
		})
	}
}
