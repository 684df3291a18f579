package schedules_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/timestamppb"

	"slipway/activities"
	"slipway/executions"
	"slipway/internal/cron"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/schedules"
	"slipway/workflows"
)

func dial(t *testing.T) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t).HostPort, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// What people are told about a schedule's times is what Temporal does, on the days on which clocks change, too.
func TestTimesAgreeWithTemporal(t *testing.T) {
	c := dial(t)
	ctx := t.Context()
	timetable := schedules.Timetable{Client: c}
	for _, x := range []struct {
		zone, from, to string
		cron           []string
	}{
		{"UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", []string{"*/7 3-5,9 * * *"}},
		{"UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z", []string{"0 0 29 2 *"}},
		{"UTC", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", []string{"0 0 13 * FRI"}},
		{"UTC", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", []string{"30 4 * * 1-5/2", "0 5 * * 7"}},
		{"UTC", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", []string{"@every 95m", "@daily"}},
		{"Europe/Berlin", "2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z", []string{"30 2 * * *", "*/30 1-4 * * *"}},
		{"Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", []string{"30 2 * * *"}},
		{"Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", []string{"0 1 * * *"}},
		{"Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", []string{"*/20 * * * *"}},
		{"Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", []string{"0 1-3 * * *"}},
		{"America/New_York", "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z", []string{"30 1 * * *", "0 0 * * *"}},
		{"Africa/Cairo", "2026-10-28T00:00:00Z", "2026-10-31T00:00:00Z", []string{"30 23 * * *"}},
		{"Africa/Cairo", "2026-10-28T00:00:00Z", "2026-10-31T00:00:00Z", []string{"30 * * * *"}},
		{"America/New_York", "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z", []string{"15 * * * *"}},
		{"America/New_York", "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z", []string{"15 * * * *"}},
		{"Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-07T00:00:00Z", []string{"45 1 * * *"}},
		{"Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-06T00:00:00Z", []string{"*/15 1-3 * * *"}},
		{"Africa/Cairo", "2026-04-22T00:00:00Z", "2026-04-27T00:00:00Z", []string{"0 0 * * *"}},
		{"Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", []string{"0 6 * * 1"}},
	} {
		zone, err := time.LoadLocation(x.zone)
		require.NoError(t, err)
		e := schedules.Entry{ID: "agree-" + t.Name(), Zone: zone, Workflow: "none", TaskQueue: "none", Paused: true}
		for _, text := range x.cron {
			parsed, err := cron.Parse(text)
			require.NoError(t, err)
			e.Expressions = append(e.Expressions, parsed)
		}
		require.NoError(t, timetable.Put(ctx, e))
		from, err := time.Parse(time.RFC3339, x.from)
		require.NoError(t, err)
		to, err := time.Parse(time.RFC3339, x.to)
		require.NoError(t, err)
		answer, err := c.WorkflowService().ListScheduleMatchingTimes(ctx, &workflowservice.ListScheduleMatchingTimesRequest{Namespace: "default", ScheduleId: e.ID,
			StartTime: timestamppb.New(from.Add(-time.Second)), EndTime: timestamppb.New(to)})
		require.NoError(t, err)
		var theirs []time.Time
		for _, p := range answer.GetStartTime() {
			theirs = append(theirs, p.AsTime())
		}
		require.NotEmpty(t, theirs)
		// What Fire leaves out.
		require.Less(t, len(theirs), 1000, "the server gives no more")
		theirs = slices.DeleteFunc(theirs, e.Stray)
		require.Equal(t, shown(slices.CompactFunc(theirs, time.Time.Equal), zone), shown(cron.Between(e.Expressions, zone, from, to, 1000), zone), "%v in %s", x.cron, x.zone)
		require.NoError(t, timetable.Remove(ctx, e.ID))
		require.NoError(t, timetable.Remove(ctx, e.ID), "removing it again is no error")
	}
}

// serve runs what the queue of pipelines runs for schedules, and tells of each workflow that has ended.
func serve(t *testing.T, c client.Client, x *fixture) <-chan string {
	t.Helper()
	ended := make(chan string, 100)
	w := worker.New(c, workflows.QueuePipelines, worker.Options{LocalActivityWorkerOnly: true, DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(workflows.Schedule, workflow.RegisterOptions{Name: workflows.ScheduleWorkflow})
	a := activities.Schedules{Service: x.service}
	w.RegisterActivityWithOptions(func(ctx context.Context, in workflows.ScheduleInput, nominal, began time.Time) error {
		err := a.Fire(ctx, in, nominal, began)
		if err == nil {
			ended <- activity.GetInfo(ctx).WorkflowExecution.ID
		}
		return err
	}, activity.RegisterOptions{Name: workflows.ActivityFireSchedule})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return ended
}

// A schedule of a build on a real server: made, triggered through its handle, backfilled behind Slipway's back, paused,
// changed, removed.
func TestScheduleOnTemporal(t *testing.T) {
	c := dial(t)
	x := onSQLite(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := serve(t, c, x)
	s := x.schedule("nightly", models.OverlapAllow, "30 3 * * *")
	require.Equal(t, s.Version, s.SyncedVersion)
	handle := c.ScheduleClient().GetHandle(ctx, schedules.TemporalID(s.ID))
	require.NoError(t, handle.Trigger(ctx, client.ScheduleTriggerOptions{}))
	id := <-ended
	require.Equal(t, []string{"new"}, x.states(s))
	run := x.runs(s)[0]
	require.WithinDuration(t, time.Now(), run.Time(), time.Minute)
	require.Equal(t, schedules.TemporalID(s.ID)+"-"+run.Time().Format(time.RFC3339), id)

	// Two days that have passed: each is run for the time that it means, and once.
	for range 2 {
		require.NoError(t, handle.Backfill(ctx, client.ScheduleBackfillOptions{Backfill: []client.ScheduleBackfill{{Start: noon, End: noon.Add(48 * time.Hour), Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}}}))
		<-ended
		<-ended
	}
	require.Equal(t, []string{"new", "new", "new"}, x.states(s))
	require.Equal(t, time.Date(2026, 3, 2, 3, 30, 0, 0, time.UTC), x.runs(s)[0].Time())
	require.Equal(t, time.Date(2026, 3, 3, 3, 30, 0, 0, time.UTC), x.runs(s)[1].Time())

	// Both clocks of a zone are asked for, and the one that is wrong in March runs nothing.
	berlin := x.schedule("berlin", models.OverlapAllow, "30 3 * * *")
	berlin.TimeZone = "Europe/Berlin"
	require.NoError(t, x.service.Save(ctx, berlin, x.olga))
	require.NoError(t, c.ScheduleClient().GetHandle(ctx, schedules.TemporalID(berlin.ID)).Backfill(ctx, client.ScheduleBackfillOptions{
		Backfill: []client.ScheduleBackfill{{Start: noon, End: noon.Add(24 * time.Hour), Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}}}))
	<-ended
	<-ended
	require.Len(t, x.runs(berlin), 1)
	require.Equal(t, time.Date(2026, 3, 2, 2, 30, 0, 0, time.UTC), x.runs(berlin)[0].Time())

	require.NoError(t, x.service.Pause(ctx, s, true, "for the holidays", x.olga))
	d, err := handle.Describe(ctx)
	require.NoError(t, err)
	require.Equal(t, []any{true, "for the holidays"}, []any{d.Schedule.State.Paused, d.Schedule.State.Note})
	s.Paused, s.TimeZone, s.JitterSeconds, s.CatchUpSeconds, s.Cron = false, "Europe/Berlin", 60, 600, []string{"0 12 * * *"}
	require.NoError(t, x.service.Save(ctx, s, x.olga))
	d, err = handle.Describe(ctx)
	require.NoError(t, err)
	require.Equal(t, []any{false, time.Minute, 10 * time.Minute}, []any{d.Schedule.State.Paused, d.Schedule.Spec.Jitter, d.Schedule.Policy.CatchupWindow})
	next, err := x.service.Next(s, 3) // Temporal tells ten, of which half are by the other clock
	require.NoError(t, err)
	for i := range next {
		require.True(t, slices.ContainsFunc(d.Info.NextActionTimes, func(at time.Time) bool { return !at.Before(next[i]) && !at.After(next[i].Add(time.Minute)) }), "before jitter")
	}

	// Somebody changes it in the Web UI: the row is the truth.
	require.NoError(t, handle.Pause(ctx, client.SchedulePauseOptions{}))
	for {
		listed, err := schedules.Timetable{Client: c}.List(ctx, schedules.TemporalID(s.ID))
		require.NoError(t, err)
		require.False(t, listed[schedules.TemporalID(s.ID)].Own, "nobody asks whose it is")
		if listed[schedules.TemporalID(s.ID)].Paused {
			break // Temporal's list is a moment behind
		}
	}
	require.NoError(t, x.service.Compare(ctx, false))
	d, err = handle.Describe(ctx)
	require.NoError(t, err)
	require.False(t, d.Schedule.State.Paused)

	require.NoError(t, x.service.Remove(ctx, s, x.olga))
	var missing *serviceerror.NotFound
	_, err = handle.Describe(ctx)
	require.ErrorAs(t, err, &missing)
	_, err = x.store.ScheduleByID(ctx, s.ID)
	require.ErrorIs(t, err, models.ErrNotFound)
}

// Two installations share a namespace, and one of them encodes its histories: neither removes what the other one made.
func TestInstallationsShareANamespace(t *testing.T) {
	sealing, err := client.Dial(client.Options{HostPort: testenv.Temporal(t).HostPort, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), executions.NewCodec(plain{}))})
	require.NoError(t, err)
	t.Cleanup(sealing.Close)
	a, b := onSQLite(t, dial(t)), onSQLite(t, sealing)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	of := map[*fixture]*models.Schedule{a: a.schedule("s", ""), b: b.schedule("s", "")}
	lost := map[*fixture]schedules.Entry{}
	for x := range of {
		lost[x] = schedules.Entry{ID: schedules.TemporalID(models.NewID()), Every: time.Hour, Workflow: "none", TaskQueue: "none", Paused: true}
		require.NoError(t, x.service.Timetable.Put(ctx, lost[x]))
	}
	for x, c := range of {
		for { // Temporal's list is a moment behind
			listed, err := x.service.Timetable.List(ctx, "schedule-")
			require.NoError(t, err)
			own, known := 0, 0
			for id, is := range listed {
				for y := range of {
					if id == lost[y].ID || id == schedules.TemporalID(of[y].ID) {
						known++
						if is.Own {
							own++
							require.Same(t, x, y)
						}
					}
				}
			}
			if known == 4 {
				require.Equal(t, 2, own, c.ID)
				break
			}
		}
	}
	there := func(id string) bool {
		var missing *serviceerror.NotFound
		_, err := a.service.Timetable.Client.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
		return !errors.As(err, &missing) // what the other one encoded cannot be read, and is there
	}
	require.NoError(t, a.service.Compare(ctx, true))
	require.Equal(t, []bool{true, true, false, true}, []bool{there(schedules.TemporalID(of[a].ID)), there(schedules.TemporalID(of[b].ID)), there(lost[a].ID), there(lost[b].ID)})
	require.NoError(t, b.service.Timetable.Synchronize(ctx, "schedule-", nil, func(_ context.Context, id string) (bool, error) { return id != lost[b].ID, nil }))
	require.Equal(t, []bool{true, true, false}, []bool{there(schedules.TemporalID(of[a].ID)), there(schedules.TemporalID(of[b].ID)), there(lost[b].ID)})
}

func TestTemporalRefusesWhatItDoesNotKnow(t *testing.T) {
	c := dial(t)
	err := schedules.Timetable{Client: c}.Put(t.Context(), schedules.Entry{ID: "refused", Workflow: "none", TaskQueue: "none", Every: time.Millisecond})
	require.ErrorIs(t, err, schedules.ErrRefused)
}

func shown(list []time.Time, zone *time.Location) []string {
	out := make([]string, len(list))
	for i, at := range list {
		out[i] = at.In(zone).Format(time.RFC3339)
	}
	return out
}
