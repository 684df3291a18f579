package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"slipway/internal/client"
)

// faultyActivities makes activities fail: of each kind every third call, in turns before it runs, after it has run, and
// after it has run by saying nothing, so that the server finds out by a timeout.
type faultyActivities struct {
	interceptor.WorkerInterceptorBase
	mu       sync.Mutex
	calls    map[string]int
	injected map[string]int
}

func (f *faultyActivities) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &faultyActivity{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, f: f}
}

type faultyActivity struct {
	interceptor.ActivityInboundInterceptorBase
	f *faultyActivities
}

var errActivityFault = errors.New("injected fault of an activity")

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *faultyActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	switch a.f.next(info.ActivityType.Name, info.IsLocalActivity) {
	case "before":
		return nil, errActivityFault
	case "after":
		if _, err := a.Next.ExecuteActivity(ctx, in); err != nil {
			return nil, err
		}
		return nil, errActivityFault
	case "timeout":
		if _, err := a.Next.ExecuteActivity(ctx, in); err != nil {
			return nil, err
		}
		return nil, activity.ErrResultPending
	}
	return a.Next.ExecuteActivity(ctx, in)
}

func (f *faultyActivities) next(name string, local bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.calls[name]
	f.calls[name]++
	if n%3 != 1 {
		return ""
	}
	kinds := []string{"before", "after", "timeout"}
	if local {
		kinds = kinds[:2] // the workflow's own task times out, not the activity
	}
	kind := kinds[n/3%len(kinds)]
	f.injected[name+" "+kind]++
	return kind
}

// R4: one activity in three fails, or has worked and its answer is lost. Everything ends well all the same, and every script
// that must not run twice ran once.
func TestR4ActivitiesThatFailOrAreHidden(t *testing.T) {
	t.Parallel()
	for _, sqlite := range []bool{true, false} {
		t.Run(fmt.Sprintf("sqlite=%v", sqlite), func(t *testing.T) {
			t.Parallel()
			f := &faultyActivities{calls: map[string]int{}, injected: map[string]int{}}
			s := newStack(t, stackOptions{sqlite: sqlite, interceptors: []interceptor.WorkerInterceptor{f}})
			p := s.project("faulty")
			p.release()
			ran := p.dir + "/ran"
			p.build("one", "echo $SLIPWAY_EXECUTION >>"+ran)
			// Two jobs of two deployments, so that not all wait for each other while the server waits for answers.
			for _, name := range []string{"web", "api"} {
				p.job(name, "", "[ $step != deploy ] || echo $SLIPWAY_EXECUTION >>"+ran+".deploy")
			}
			p.pipeline("all", []client.PipelineStep{{Type: client.StepBuild, Build: "one"}},
				[]client.PipelineStep{{Type: client.StepDeploy, Deployment: "web"}, {Type: client.StepDeploy, Deployment: "api"}})
			p.buildOf(client.Build{Name: "deploys", Repo: p.repo.Dir, Branch: "main", Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunDeploy: true}}})
			var refs, deploying []client.Ref
			for range 16 {
				refs = append(refs, p.triggerPipeline("all"))
			}
			for range 4 {
				deploying = append(deploying, p.trigger("deploys"))
			}
			var deployed []string
			for _, ref := range refs {
				e := s.ok(ref)
				for _, st := range e.Pipeline.Phases[1].Steps {
					deployed = append(deployed, st.ExecutionID)
				}
			}
			for _, ref := range deploying {
				s.ok(ref)
			}
			require.ElementsMatch(t, deployed, fileLines(t, ran+".deploy"), "each deployment's script ran once")
			f.mu.Lock()
			defer f.mu.Unlock()
			t.Logf("injected: %v", f.injected)
			for _, fault := range []string{"claim before", "claim after", "begin-phase before", "begin-phase after", "finish before", "finish after",
				"begin-build before", "begin-build after", "run-build before", "run-build after", "run-build timeout", "run-deployment before", "run-deployment after", "run-deployment timeout"} {
				require.NotZero(t, f.injected[fault], fault)
			}
		})
	}
}
