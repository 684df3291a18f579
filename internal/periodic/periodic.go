// Package periodic repeats what a process has to look after for as long as it runs, and waits between two tries.
package periodic

import (
	"context"
	"log/slog"
	"time"
)

// Run calls round at once, and then every so often, until ctx ends; a round that takes longer delays the next one, and two
// never run at the same time. What a round could not do, it gives as an error, which is logged as a warning with the message
// failed: the next round tries again.
func Run(ctx context.Context, every time.Duration, log *slog.Logger, failed string, round func(context.Context) error) {
	t := time.NewTicker(every)
	defer t.Stop()
	for ctx.Err() == nil {
		if err := round(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, failed, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}
