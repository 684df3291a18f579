package activities

import (
	"context"
	"log/slog"
	"runtime/debug"

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
