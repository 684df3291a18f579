package activities

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"slipway/workflows"
)

// waitHere is how long a workflow's task waits for the scripts of a build. What takes longer is followed by an activity,
// which has to be there before the attempt is given up. A shorter wait would make more activities, a longer one would end
// builds where many are handed over at once.
const waitHere = time.Second

// unfollowedLease is how long such an attempt may go on that nobody follows, from when its work came to this worker. The
// server counts from the dispatch, which was earlier.
const unfollowedLease = waitHere + workflows.FollowStart

// keepFor is how long the end of such an attempt is kept for the activity that asks for it: a busy server takes a while.
const keepFor = 10 * time.Second

// Here are the builds that run in this process without an activity of their own, or with one that follows them. It is safe
// for concurrent use.
type Here struct {
	// Queue is the task queue that this process alone serves, for the activities that follow.
	Queue string
	// Room is shared with the builds that come as activities.
	Room *Room

	log      *slog.Logger
	stopping chan struct{} // closed when the worker stops
	once     sync.Once
	mu       sync.Mutex
	running  map[string]*begun // by the execution's id
}

// NewHere makes room for so many builds at once, those included that come as activities.
func NewHere(queue string, builds int, log *slog.Logger) *Here {
	return &Here{Queue: queue, log: log, Room: NewRoom(builds), stopping: make(chan struct{}), running: map[string]*begun{}}
}

// begun is an attempt at a build that was begun in a local activity.
type begun struct {
	follow   chan []byte   // takes the task token of the activity that follows
	followed chan struct{} // closed when there is one
	handed   bool          // somebody was told that it goes on here; guarded by Here.mu
	once     sync.Once
	stop     context.CancelCauseFunc
	done     chan struct{} // closed when out and err are set
	out      workflows.Outcome
	err      error
}

// begin gives the attempt at an execution that runs here, and begins one where there is none: the server gives the work
// out again when it has not heard of it in time. Nil says that there is no room.
func (h *Here) begin(ctx context.Context, id string, run func(context.Context, pulse) (workflows.Outcome, error)) *begun {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.running[id]; b != nil {
		return b
	}
	select {
	case <-h.stopping:
		return nil
	default:
	}
	if !h.Room.take() {
		return nil
	}
	// It outlives the local activity that it begins in.
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	b := &begun{follow: make(chan []byte, 1), followed: make(chan struct{}), stop: stop, done: make(chan struct{})}
	h.running[id] = b
	go func() {
		defer stop(nil)
		defer func() {
			h.Room.give()
			h.forget(id, b)
			close(b.done)
		}()
		b.out, b.err = guarded(ctx, h.log, id, func() (workflows.Outcome, error) {
			return run(ctx, pulse{activity: workflows.ActivityBuild, follow: b.follow})
		})
	}()
	return b
}

// forget forgets an attempt that has ended; one whose end somebody is about to ask for, after the time that it may take to.
func (h *Here) forget(id string, b *begun) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.handed {
		b.handed = false
		time.AfterFunc(keepFor, func() { h.forget(id, b) })
		return
	}
	delete(h.running, id)
}

// hand tells where an attempt goes on.
func (h *Here) hand(b *begun) workflows.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.handed = true
	return workflows.Outcome{Host: h.Queue}
}

func (h *Here) find(id string) *begun {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running[id]
}

// list gives what runs here.
func (h *Here) list() []*begun {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.running))
}

// Stop begins the end of the worker: nothing begins here any more, and what waits for short builds waits no longer.
func (h *Here) Stop() { h.once.Do(func() { close(h.stopping) }) }

// Followed waits, after Stop, until everything that runs here is followed by an activity, which ends with the worker as
// others do; at most as long as one has to come.
func (h *Here) Followed() {
	late := time.NewTimer(unfollowedLease)
	defer late.Stop()
	for _, b := range h.list() {
		select {
		case <-b.followed:
		case <-b.done:
		case <-late.C:
			return
		}
	}
}

// BeginBuild runs a build in the worker that has its workflow's task, as a local activity. Where it takes longer, the
// outcome says where it goes on.
func (a *Scripts) BeginBuild(ctx context.Context, in workflows.Input) (workflows.Outcome, error) {
	// Both times count from when the workflow asked: where many do, it may have waited, and the server waits since then.
	since := activity.GetInfo(ctx).ScheduledTime
	b := a.Here.begin(ctx, in.ExecutionID, func(ctx context.Context, p pulse) (workflows.Outcome, error) {
		p.since = since
		return a.build(ctx, in, p)
	})
	if b == nil {
		return workflows.Outcome{}, temporal.NewNonRetryableApplicationError("as many builds run here as may", "Busy", nil)
	}
	wait := time.NewTimer(time.Until(since.Add(waitHere)))
	defer wait.Stop()
	select {
	case <-b.done:
		return b.out, b.err
	case <-wait.C:
		return a.Here.hand(b), nil
	case <-a.Here.stopping:
		return a.Here.hand(b), nil
	case <-ctx.Done():
		return workflows.Outcome{}, ctx.Err()
	}
}

// errNotHere ends an activity that follows what does not run here any more: its row says how it ended, or any worker may
// begin anew.
var errNotHere = temporal.NewNonRetryableApplicationError("the build does not run here", "NotHere", nil)

// errStopped is why the attempts of a worker that stops end.
var errStopped = errors.New("the worker was stopped")

// FollowBuild waits for the end of a build that BeginBuild began in this worker. Its heartbeats are the attempt's, and so
// is the limit of its time.
func (a *Scripts) FollowBuild(ctx context.Context, in workflows.FollowInput) (workflows.Outcome, error) {
	b := a.Here.find(in.ExecutionID)
	if b == nil {
		return workflows.Outcome{}, errNotHere
	}
	info := activity.GetInfo(ctx)
	select {
	case b.follow <- info.TaskToken:
		b.once.Do(func() { close(b.followed) })
	case <-b.done:
	}
	if in.Cancelled {
		b.stop(errCancelled)
	}
	return b.wait(ctx, info.Deadline)
}

// wait waits for the end of an attempt and ends it with ctx, and at the deadline a little earlier than the server would, as
// try does with others: the attempt's own context has none, since it outlives the local activity that it began in.
func (b *begun) wait(ctx context.Context, deadline time.Time) (workflows.Outcome, error) {
	over := time.NewTimer(time.Until(deadline.Add(-2 * endingTime)))
	defer over.Stop()
	select {
	case <-b.done:
	case <-over.C:
		b.stop(context.DeadlineExceeded)
		<-b.done
	case <-ctx.Done():
		b.stop(errStopped)
		<-b.done
	}
	return b.out, b.err
}
