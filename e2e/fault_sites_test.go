package e2e

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"slipway/models"
)

// faultSites are the places at which the database or an activity may fail, found by what runs through them, and a plan of which
// of them do: each once, at the first that comes through.
//
// A place is a function of models with its line, and who called it from outside of models: the same statement matters apart in
// a trigger and in a claim.
type faultSites struct {
	interceptor.WorkerInterceptorBase
	mu       sync.Mutex
	on       bool
	found    map[string]bool
	planned  map[string]bool
	injected []string
}

func newFaultSites() *faultSites {
	return &faultSites{found: map[string]bool{}, planned: map[string]bool{}}
}

// faults are those of the database.
func (f *faultSites) faults() *models.Faults {
	at := func(kind string) func() error {
		return func() error {
			if site := statementSite(); site != "" && f.hit(kind+" "+site) {
				return models.ErrFault
			}
			return nil
		}
	}
	return &models.Faults{Before: at("before"), After: at("after"), Commit: at("commit of")}
}

// hit notes a place, and says whether it fails now.
func (f *faultSites) hit(site string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.on {
		return false
	}
	f.found[site] = true
	if !f.planned[site] {
		return false
	}
	delete(f.planned, site)
	f.injected = append(f.injected, site)
	return true
}

// plan lets places fail from now on, and gives those of the plan before that nothing came through.
func (f *faultSites) plan(on bool, sites ...string) (missed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	missed = slices.Sorted(maps.Keys(f.planned))
	f.on, f.planned = on, map[string]bool{}
	for _, s := range sites {
		f.planned[s] = true
	}
	return missed
}

func (f *faultSites) sites() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.found))
}

func (f *faultSites) failed(site string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.injected, site)
}

func (f *faultSites) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.injected)
}

// statementSite is the place of the statement that is executed on this goroutine; "" for what runs by the clock, and so at
// another moment each time.
func statementSite() string {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	statement, caller := "", ""
	for more := true; more; {
		var at runtime.Frame
		at, more = frames.Next()
		name, ours := strings.CutPrefix(at.Function, "slipway/")
		switch {
		case !ours || strings.Contains(name, "models.(*Faults)"):
		case strings.HasPrefix(name, "internal/periodic."), strings.HasPrefix(name, "e2e."):
			return ""
		case strings.HasPrefix(name, "models."):
			if statement == "" && !strings.Contains(name, "(*Store).Tx") {
				statement = fmt.Sprintf("%s:%d", strings.TrimPrefix(name, "models."), at.Line)
			}
		case caller == "" && !strings.HasPrefix(name, "activities.persist"):
			caller = name
		}
	}
	if caller == "" {
		return ""
	}
	return caller + " > " + statement
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (f *faultSites) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &activityAtSite{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, f: f}
}

type activityAtSite struct {
	interceptor.ActivityInboundInterceptorBase
	f *faultSites
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *activityAtSite) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	name := "activity " + info.ActivityType.Name
	if a.f.hit("before " + name) {
		return nil, errActivityFault
	}
	result, err := a.Next.ExecuteActivity(ctx, in)
	switch {
	case err != nil:
		return nil, err
	case a.f.hit("after " + name):
		return nil, errActivityFault
	case !info.IsLocalActivity && a.f.hit("silence after "+name): // the workflow's own task times out, not a local activity
		return nil, activity.ErrResultPending
	}
	return result, nil
}
