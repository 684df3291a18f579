package schedules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"slipway/internal/cron"
	"slipway/internal/problem"
)

// timetableLimit is how long a caller waits for Temporal.
const timetableLimit = 5 * time.Second

// Timetable keeps Temporal's schedules. It is the one place that does: builds and pipelines, the mirroring of packages and
// the scans of registries use it. Whoever uses it has rows that are the truth, and makes Temporal agree with them.
type Timetable struct {
	Client client.Client
	// Installation names whose schedules these are: several installations may share a namespace. Without it, nothing that is
	// in Temporal counts as one's own.
	Installation func(ctx context.Context) (string, error)
}

// installationMemo begins the key of a schedule's memo, which goes on with the name of its installation. It is the key and
// not the value: where histories are encrypted, values are too, and those of another installation by another key.
const installationMemo = "slipway-installation-"

// installation is the name of this installation, or "".
func (t Timetable) installation(ctx context.Context) (string, error) {
	if t.Installation == nil {
		return "", nil
	}
	return t.Installation(ctx)
}

// Entry is what a Temporal schedule should be: at which times it starts which workflow. The workflow must be a small one
// that triggers the work and ends: a schedule's own overlap policy and pauses know nothing of executions.
type Entry struct {
	// ID is the schedule's, and the beginning of its workflows' ids: Temporal appends the time that is meant.
	ID string
	// Times are the union of Expressions, on the clock of Zone (nil is UTC), and of Every. In a zone that is not UTC, Temporal
	// starts the workflow at other times, too: see Stray.
	Expressions []cron.Expression
	Zone        *time.Location
	Every       time.Duration
	Jitter      time.Duration
	Workflow    string
	Input       any
	TaskQueue   string
	// CatchUp is how late it may start something after Temporal was away; 0 means an hour. Temporal takes no less than ten
	// seconds.
	CatchUp time.Duration
	// OneAtATime leaves a time out at which the workflow of an earlier one has not ended. Otherwise they start beside each
	// other.
	OneAtATime bool
	Paused     bool
	Note       string
	// Summary says in the Web UI what this is.
	Summary string
}

// ErrRefused says that Temporal takes an entry at no time: it does not know the time zone, say.
var ErrRefused = errors.New("the workflow service refuses this schedule")

// Put makes a schedule what e says: it is made, or changed. Doing it twice is doing it once. While Temporal is away the
// error is a problem of kind Unavailable.
func (t Timetable) Put(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, timetableLimit)
	defer cancel()
	if e.CatchUp == 0 {
		e.CatchUp = time.Hour
	}
	overlap := enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
	if e.OneAtATime {
		overlap = enums.SCHEDULE_OVERLAP_POLICY_SKIP
	}
	action := &client.ScheduleWorkflowAction{ID: e.ID, Workflow: e.Workflow, Args: []any{e.Input}, TaskQueue: e.TaskQueue, StaticSummary: e.Summary}
	spec := e.spec()
	c := t.Client.ScheduleClient()
	update := func() error {
		return c.GetHandle(ctx, e.ID).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			return &client.ScheduleUpdate{Schedule: &client.Schedule{Action: action, Spec: &spec,
				Policy: &client.SchedulePolicies{Overlap: overlap, CatchupWindow: e.CatchUp}, State: &client.ScheduleState{Paused: e.Paused, Note: e.Note}}}, nil
		}})
	}
	err := update()
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		o := client.ScheduleOptions{ID: e.ID, Spec: spec, Action: action, Overlap: overlap, CatchupWindow: e.CatchUp, Paused: e.Paused, Note: e.Note}
		owner, err := t.installation(ctx)
		if err != nil {
			return err
		}
		if owner != "" {
			o.Memo = map[string]any{installationMemo + owner: true}
		}
		_, err = c.Create(ctx, o)
		if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			err = update() // somebody was quicker
		}
		return fault(err)
	}
	return fault(err)
}

// Remove removes a schedule, if it is there.
func (t Timetable) Remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, timetableLimit)
	defer cancel()
	err := t.Client.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return nil
	}
	return fault(err)
}

// Listed is a schedule that Temporal has.
type Listed struct {
	Paused bool
	// Own says that this installation made it. Only such a one may be removed where no row asks for it.
	Own bool
}

// List gives the schedules whose ids begin with a prefix, by id. Temporal's list may be a moment behind.
func (t Timetable) List(ctx context.Context, prefix string) (map[string]Listed, error) {
	owner, err := t.installation(ctx)
	if err != nil {
		return nil, err
	}
	list, err := t.Client.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, fault(err)
	}
	ids := map[string]Listed{}
	for list.HasNext() {
		e, err := list.Next()
		if err != nil {
			return nil, fault(err)
		}
		if strings.HasPrefix(e.ID, prefix) {
			_, own := e.Memo.GetFields()[installationMemo+owner]
			ids[e.ID] = Listed{Paused: e.Paused, Own: own && owner != ""}
		}
	}
	return ids, nil
}

// Synchronize makes the schedules whose ids begin with a prefix what the entries say, after a restart of Temporal from
// nothing or of the database from a backup. A schedule that nobody named is removed where this installation made it; wanted
// is asked again before that: it may have come meanwhile.
func (t Timetable) Synchronize(ctx context.Context, prefix string, entries []Entry, wanted func(ctx context.Context, id string) (bool, error)) error {
	named := map[string]bool{}
	for _, e := range entries {
		named[e.ID] = true
		if err := t.Put(ctx, e); err != nil {
			return fmt.Errorf("schedule %s: %w", e.ID, err)
		}
	}
	have, err := t.List(ctx, prefix)
	if err != nil {
		return err
	}
	for id, is := range have {
		if named[id] || !is.Own {
			continue
		}
		keep, err := wanted(ctx, id)
		if err != nil {
			return err
		}
		if !keep {
			if err := t.Remove(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// spec is the entry's times in Temporal's words. Calendars and not cron text, since Temporal reads some expressions
// otherwise than crontab(5) does. And always on the clock of UTC: on the day on which a clock is set back, Temporal (1.29)
// leaves times out in zones east of Greenwich, up to an hour and a half of them, and invents others.
func (e Entry) spec() client.ScheduleSpec {
	spec := client.ScheduleSpec{Jitter: e.Jitter}
	zone := e.Zone
	if zone == nil {
		zone = time.UTC
	}
	offsets := cron.Offsets(zone, time.Now())
	if e.Every > 0 {
		spec.Intervals = append(spec.Intervals, client.ScheduleIntervalSpec{Every: e.Every})
	}
	for _, x := range e.Expressions {
		if x.Every > 0 {
			spec.Intervals = append(spec.Intervals, client.ScheduleIntervalSpec{Every: x.Every})
		}
		for _, c := range x.InUTC(offsets) {
			spec.Calendars = append(spec.Calendars, client.ScheduleCalendarSpec{Minute: ranges(c.Minute), Hour: ranges(c.Hour), DayOfMonth: ranges(c.Day),
				Month: ranges(c.Month), DayOfWeek: ranges(c.Weekday)})
		}
	}
	return spec
}

// Stray says whether a time at which a schedule started its workflow is none of the entry's: Temporal is given the hours
// that a zone's clock can show with and without daylight saving, of which one is right.
func (e Entry) Stray(nominal time.Time) bool {
	return e.Zone != nil && cron.Stray(e.Expressions, e.Zone, cron.Offsets(e.Zone, nominal), nominal)
}

// ranges are the runs of neighbours in a set.
func ranges(s cron.Set) []client.ScheduleRange {
	var list []client.ScheduleRange
	for n := 0; n < 64; n++ {
		if !s.Has(n) {
			continue
		}
		first := n
		for s.Has(n + 1) {
			n++
		}
		list = append(list, client.ScheduleRange{Start: first, End: n})
	}
	return list
}

// fault turns Temporal's errors into what callers may be told.
func fault(err error) error {
	var refused *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("%w: %s", ErrRefused, refused.Message)
	}
	e := problem.Wrap(problem.Unavailable, err, "the workflow service is not available, try again")
	e.RetryAfter = 5 * time.Second
	return e
}
