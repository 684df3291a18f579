package periodic

import (
	"context"
	"time"
)

// Pause waits for d, or less when ctx ends; it returns the cause in that case.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
