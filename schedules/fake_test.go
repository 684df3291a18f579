package schedules_test

import (
	"context"

	"go.temporal.io/sdk/client"

	"slipway/internal/testenv"
)

// fakeTemporal has schedules, and is well where they are.
type fakeTemporal struct {
	client.Client
	schedules testenv.Schedules
}

func (f *fakeTemporal) ScheduleClient() client.ScheduleClient { return &f.schedules }

func (f *fakeTemporal) CheckHealth(ctx context.Context, _ *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	_, err := f.schedules.List(ctx, client.ScheduleListOptions{})
	return &client.CheckHealthResponse{}, err
}
