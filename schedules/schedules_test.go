package schedules_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/schedules"
)

// R2: a time that comes twice, since the workflow or its activity was repeated, is one execution.
func TestR2FireIsOneExecutionPerTime(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("nightly", models.OverlapAllow)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := x.service.Fire(t.Context(), c.ID, noon, x.store.Now()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, []string{"new"}, x.states(c))
		run := x.runs(c)[0]
		e, err := x.store.ExecutionByID(t.Context(), run.ExecutionID)
		require.NoError(t, err)
		require.Equal(t, "schedule/"+c.ID+"/2026-03-01T12:00:00Z", *e.IdempotencyKey)
		require.Equal(t, models.Trigger{Type: "schedule", SubjectKind: policies.KindUser, SubjectID: x.olga.ID, SubjectName: "olga"}, e.Trigger)
		require.True(t, x.runner.asked[0].Durable, "R3: while Temporal is away it is recorded, and started later")
		require.Equal(t, "build:trigger", x.runner.asked[0].Audit.Action)
		require.Equal(t, []any{models.KindBuild, x.build.ID, x.env.ID, x.project.ID}, []any{e.Kind, e.SubjectID, e.EnvironmentID, e.ProjectID})
	})
}

func TestOverlapSkip(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapSkip)
		x.fire(c, 0)
		x.fire(c, 1)
		require.Equal(t, []string{"new", "skipped"}, x.states(c))
		require.Equal(t, "execution #1 was still at work", x.runs(c)[1].Reason)
		x.end(c, 0, models.StatusFailed)
		x.fire(c, 2)
		require.Equal(t, []string{"failed", "skipped", "new"}, x.states(c))
	})
}

func TestOverlapQueueOne(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapQueueOne)
		x.fire(c, 0)
		x.fire(c, 1)
		x.fire(c, 2)
		require.Equal(t, []string{"new", "waiting", "skipped"}, x.states(c))
		require.Contains(t, x.runs(c)[2].Reason, "the run of 2026-03-01T13:00:00Z was waiting already")
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"new", "waiting", "skipped"}, x.states(c), "the first one is still at work")
		x.end(c, 0, models.StatusOK)
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"ok", "new", "skipped"}, x.states(c))
	})
}

func TestOverlapQueueAll(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapQueueAll)
		for i := range 3 {
			x.fire(c, i)
		}
		require.Equal(t, []string{"new", "waiting", "waiting"}, x.states(c))
		x.end(c, 0, models.StatusOK)
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"ok", "new", "waiting"}, x.states(c), "in the order of their times")
		x.end(c, 1, models.StatusOK)
		x.fire(c, 3)
		require.Equal(t, []string{"ok", "ok", "new", "waiting"}, x.states(c))
		for i := range 150 {
			x.fire(c, 4+i)
		}
		states := strings.Join(x.states(c), " ")
		require.Equal(t, 100, strings.Count(states, "waiting"), "the queue is bounded")
		require.Equal(t, 51, strings.Count(states, "skipped"))
	})
}

func TestOverlapCancelOlder(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapCancelOlder)
		x.fire(c, 0)
		x.fire(c, 1)
		require.Equal(t, []string{x.runs(c)[0].ExecutionID}, x.runner.cancelled)
		require.Equal(t, []string{"new", "waiting"}, x.states(c), "it begins when the older one has ended")
		e, err := x.store.ExecutionByID(t.Context(), x.runs(c)[0].ExecutionID)
		require.NoError(t, err)
		require.Equal(t, "a newer run of the schedule 's'", e.CancelRequestedBy)
		require.NoError(t, x.reconcile())
		require.Len(t, x.runner.cancelled, 1, "it is asked once")
		x.fire(c, 2)
		require.Equal(t, []string{"new", "skipped", "waiting"}, x.states(c))
		require.Equal(t, "a newer run took its place", x.runs(c)[1].Reason)
		x.end(c, 0, models.StatusCancelled)
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"cancelled", "skipped", "new"}, x.states(c))
	})
}

func TestOverlapAllow(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapAllow)
		for i := range 3 {
			x.fire(c, i)
		}
		require.Equal(t, []string{"new", "new", "new"}, x.states(c))
	})
}

// Times that come at the same instant, after an outage say, do not get past the policy.
func TestOverlapHoldsForTimesThatComeAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		skip, queue := x.schedule("skip", models.OverlapSkip), x.schedule("queue", models.OverlapQueueAll)
		var wg sync.WaitGroup
		for i := range 20 {
			for _, c := range []*models.Schedule{skip, queue} {
				wg.Go(func() {
					if err := x.service.Fire(t.Context(), c.ID, noon.Add(time.Duration(i)*time.Hour), x.store.Now()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		count := func(c *models.Schedule, state string) int {
			return strings.Count(strings.Join(x.states(c), " "), state)
		}
		require.Equal(t, []int{1, 19}, []int{count(skip, "new"), count(skip, "skipped")})
		require.Equal(t, []int{1, 19}, []int{count(queue, "new"), count(queue, "waiting")})
	})
}

// S8: the rights of whom it acts as are looked at when its time comes.
func TestS8RightsAreCheckedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		c := x.schedule("s", models.OverlapQueueAll)
		x.fire(c, 0)
		x.fire(c, 1)
		x.fire(c, 2)
		require.NoError(t, x.store.RemoveGrant(ctx, models.SubjectUser, x.olga.ID, models.ScopeProject, x.project.ID))
		x.end(c, 0, models.StatusOK)
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"ok", "failed", "failed"}, x.states(c))
		const reason = "'olga' may not trigger the build 'web'"
		require.Equal(t, reason, x.runs(c)[1].Reason)
		now, err := x.store.ScheduleByID(ctx, c.ID)
		require.NoError(t, err)
		require.Equal(t, []any{true, "paused: " + reason}, []any{now.Paused, now.Note})
		require.True(t, x.temporal.schedules.Get(schedules.TemporalID(c.ID)).State.Paused)
		lines, err := x.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{ProjectID: x.project.ID, Action: "schedule:pause"})
		require.NoError(t, err)
		require.Len(t, lines, 1)
		require.Equal(t, "slipway", lines[0].ActorName)
		x.fire(c, 3)
		require.Len(t, x.runs(c), 3, "it is paused")
		isProblem(t, x.service.Pause(ctx, now, false, "", x.olga), problem.Conflict, "save the schedule to let it act as you")

		// Somebody who may saves it: it acts as they do.
		admin := &models.User{Name: "ada", Admin: true}
		require.NoError(t, x.store.CreateUser(ctx, admin))
		ada, err := x.store.Subject(ctx, models.SubjectUser, admin.ID)
		require.NoError(t, err)
		now.Paused = false
		require.NoError(t, x.service.Save(ctx, now, ada))
		x.fire(c, 4)
		require.Equal(t, []string{"ok", "failed", "failed", "new"}, x.states(c))

		// A user who is disabled is nobody.
		x.end(c, 3, models.StatusOK)
		require.NoError(t, x.store.CreateUser(ctx, &models.User{Name: "root", Admin: true}))
		require.NoError(t, x.store.SetDisabled(ctx, admin.ID, true))
		x.fire(c, 5)
		require.Contains(t, x.runs(c)[4].Reason, "'ada', as whom it acts, does not exist or is disabled")
	})
}

func TestS8SavingTakesTheRightToTrigger(t *testing.T) {
	x := onSQLite(t, nil)
	u := &models.User{Name: "sam"}
	require.NoError(t, x.store.CreateUser(t.Context(), u))
	sam, err := x.store.Subject(t.Context(), models.SubjectUser, u.ID)
	require.NoError(t, err)
	c := &models.Schedule{ProjectID: x.project.ID, Name: "s", Kind: models.KindPipeline, SubjectID: x.pipeline.ID, SubjectName: "ship", Cron: []string{"@daily"}}
	isProblem(t, x.service.Save(t.Context(), c, sam), problem.Forbidden, "'sam' may not trigger the pipeline 'ship'")
	isProblem(t, x.service.Save(t.Context(), c, policies.Subject{Kind: policies.KindAnonymous}), problem.Forbidden, "acts as")
}

func TestWhatCannotBeTriggeredFailsWithTheReason(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		c := x.schedule("s", models.OverlapSkip)
		x.build.Disabled = true
		require.NoError(t, x.store.UpdateBuild(ctx, x.build, models.BuildSecrets{}))
		x.fire(c, 0)
		require.Equal(t, []string{"failed"}, x.states(c))
		require.Equal(t, "the build 'web' is disabled", x.runs(c)[0].Reason)
		now, err := x.store.ScheduleByID(ctx, c.ID)
		require.NoError(t, err)
		require.False(t, now.Paused, "it may be enabled again")

		x.build.Disabled = false
		require.NoError(t, x.store.UpdateBuild(ctx, x.build, models.BuildSecrets{}))
		none := int64(0)
		require.NoError(t, x.store.SetQuota(ctx, x.project.OrganizationID, models.QuotaExecutions, &none))
		x.fire(c, 1)
		require.Equal(t, "organization 'default' may have no more than 0 executions that have not ended: wait for an end, or cancel some", x.runs(c)[1].Reason)
		now, err = x.store.ScheduleByID(ctx, c.ID)
		require.NoError(t, err)
		require.False(t, now.Paused, "there may be room again")
		require.NoError(t, x.store.SetQuota(ctx, x.project.OrganizationID, models.QuotaExecutions, nil))

		x.pipeline.Phases = []models.PipelinePhase{}
		require.NoError(t, x.store.UpdatePipeline(ctx, x.pipeline))
		p := &models.Schedule{ProjectID: x.project.ID, Name: "p", Kind: models.KindPipeline, SubjectID: x.pipeline.ID, SubjectName: "ship", Cron: []string{"@daily"}}
		require.NoError(t, x.service.Save(ctx, p, x.olga))
		x.fire(p, 0)
		require.Equal(t, "the pipeline 'ship' has no phases yet", x.runs(p)[0].Reason)
	})
}

// R5: runs that come while no worker is there are made up for, but not those that are older than the catch-up window.
func TestR5CatchUpWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapAllow)
		require.NoError(t, x.service.Fire(t.Context(), c.ID, noon, x.store.Now().Add(-59*time.Minute)))
		require.NoError(t, x.service.Fire(t.Context(), c.ID, noon.Add(time.Hour), x.store.Now().Add(-61*time.Minute)))
		require.Equal(t, []string{"new", "missed"}, x.states(c))
		require.Contains(t, x.runs(c)[1].Reason, "longer than the catch-up window")
	})
}

// R1: a process that dies between the trigger and its record loses nothing and doubles nothing.
func TestR1CrashBetweenTriggerAndRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapSkip)
		ctx, die := context.WithCancel(t.Context())
		x.runner.before = die // the trigger is still recorded: its context is gone only for what follows
		require.Error(t, x.service.Fire(ctx, c.ID, noon, x.store.Now()))
		x.runner.before = nil
		require.Equal(t, []string{"starting"}, x.states(c))
		x.fire(c, 0) // the activity is repeated at once: somebody else may still be at it
		require.Equal(t, []string{"starting"}, x.states(c))
		x.clock.Add(int64(time.Minute))
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"new"}, x.states(c))
		list, err := x.store.ListExecutions(t.Context(), models.ExecutionFilter{SubjectID: x.build.ID})
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

func TestBackfill(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		c := x.schedule("s", models.OverlapSkip, "0 * * * *")
		x.fire(c, 1)
		x.end(c, 0, models.StatusOK)
		planned, known, err := x.service.Backfill(ctx, c, noon, noon.Add(3*time.Hour), false, x.olga)
		require.NoError(t, err)
		require.Equal(t, []int{3, 1}, []int{planned, known})
		require.Equal(t, []string{"new", "ok", "waiting", "waiting"}, x.states(c), "one after another, and none twice")
		x.end(c, 0, models.StatusOK)
		require.NoError(t, x.reconcile())
		require.Equal(t, []string{"ok", "ok", "new", "waiting"}, x.states(c))
		planned, known, err = x.service.Backfill(ctx, c, noon, noon.Add(3*time.Hour), false, x.olga)
		require.NoError(t, err)
		require.Equal(t, []int{0, 4}, []int{planned, known})

		// At once, also while it is paused; what waits of a backfill is not skipped by a pause.
		require.NoError(t, x.service.Pause(ctx, c, true, "for the holidays", x.olga))
		_, _, err = x.service.Backfill(ctx, c, noon.Add(10*time.Hour), noon.Add(12*time.Hour), true, x.olga)
		require.NoError(t, err)
		require.Equal(t, []string{"ok", "ok", "new", "waiting", "new", "new", "new"}, x.states(c))

		for name, bad := range map[string]struct {
			from, to time.Time
			text     string
		}{
			"too many":      {noon, noon.Add(500 * time.Hour), "the range has more than 500 times: the first 500 end at"},
			"backwards":     {noon, noon.Add(-time.Hour), "not before its beginning"},
			"to come":       {noon, x.store.Now().Add(time.Hour), "a time that has passed"},
			"no range":      {time.Time{}, time.Time{}, "expected a range"},
			"without a end": {noon, time.Time{}, "expected a range"},
			"all of it":     {time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), noon, "at most ten years"},
		} {
			_, _, err := x.service.Backfill(ctx, c, bad.from, bad.to, false, x.olga)
			isProblem(t, err, problem.Invalid, bad.text)
			require.Len(t, x.runs(c), 7, name)
		}
		// The boundary itself.
		planned, _, err = x.service.Backfill(ctx, c, noon.Add(1000*time.Hour), noon.Add(1499*time.Hour), false, x.olga)
		require.NoError(t, err)
		require.Equal(t, schedules.MaxBackfill, planned)
		lines, err := x.store.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{ProjectID: x.project.ID, Action: "schedule:backfill"})
		require.NoError(t, err)
		require.Len(t, lines, 4)
	})
}

func TestPausingSkipsWhatWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", models.OverlapQueueAll)
		x.fire(c, 0)
		x.fire(c, 1)
		require.NoError(t, x.service.Pause(t.Context(), c, true, "why", x.olga))
		require.Equal(t, []string{"new", "skipped"}, x.states(c))
		next, err := x.service.Next(c, 5)
		require.NoError(t, err)
		require.Empty(t, next)
		require.NoError(t, x.service.Pause(t.Context(), c, false, "", x.olga))
		next, err = x.service.Next(c, 5)
		require.NoError(t, err)
		require.Len(t, next, 5)
	})
}

func TestCheck(t *testing.T) {
	x := onSQLite(t, nil)
	for want, c := range map[string]models.Schedule{
		"cron: expected 1 to 10":  {},
		"cron[1]: expected five":  {Cron: []string{"@daily", "nonsense"}},
		"cron[0]: no such date":   {Cron: []string{"0 0 31 2 *"}},
		"time_zone: expected the": {Cron: []string{"@daily"}, TimeZone: "Mars/Base"},
		"IANA":                    {Cron: []string{"@daily"}, TimeZone: "Local"},
		"name of a time zone":     {Cron: []string{"@daily"}, TimeZone: "../../etc/passwd"},
		"overlap: expected skip":  {Cron: []string{"@daily"}, Overlap: "maybe"},
		"catch_up_seconds":        {Cron: []string{"@daily"}, CatchUpSeconds: 9},
		"expected 10 to 2678400":  {Cron: []string{"@daily"}, CatchUpSeconds: 1 << 62},
		"jitter_seconds":          {Cron: []string{"@daily"}, JitterSeconds: -1},
		"0 to 86400":              {Cron: []string{"@daily"}, JitterSeconds: 86401},
		"note":                    {Cron: []string{"@daily"}, Note: strings.Repeat("x", 1001)},
	} {
		c.ProjectID, c.Name, c.Kind, c.SubjectID = x.project.ID, "s", models.KindBuild, x.build.ID
		isProblem(t, x.service.Save(t.Context(), &c, x.olga), problem.Invalid, want)
	}
	list, err := x.store.ListSchedules(t.Context(), x.project.ID, nil)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestNamesAndLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		c := x.schedule("s", "")
		again := &models.Schedule{ProjectID: x.project.ID, Name: "s", Kind: models.KindBuild, SubjectID: x.build.ID, SubjectName: "web", Cron: []string{"@daily"}}
		isProblem(t, x.service.Save(t.Context(), again, x.olga), problem.Exists, "already")
		require.NoError(t, x.service.Remove(t.Context(), c, x.olga))
		for i := range models.MaxSchedules {
			x.schedule(fmt.Sprint(i), "") // the removed name is free, and does not count
		}
		again.ID = ""
		isProblem(t, x.service.Save(t.Context(), again, x.olga), problem.Conflict, "at most 200 schedules")
	})
}

// R5: a change that Temporal did not hear of is brought to it later.
func TestR5TemporalIsToldLater(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		temporal := &x.temporal.schedules
		temporal.SetAway(true)
		c := x.schedule("s", "")
		require.Less(t, c.SyncedVersion, c.Version)
		gone := x.schedule("gone", "")
		require.Error(t, x.reconcile())
		temporal.SetAway(false)
		require.NoError(t, x.reconcile())
		require.Equal(t, []client.ScheduleRange{{Start: 3, End: 3}}, temporal.Get(schedules.TemporalID(c.ID)).Spec.Calendars[0].Hour)
		require.NotNil(t, temporal.Get(schedules.TemporalID(gone.ID)))
		now, err := x.store.ScheduleByID(ctx, c.ID)
		require.NoError(t, err)
		require.Equal(t, now.Version, now.SyncedVersion)
		unsynced, err := x.store.SchedulesUnsynced(ctx, 10)
		require.NoError(t, err)
		require.Empty(t, unsynced)

		temporal.SetAway(true)
		require.NoError(t, x.service.Remove(ctx, gone, x.olga))
		require.NoError(t, x.service.Pause(ctx, c, true, "", x.olga))
		list, err := x.store.ListSchedules(ctx, x.project.ID, nil)
		require.NoError(t, err)
		require.Len(t, list, 1, "it is gone for everybody")
		x.fire(gone, 0)
		temporal.SetAway(false)
		require.NoError(t, x.reconcile())
		require.True(t, temporal.Get(schedules.TemporalID(c.ID)).State.Paused)
		require.Nil(t, temporal.Get(schedules.TemporalID(gone.ID)))
		_, err = x.store.ScheduleByID(ctx, gone.ID)
		require.ErrorIs(t, err, models.ErrNotFound)

		// Temporal comes back from nothing, somebody unpauses one in the Web UI, and one is there that nobody has.
		other := x.schedule("other", "")
		temporal.Set(schedules.TemporalID(other.ID), nil)
		// What this installation made, and what another one in the same namespace made, or nobody knows who.
		lost := schedules.TemporalID("of-nobody")
		own, err := x.store.InstallationID(ctx)
		require.NoError(t, err)
		temporal.Set(lost, &client.Schedule{State: &client.ScheduleState{}})
		require.NoError(t, temporal.SetMemo(lost, map[string]any{"slipway-installation-" + own: true}))
		foreign, unknown := schedules.TemporalID(models.NewID()), schedules.TemporalID(models.NewID())
		temporal.Set(foreign, &client.Schedule{State: &client.ScheduleState{}})
		require.NoError(t, temporal.SetMemo(foreign, map[string]any{"slipway-installation-" + models.NewID(): true}))
		temporal.Set(unknown, &client.Schedule{State: &client.ScheduleState{}})
		temporal.Set("of-another-part", &client.Schedule{State: &client.ScheduleState{}})
		temporal.Get(schedules.TemporalID(c.ID)).State.Paused = false
		require.NoError(t, x.service.Compare(ctx, false))
		require.NotNil(t, temporal.Get(schedules.TemporalID(other.ID)))
		require.Nil(t, temporal.Get(lost))
		require.NotNil(t, temporal.Get(foreign))
		require.NotNil(t, temporal.Get(unknown))
		require.NotNil(t, temporal.Get("of-another-part"))
		require.True(t, temporal.Get(schedules.TemporalID(c.ID)).State.Paused)
	})
}

// A schedule goes with what it is for.
func TestSchedulesGoWithTheirThings(t *testing.T) {
	for name, remove := range map[string]func(x *fixture) error{
		"build":       func(x *fixture) error { return x.store.DeleteBuild(x.t.Context(), x.build.ID) },
		"environment": func(x *fixture) error { return x.store.DeleteEnvironment(x.t.Context(), x.env.ID) },
		"project":     func(x *fixture) error { return x.store.DeleteProjectContents(x.t.Context(), x.project.ID) },
		"pipeline":    func(x *fixture) error { return x.store.DeletePipeline(x.t.Context(), x.pipeline.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, x *fixture) {
				ctx := t.Context()
				b := x.schedule("b", "")
				p := &models.Schedule{ProjectID: x.project.ID, Name: "p", Kind: models.KindPipeline, SubjectID: x.pipeline.ID, SubjectName: "ship", Cron: []string{"@daily"}}
				require.NoError(t, x.service.Save(ctx, p, x.olga))
				require.NoError(t, remove(x))
				require.NoError(t, x.reconcile())
				for _, c := range []*models.Schedule{b, p} {
					kept := name == "pipeline" && c == b || (name == "build" || name == "environment") && c == p
					_, err := x.store.ScheduleByID(ctx, c.ID)
					require.Equal(t, kept, !errors.Is(err, models.ErrNotFound))
					require.Equal(t, kept, x.temporal.schedules.Get(schedules.TemporalID(c.ID)) != nil)
				}
			})
		})
	}
}

// Runs are remembered, but not for ever.
func TestRunsAreForgotten(t *testing.T) {
	x := onSQLite(t, nil)
	c := x.schedule("s", models.OverlapSkip)
	for i := range 520 {
		x.fire(c, i) // the first one is at work all the time
	}
	require.Len(t, x.runs(c), 502, "the first one is kept")
	require.Len(t, x.runner.asked, 1)
	list, err := x.store.ListRuns(t.Context(), c.ID, "", 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	next, err := x.store.ListRuns(t.Context(), c.ID, list[1].ID, 2)
	require.NoError(t, err)
	require.Equal(t, noon.Add(517*time.Hour), next[0].Time())
}

// S8: who asks for a backfill is behind its runs, beside whoever saved the schedule.
func TestS8WhoAskedForABackfill(t *testing.T) {
	onBoth(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		c := x.schedule("s", models.OverlapSkip, "0 * * * *")
		x.fire(c, 1)
		x.end(c, 0, models.StatusOK)
		carol := policies.Subject{Kind: policies.KindUser, ID: models.NewID(), Name: "carol"}
		_, _, err := x.service.Backfill(ctx, c, noon, noon, false, carol)
		require.NoError(t, err)
		runs := x.runs(c)
		require.Len(t, runs, 2)
		for i, asked := range []*models.TriggerSubject{{Kind: carol.Kind, ID: carol.ID, Name: "carol"}, nil} {
			e, err := x.store.ExecutionByID(ctx, runs[i].ExecutionID)
			require.NoError(t, err)
			require.Equal(t, asked, e.Trigger.AskedBy)
			who, err := x.store.StartersOf(ctx, e)
			require.NoError(t, err)
			want := []string{x.olga.ID}
			if asked != nil {
				want = append(want, carol.ID)
			}
			require.Equal(t, models.Starters{Users: want, Known: true}, who)
		}
	})
}
