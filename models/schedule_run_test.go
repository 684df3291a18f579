package models

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// newSchedule saves a schedule of a pipeline.
func newSchedule(t *testing.T, s *Store) *Schedule {
	t.Helper()
	ctx := t.Context()
	org, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
	require.NoError(t, err)
	p := newProject(t, s, org.ID, "shop")
	line := &Pipeline{ProjectID: p.ID, Name: "ship"}
	require.NoError(t, s.CreatePipeline(ctx, line))
	c := &Schedule{ProjectID: p.ID, Name: "often", Kind: KindPipeline, SubjectID: line.ID, SubjectName: "ship",
		Cron: []string{"* * * * *"}, TimeZone: "UTC", Overlap: OverlapSkip, ActorKind: SubjectUser}
	require.NoError(t, s.CreateSchedule(ctx, c))
	return c
}

// skippedRuns records n times at which a run was still at work.
func skippedRuns(t *testing.T, s *Store, c *Schedule, first int64, n int) {
	t.Helper()
	list := make([]ScheduleRun, n)
	for i := range list {
		list[i] = ScheduleRun{ID: NewID(), ScheduleID: c.ID, Nominal: first + int64(i), Overlap: OverlapSkip, State: RunSkipped, CreatedAt: s.Now()}
	}
	require.NoError(t, s.writer(t.Context()).CreateInBatches(list, 100).Error)
}

// A run whose execution is at work is remembered, however many come after it: else the next one would begin beside it.
func TestRunsAtWorkAreNotForgotten(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		c := newSchedule(t, s)
		place := func(at int64) {
			t.Helper()
			isNew, err := s.PlaceRun(ctx, ScheduleRun{ScheduleID: c.ID, Nominal: at, Overlap: OverlapSkip})
			require.NoError(t, err)
			require.True(t, isNew)
		}
		place(0)
		first, _, err := s.TakeRun(ctx, c.ID, s.Now().Add(-time.Hour))
		require.NoError(t, err)
		e := newExecution(t, s, "web")
		require.NoError(t, s.DecideRun(ctx, first.ID, RunStarted, "", e.ID))
		skippedRuns(t, s, c, 1, keepRuns+10)
		place(1000)
		list, err := s.ListRuns(ctx, c.ID, "", 1000)
		require.NoError(t, err)
		require.Equal(t, RunSkipped, list[0].State, "the first is still at work")
		require.Equal(t, first.ID, list[len(list)-1].ID)
		require.Len(t, list, keepRuns+2)

		_, err = s.FinishExecution(ctx, e.ID, StatusOK, "")
		require.NoError(t, err)
		place(1001)
		list, err = s.ListRuns(ctx, c.ID, "", 1000)
		require.NoError(t, err)
		require.Equal(t, RunWaiting, list[0].State)
		require.Len(t, list, keepRuns+1, "now it is forgotten")
	})
}

// A database whose collation sorts signs before digits, as that of most servers does, lists runs as well.
func TestListRunsUnderAnyCollation(t *testing.T) {
	u, err := url.Parse(testenv.Postgres(t))
	require.NoError(t, err)
	base, err := Open(t.Context(), u.String(), Options{})
	require.NoError(t, err)
	name := strings.TrimPrefix(u.Path, "/") + "_icu"
	if err := base.writer(t.Context()).Exec(`CREATE DATABASE "` + name + `" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'`).Error; err != nil {
		require.NoError(t, base.Close())
		t.Skip("this server has no ICU: ", err)
	}
	t.Cleanup(func() {
		//nolint:usetesting // the test's context has ended
		require.NoError(t, errors.Join(base.write.Exec(`DROP DATABASE "`+name+`"`).Error, base.Close()))
	})
	u.Path = "/" + name
	s, err := Open(t.Context(), u.String(), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	c := newSchedule(t, s)
	skippedRuns(t, s, c, 1, 3)
	list, err := s.ListRuns(t.Context(), c.ID, "", 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	list, err = s.ListRuns(t.Context(), c.ID, list[1].ID, 2)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.EqualValues(t, 1, list[0].Nominal)
}
