package app

import (
	"context"
	"time"

	"slipway/internal/periodic"
)

// Every login leaves a token behind. Ended ones are kept for a while, so that the list of tokens
// can still say what ended when.
const (
	sweepTokensEvery = 6 * time.Hour
	keepEndedTokens  = 30 * 24 * time.Hour
)

// sweepTokens removes tokens that ended long ago, until ctx ends. Several processes may do so at once.
func (a *App) sweepTokens(ctx context.Context) {
	periodic.Run(ctx, sweepTokensEvery, a.Log, "tokens that ended long ago could not be removed", func(ctx context.Context) error {
		n, err := a.Store.DeleteEndedTokens(ctx, a.Store.Now().Add(-keepEndedTokens))
		if n > 0 {
			a.Log.InfoContext(ctx, "removed tokens that ended long ago", "count", n)
		}
		return err
	})
}
