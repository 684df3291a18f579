package activities

import (
	"context"
	"log/slog"
	"runtime/debug"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// errPanic ends what panicked. It is not repeated: the same work would mostly panic again, and take five tries to end. What
// the panic says may be secret and stands in the log of the worker alone.
var errPanic = temporal.NewNonRetryableApplicationError(panicReason, "Panic", nil)

const panicReason = "a panic in Slipway ended it; the worker's log has its stack"

// guarded runs what an execution needs and makes errPanic of a panic. The SDK does so for activities, but repeats them, and
// builds that begin in a workflow's task run on goroutines that are not its own: one of them would end the whole worker.
func guarded[T any](ctx context.Context, log *slog.Logger, id string, f func() (T, error)) (out T, err error) {
	defer func() {
		if v := recover(); v != nil {
			log.ErrorContext(ctx, "what an execution runs panicked", "execution", id, "panic", v, "stack", string(debug.Stack()))
			var none T
			out, err = none, errPanic
		}
	}()
	return f()
}

// Guard is a worker's interceptor that makes errPanic of the panics of local activities. They are repeated without an end, for
// the database may be away; what panics would be, too, and its execution would hang without a word. It fails instead, and the
// reconciler ends its row.
type Guard struct {
	interceptor.WorkerInterceptorBase
	Log *slog.Logger
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (g *Guard) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &guardedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, g.Log}
}

type guardedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *guardedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	if !info.IsLocalActivity {
		return a.Next.ExecuteActivity(ctx, in)
	}
	return guarded(ctx, a.log, info.WorkflowExecution.ID, func() (any, error) { return a.Next.ExecuteActivity(ctx, in) })
}
