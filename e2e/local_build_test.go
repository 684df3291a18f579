package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"

	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/models"
	"slipway/workflows"
)

// followed waits until an activity follows a build that takes longer than its workflow's task waits.
func (s *stack) followed(ref client.Ref) {
	s.t.Helper()
	await(s.t, "an activity follows the build", func() (bool, string) {
		d, err := s.workflows.DescribeWorkflowExecution(s.ctx(), ref.ID, "")
		if err != nil {
			return false, err.Error()
		}
		for _, a := range d.GetPendingActivities() {
			if a.GetActivityType().GetName() == workflows.ActivityFollowBuild {
				return a.GetState() == enums.PENDING_ACTIVITY_STATE_STARTED, a.GetState().String()
			}
		}
		return false, fmt.Sprint(d.GetPendingActivities())
	})
}

// R1, R10: a build that takes longer than its workflow's task waits goes on in the same worker, and ends well; cancelled,
// its script ends at once; and when its worker is killed, it begins again on another one within the heartbeat timeout plus
// two seconds.
func TestR1R10BuildsThatTakeLonger(t *testing.T) {
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	workers := []*process{s.startWorker("worker-1"), s.startWorker("worker-2")}
	p := s.project("longer")
	g := newGate(t)
	p.build("build", "echo pid $$", g.wait(), "echo passed")

	ref := p.trigger("build")
	s.line(ref, "pid ")
	s.followed(ref)
	g.open(1)
	s.ok(ref)
	require.Contains(t, s.logText(ref), "passed")
	require.NotContains(t, s.logText(ref), "lost", "it was not begun twice")

	ref = p.trigger("build")
	pid, err := strconv.Atoi(s.line(ref, "pid "))
	require.NoError(t, err)
	s.followed(ref)
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	s.reaches(ref, models.StatusCancelled)
	require.False(t, alive(pid))

	ref = p.trigger("build")
	pid, err = strconv.Atoi(s.line(ref, "pid "))
	require.NoError(t, err)
	s.followed(ref)
	hit, _ := workerOf(t, pid, workers...)
	killed := time.Now()
	hit.kill()
	_, began := s.lineAt(ref, "pid ", 1)
	t.Logf("from the kill to the new start of the script %v", began.Sub(killed))
	require.Less(t, began.Sub(killed), workflows.HeartbeatTimeout+2*time.Second)
	require.False(t, alive(pid))
	g.open(1)
	s.ok(ref)
}

// More builds than a worker has room for wait for their turn as activities, and all end well: those that began in a
// workflow's task and the others are together no more than may run at once.
func TestMoreBuildsThanAWorkerHasRoomFor(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, tune: func(c *config.Config) { c.Scripts = 2 }})
	p := s.project("crowd")
	g := newGate(t)
	ran, inside, seen := p.dir+"/ran", p.dir+"/inside", p.dir+"/seen"
	require.NoError(t, os.Mkdir(inside, 0o777))
	p.build("build", "mkdir "+inside+"/$$ && ls "+inside+" | wc -l >>"+seen, "echo pid $$", g.wait(), "rmdir "+inside+"/$$", "echo $SLIPWAY_EXECUTION >>"+ran)
	var refs []client.Ref
	var want []string
	for range 9 {
		ref := p.trigger("build")
		refs, want = append(refs, ref), append(want, ref.ID)
	}
	await(t, "all are activities: those that run, wherever they began, and those that wait", func() (bool, string) {
		n := 0
		for _, ref := range refs {
			d, err := s.workflows.DescribeWorkflowExecution(s.ctx(), ref.ID, "")
			if err != nil {
				return false, err.Error()
			}
			n += min(1, len(d.GetPendingActivities()))
		}
		return n == len(refs), fmt.Sprint(n)
	})
	for i := range refs {
		await(t, "as many run as may", func() (bool, string) {
			entries, err := os.ReadDir(inside)
			return err == nil && len(entries) >= min(2, len(refs)-i), fmt.Sprint(len(entries))
		})
		g.open(1)
		await(t, "one has ended", func() (bool, string) { return len(fileLines(t, ran)) == i+1, "" })
	}
	for _, ref := range refs {
		s.ok(ref)
	}
	require.ElementsMatch(t, want, fileLines(t, ran), "each ran once")
	for _, n := range fileLines(t, seen) {
		require.Contains(t, []string{"1", "2"}, strings.TrimSpace(n))
	}
}
