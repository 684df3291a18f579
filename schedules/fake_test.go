package schedules_test

import (
	"go.temporal.io/sdk/client"

	"slipway/internal/testenv"
)

// fakeTemporal has schedules and nothing else.
type fakeTemporal struct {
	client.Client
	schedules testenv.Schedules
}

func (f *fakeTemporal) ScheduleClient() client.ScheduleClient { return &f.schedules }
