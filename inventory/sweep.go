package inventory

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/periodic"
)

// SweepAfter is how old an unfinished upload must be before Sweep takes it for dead. An upload that takes longer is
// refused at its end.
const SweepAfter = 24 * time.Hour

// Sweep removes the files of uploads whose process died, and gives their number. Only uploads that began before t are
// looked at. It may run in several processes at once.
func (s *Service) Sweep(ctx context.Context, t time.Time) (int, error) {
	const batch = 100
	removed := 0
	for {
		keys, err := s.Store.AbandonUploads(ctx, t, batch)
		if err != nil {
			return removed, err
		}
		for _, key := range keys {
			// The prefix takes along the unfinished file that a folder's driver writes next to the final one.
			if _, err := s.Blob.DeletePrefix(ctx, key); err != nil {
				return removed, fmt.Errorf("sweep: %w", err)
			}
			if err := s.Store.EndUpload(ctx, key); err != nil {
				return removed, fmt.Errorf("sweep: %w", err)
			}
			removed++
		}
		if len(keys) < batch {
			return removed, nil
		}
	}
}

// RunSweeper sweeps every hour until ctx ends.
func (s *Service) RunSweeper(ctx context.Context) {
	periodic.Run(ctx, time.Hour, s.logger(), "sweeping broken uploads failed", func(ctx context.Context) error {
		n, err := s.Sweep(ctx, s.Store.Now().Add(-SweepAfter))
		if n > 0 {
			s.logger().InfoContext(ctx, "removed broken uploads", "count", n)
		}
		return err
	})
}
