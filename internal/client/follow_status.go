package client

import (
	"context"
	"time"

	"slipway/internal/periodic"
)

// FollowStatus is Follow for an execution that has neither a log nor steps, such as a search or a scan of assets: it tells
// each status that it comes to, until it ends.
func (c *Client) FollowStatus(ctx context.Context, id string, o FollowOptions) (*AnyExecution, error) {
	if o.Every == 0 {
		o.Every = time.Second
	}
	f := &following{client: c, options: o}
	for outcome := ""; ; {
		var found Answer[AnyExecution]
		if err := f.asked(ctx, func() (err error) { found, err = c.Find(ctx, id); return err }); err != nil {
			return nil, err
		}
		e := &found.Value
		if e.Outcome != outcome {
			outcome = e.Outcome
			if err := f.tell(Event{Kind: EventStatus, Execution: e.ID, Outcome: e.Outcome, Reason: e.Reason}); err != nil {
				return nil, err
			}
		}
		if e.Ended() {
			return e, nil
		}
		if err := periodic.Pause(ctx, o.Every); err != nil {
			return nil, err
		}
	}
}
