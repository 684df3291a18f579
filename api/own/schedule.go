package own

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Schedules keeps schedules. *schedules.Service is one.
type Schedules interface {
	Save(ctx context.Context, c *models.Schedule, by policies.Subject) error
	Remove(ctx context.Context, c *models.Schedule, by policies.Subject) error
	Pause(ctx context.Context, c *models.Schedule, paused bool, note string, by policies.Subject) error
	Backfill(ctx context.Context, c *models.Schedule, from, to time.Time, atOnce bool, by policies.Subject) (planned, known int, err error)
	Next(c *models.Schedule, n int) ([]time.Time, error)
}

// ScheduleBody is what people say about a schedule.
type ScheduleBody struct {
	// Cron are expressions with the five fields of crontab(5), or @hourly, @daily, @weekly, @monthly, @yearly, or @every with
	// a duration; their times are joined.
	Cron []string `json:"cron" validate:"max=10,dive,max=200"`
	// TimeZone is the IANA name of the zone whose clock the expressions mean; "" is UTC.
	TimeZone string `json:"time_zone" validate:"max=100"`
	// Overlap says what happens at a time at which an execution of this schedule has not ended: skip (the default),
	// queue_one, queue_all, cancel_older or allow.
	Overlap string `json:"overlap" validate:"max=32"`
	// CatchUpSeconds is how late a run may begin after an outage, 10 seconds to 31 days; 0 is an hour.
	CatchUpSeconds int64 `json:"catch_up_seconds"`
	// JitterSeconds is by how much at most each run is put off at random.
	JitterSeconds int64 `json:"jitter_seconds"`
	Paused        bool  `json:"paused"`
	// Note is for people: why it is paused, say.
	Note string `json:"note" validate:"max=1000"`
}

// ScheduleSubject is what a schedule triggers: a pipeline, or a build and its environment.
type ScheduleSubject struct {
	Pipeline    string `json:"pipeline,omitempty" validate:"max=200"`
	Build       string `json:"build,omitempty" validate:"max=200"`
	Environment string `json:"environment,omitempty" validate:"max=300"`
}

// Schedule triggers a build or a pipeline at certain times.
type Schedule struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Project string `json:"project"`
	ScheduleSubject
	ScheduleBody
	// ActsAs is who saved it last: it may do what they may, when its time comes.
	ActsAs ScheduleActor `json:"acts_as"`
	// NextTimes are the next five, before jitter; none while it is paused.
	NextTimes []time.Time `json:"next_times"`
	// LastRuns are the newest five.
	LastRuns []ScheduleRun `json:"last_runs"`
	// Synchronized is false while the workflow service has not heard of the last change: it will, once it is there.
	Synchronized bool `json:"synchronized"`
	// Problem is why the workflow service refuses the schedule.
	Problem   string    `json:"problem,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ScheduleActor is a user or a service account.
type ScheduleActor struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ScheduleRun is one time of a schedule and what came of it.
type ScheduleRun struct {
	ID string `json:"id"`
	// Time is the one that the schedule means, before jitter.
	Time time.Time `json:"time"`
	// State is waiting, starting, started, skipped, missed or failed; Reason says why.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Backfill says that somebody asked for it afterwards.
	Backfill bool `json:"backfill,omitempty"`
	// ExecutionID, Number and Outcome are those of the execution that was started.
	ExecutionID string     `json:"execution_id,omitempty"`
	Number      int64      `json:"number,omitempty"`
	Outcome     string     `json:"outcome,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	DecidedAt   *time.Time `json:"decided_at,omitempty"`
}

func (s *surface) scheduleRows() []api.Row {
	const list = base + "projects/{project}/schedules/"
	const one = list + "{schedule}/"
	on := func(action string) api.Permission { return api.Permission{Action: action, On: s.onProject} }
	return []api.Row{
		{Method: http.MethodGet, Path: base + "schedules/", Operation: "listSchedules", Summary: "List all schedules that the caller may see, by project and name.",
			Permission: api.Permission{Action: "schedule:read", Filtered: true}, Handler: api.Handle(s.listSchedules)},
		{Method: http.MethodGet, Path: list, Operation: "listProjectSchedules", Summary: "List the schedules of a project by name.",
			Permission: on("schedule:read"), Handler: api.Handle(s.projectSchedules)},
		{Method: http.MethodPost, Path: list, Operation: "createSchedule", Summary: "Create a schedule of a build or a pipeline.",
			Permission: on("schedule:create"), Handler: api.Handle(s.createSchedule)},
		{Method: http.MethodGet, Path: one, Operation: "getSchedule", Summary: "Get a schedule with its next times and its last runs.",
			Permission: on("schedule:read"), Handler: api.Handle(s.getSchedule)},
		{Method: http.MethodPut, Path: one, Operation: "updateSchedule", Summary: "Change a schedule. It acts as the caller from then on.",
			Permission: on("schedule:update"), Handler: api.Handle(s.updateSchedule)},
		{Method: http.MethodDelete, Path: one, Operation: "deleteSchedule", Summary: "Delete a schedule. What it has started goes on.",
			Permission: on("schedule:delete"), Handler: api.Handle(s.deleteSchedule)},
		{Method: http.MethodPost, Path: one + "pause", Operation: "pauseSchedule", Summary: "Pause a schedule.",
			Permission: on("schedule:update"), Handler: api.Handle(s.pauseSchedule(true))},
		{Method: http.MethodPost, Path: one + "resume", Operation: "resumeSchedule", Summary: "Let a paused schedule go on.",
			Permission: on("schedule:update"), Handler: api.Handle(s.pauseSchedule(false))},
		{Method: http.MethodPost, Path: one + "backfill", Operation: "backfillSchedule", Summary: "Run the times of a range that has passed.",
			Permission: on("schedule:update"), Handler: api.Handle(s.backfillSchedule)},
		{Method: http.MethodGet, Path: one + "runs/", Operation: "listScheduleRuns", Summary: "List the runs of a schedule, newest first.",
			Permission: on("schedule:read"), Handler: api.Handle(s.scheduleRuns)},
	}
}

// shownTimes is how many next times and last runs an answer has.
const shownTimes = 5

func (s *surface) showSchedule(c *models.Schedule, runs []models.ScheduleRun) (Schedule, error) {
	out := Schedule{ID: c.ID, Name: c.Name, Project: c.ProjectName,
		ScheduleBody: ScheduleBody{Cron: c.Cron, TimeZone: c.TimeZone, Overlap: c.Overlap, CatchUpSeconds: c.CatchUpSeconds, JitterSeconds: c.JitterSeconds, Paused: c.Paused, Note: c.Note},
		ActsAs:       ScheduleActor{Kind: c.ActorKind, ID: c.ActorID, Name: c.ActorName}, LastRuns: []ScheduleRun{}, NextTimes: []time.Time{},
		Synchronized: c.SyncedVersion == c.Version && c.Problem == "", Problem: c.Problem, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
	if c.Kind == models.KindPipeline {
		out.Pipeline = c.SubjectName
	} else {
		out.Build, out.Environment = c.SubjectName, c.EnvironmentName
	}
	next, err := s.Schedules.Next(c, shownTimes)
	if err != nil {
		return out, err
	}
	out.NextTimes = append(out.NextTimes, next...)
	for i := range runs {
		out.LastRuns = append(out.LastRuns, showRun(&runs[i]))
	}
	return out, nil
}

func showRun(r *models.ScheduleRun) ScheduleRun {
	return ScheduleRun{ID: r.ID, Time: r.Time(), State: r.State, Reason: r.Reason, Backfill: r.Backfill, ExecutionID: r.ExecutionID, Number: r.Number,
		Outcome: string(r.Status), CreatedAt: r.CreatedAt, DecidedAt: r.DecidedAt}
}

func (s *surface) showSchedules(ctx context.Context, list []models.Schedule) ([]Schedule, error) {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	runs, err := s.Store.LastRuns(ctx, ids, shownTimes)
	if err != nil {
		return nil, err
	}
	return api.TryEach(list, func(c *models.Schedule) (Schedule, error) { return s.showSchedule(c, runs[c.ID]) })
}

func (s *surface) oneSchedule(ctx context.Context, c *models.Schedule) (*Schedule, error) {
	out, err := s.showSchedules(ctx, []models.Schedule{*c})
	if err != nil {
		return nil, err
	}
	return &out[0], nil
}

func (s *surface) listSchedules(ctx context.Context, _ *struct{}) ([]Schedule, error) {
	v, err := s.Policy.Visible(ctx, api.SubjectOf(ctx), "schedule:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListSchedules(ctx, "", &v)
	if err != nil {
		return nil, err
	}
	return s.showSchedules(ctx, list)
}

func (s *surface) projectSchedules(ctx context.Context, _ *projectRequest) ([]Schedule, error) {
	list, err := s.Store.ListSchedules(ctx, projectID(ctx), nil)
	if err != nil {
		return nil, err
	}
	return s.showSchedules(ctx, list)
}

type scheduleCreate struct {
	projectRequest
	Body struct {
		Name string `json:"name" validate:"required,max=100"`
		ScheduleSubject
		ScheduleBody
	} `body:"json"`
}

// scheduleName is what schedules may be called: they stand in paths, where "/" makes trouble.
var scheduleName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._ -]*$`)

func (s *surface) createSchedule(ctx context.Context, r *scheduleCreate) (*Schedule, error) {
	if !scheduleName.MatchString(r.Body.Name) {
		return nil, problem.BadField("name", "expected letters, digits, '.', '_', '-' and spaces")
	}
	c := &models.Schedule{ProjectID: projectID(ctx), ProjectName: r.Project, Name: r.Body.Name}
	if err := s.scheduleSubject(ctx, c, r.Body.ScheduleSubject); err != nil {
		return nil, err
	}
	r.Body.fill(c)
	if err := s.Schedules.Save(ctx, c, api.SubjectOf(ctx)); err != nil {
		return nil, err
	}
	return s.oneSchedule(ctx, c)
}

// scheduleSubject finds the build or pipeline that a schedule is for.
func (s *surface) scheduleSubject(ctx context.Context, c *models.Schedule, b ScheduleSubject) error {
	switch {
	case (b.Pipeline == "") == (b.Build == ""):
		return problem.BadField("pipeline", "expected either a pipeline, or a build and its environment")
	case b.Pipeline != "":
		if b.Environment != "" {
			return problem.BadField("environment", "a pipeline belongs to no environment")
		}
		p, err := s.Store.PipelineByName(ctx, c.ProjectID, b.Pipeline)
		if isNotFound(err) {
			return problem.BadField("pipeline", "the project has no pipeline '%s'", b.Pipeline)
		}
		if err != nil {
			return err
		}
		c.Kind, c.SubjectID, c.SubjectName = models.KindPipeline, p.ID, p.Name
		return nil
	}
	e, err := s.Store.EnvironmentByName(ctx, c.ProjectID, b.Environment)
	if isNotFound(err) {
		return problem.BadField("environment", "the project has no environment '%s'", b.Environment)
	}
	if err != nil {
		return err
	}
	build, err := s.Store.BuildByName(ctx, e.ID, b.Build)
	if isNotFound(err) {
		return problem.BadField("build", "the environment has no build '%s'", b.Build)
	}
	if err != nil {
		return err
	}
	c.Kind, c.SubjectID, c.SubjectName, c.EnvironmentID, c.EnvironmentName = models.KindBuild, build.ID, build.Name, e.ID, e.Name
	return nil
}

func (b ScheduleBody) fill(c *models.Schedule) {
	c.Cron, c.TimeZone, c.Overlap, c.CatchUpSeconds, c.JitterSeconds, c.Paused, c.Note = b.Cron, b.TimeZone, b.Overlap, b.CatchUpSeconds, b.JitterSeconds, b.Paused, b.Note
}

type scheduleRequest struct {
	projectRequest
	Schedule string `path:"schedule" validate:"max=200"`
}

func (s *surface) schedule(ctx context.Context, r scheduleRequest) (*models.Schedule, error) {
	c, err := s.Store.ScheduleByName(ctx, projectID(ctx), r.Schedule)
	if isNotFound(err) {
		return nil, problem.New(problem.NotFound, "the project has no schedule '%s'", r.Schedule)
	}
	return c, err
}

func (s *surface) getSchedule(ctx context.Context, r *scheduleRequest) (*Schedule, error) {
	c, err := s.schedule(ctx, *r)
	if err != nil {
		return nil, err
	}
	return s.oneSchedule(ctx, c)
}

type scheduleUpdate struct {
	scheduleRequest
	Body ScheduleBody `body:"json"`
}

func (s *surface) updateSchedule(ctx context.Context, r *scheduleUpdate) (*Schedule, error) {
	c, err := s.schedule(ctx, r.scheduleRequest)
	if err != nil {
		return nil, err
	}
	r.Body.fill(c)
	if err := s.Schedules.Save(ctx, c, api.SubjectOf(ctx)); err != nil {
		return nil, err
	}
	return s.oneSchedule(ctx, c)
}

func (s *surface) deleteSchedule(ctx context.Context, r *scheduleRequest) (api.Empty, error) {
	c, err := s.schedule(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.Schedules.Remove(ctx, c, api.SubjectOf(ctx))
}

type schedulePause struct {
	scheduleRequest
	Body *struct {
		Note string `json:"note" validate:"max=1000"`
	} `body:"json"`
}

func (s *surface) pauseSchedule(paused bool) func(context.Context, *schedulePause) (*Schedule, error) {
	return func(ctx context.Context, r *schedulePause) (*Schedule, error) {
		c, err := s.schedule(ctx, r.scheduleRequest)
		if err != nil {
			return nil, err
		}
		note := ""
		if r.Body != nil {
			note = r.Body.Note
		}
		if err := s.Schedules.Pause(ctx, c, paused, note, api.SubjectOf(ctx)); err != nil {
			return nil, err
		}
		return s.oneSchedule(ctx, c)
	}
}

type scheduleBackfill struct {
	scheduleRequest
	Body struct {
		// From and To are the ends of the range, both included.
		From time.Time `json:"from"`
		To   time.Time `json:"to"`
		// AtOnce starts all of them now; otherwise they follow each other.
		AtOnce bool `json:"at_once"`
	} `body:"json"`
}

// ScheduleBackfill says what a backfill does.
type ScheduleBackfill struct {
	// Planned is how many runs it adds; Known is how many times of the range had a run already.
	Planned int `json:"planned"`
	Known   int `json:"known"`
}

func (s *surface) backfillSchedule(ctx context.Context, r *scheduleBackfill) (*ScheduleBackfill, error) {
	c, err := s.schedule(ctx, r.scheduleRequest)
	if err != nil {
		return nil, err
	}
	planned, known, err := s.Schedules.Backfill(ctx, c, r.Body.From, r.Body.To, r.Body.AtOnce, api.SubjectOf(ctx))
	if err != nil {
		return nil, err
	}
	return &ScheduleBackfill{Planned: planned, Known: known}, nil
}

type scheduleRunsRequest struct {
	scheduleRequest
	PageSize int `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of a run: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (s *surface) scheduleRuns(ctx context.Context, r *scheduleRunsRequest) ([]ScheduleRun, error) {
	c, err := s.schedule(ctx, r.scheduleRequest)
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListRuns(ctx, c.ID, r.PageFrom, r.PageSize)
	if err != nil {
		return nil, err
	}
	return api.Each(list, showRun), nil
}
