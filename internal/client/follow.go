package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"slipway/internal/logs"
	"slipway/internal/periodic"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventLog    EventKind = "log"    // a line of a log
	EventStatus EventKind = "status" // the execution itself, or a step of it, is in another status
	EventWait   EventKind = "wait"   // a step waits for a decision
	EventHidden EventKind = "hidden" // what a step runs as, or its log, is not the caller's to see, or is gone; it is told of once
	EventLost   EventKind = "lost"   // the server does not answer; it is asked again
	EventBack   EventKind = "back"   // it answers again
)

// Event is something that happened to an execution that is followed.
type Event struct {
	Kind EventKind
	// Execution is the id of the execution that it is about: the one that is followed, or one that runs a step of it.
	Execution string
	// Step is the name of the step, with those of the pipelines around it: "rollout / deploy web". "" is the execution
	// that is followed.
	Step string
	// Line is the log's line, of EventLog.
	Line logs.Item
	// Outcome and Reason are the exact status and why it is that, of EventStatus. Of EventWait, Reason says why nobody is
	// left to decide.
	Outcome, Reason string
	// URL is where the decision is made, of EventWait; "" where it is somebody else's. Asked says whose it is.
	URL, Asked string
	// Err is why the server does not answer, of EventLost.
	Err error
}

// FollowOptions say how to follow.
type FollowOptions struct {
	// Every is the time between two looks at how an execution stands; 0 means one second.
	Every time.Duration
	// Tell is called with every event, one at a time. Its error ends the following.
	Tell func(Event) error
}

// Follow tells what happens to an execution and to all that it starts and waits for, with their logs from the first line
// on, until it ends; then it returns how. A server that goes away is asked again for as long as c.Patience says, and no line
// is missed or repeated because of it.
func (c *Client) Follow(ctx context.Context, ref Ref, o FollowOptions) (*Execution, error) {
	if o.Every == 0 {
		o.Every = time.Second
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &following{client: c, options: o, fail: cancel}
	execution, err := f.execution(ctx, ref, "")
	f.work.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the first thing that went wrong; what was returned may be its consequence
	}
	return execution, err
}

// following is one call of Follow.
type following struct {
	client  *Client
	options FollowOptions
	fail    context.CancelCauseFunc
	work    sync.WaitGroup

	mu   sync.Mutex
	lost int // requests that get no answer
}

func (f *following) tell(e Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.options.Tell(e)
}

// asked repeats a request while the server is away. Only the first of several that get no answer is told of.
func (f *following) asked(ctx context.Context, request func() error) error {
	told := false
	defer func() {
		if told {
			f.mu.Lock()
			f.lost--
			f.mu.Unlock()
		}
	}()
	return f.client.patiently(ctx, request, func(err error) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err == nil {
			if told && f.lost == 1 {
				return f.options.Tell(Event{Kind: EventBack})
			}
			return nil
		}
		if !told {
			told = true
			if f.lost++; f.lost == 1 {
				return f.options.Tell(Event{Kind: EventLost, Err: err})
			}
		}
		return nil
	})
}

// execution follows one execution and returns how it ended. name is "" for the one that was asked for; of another one that
// the caller may not see it returns nil.
func (f *following) execution(ctx context.Context, ref Ref, name string) (*Execution, error) {
	ended := make(chan struct{}, 1) // a child of it, or its log
	poke := func() {
		select {
		case ended <- struct{}{}:
		default:
		}
	}
	var once sync.Once
	// refused goes on without what a step runs as where the caller may not see that: only what was asked for itself is missed.
	refused := func(err error) error {
		if name == "" || !Hidden(err) {
			return err
		}
		err = nil
		once.Do(func() { err = f.tell(Event{Kind: EventHidden, Execution: ref.ID, Step: name}) })
		return err
	}
	var children sync.WaitGroup
	child := func(follow func() error) {
		children.Add(1)
		f.work.Go(func() {
			defer poke()
			defer children.Done()
			if err := follow(); err != nil {
				f.fail(err)
			}
		})
	}
	if ref.hasLog() {
		child(func() error {
			return refused(f.client.followLogs(ctx, ref, f.asked, func(item logs.Item) error {
				return f.tell(Event{Kind: EventLog, Execution: ref.ID, Step: name, Line: item})
			}))
		})
	}
	steps := map[[2]int]*seenStep{}
	outcome := ""
	tick := time.NewTicker(f.options.Every)
	defer tick.Stop()
	for {
		var e *Execution
		if err := f.asked(ctx, func() (err error) { e, err = f.client.Execution(ctx, ref); return err }); err != nil {
			return nil, refused(err)
		}
		if e.Pipeline != nil {
			if err := f.steps(ctx, ref, e, name, steps, child); err != nil {
				return nil, err
			}
		}
		if e.Ended() {
			children.Wait() // their last lines come before the end
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			if e.Pipeline != nil {
				if err := f.steps(ctx, ref, e, name, steps, child); err != nil {
					return nil, err
				}
			}
		}
		if e.Outcome != outcome {
			outcome = e.Outcome
			// How a step stands is told by the pipeline that it is of.
			if name == "" {
				if err := f.tell(Event{Kind: EventStatus, Execution: e.ID, Outcome: e.Outcome, Reason: e.Reason}); err != nil {
					return nil, err
				}
			}
		}
		if e.Ended() {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		case <-ended:
		}
	}
}

// Hidden says whether an error is the answer that something is not there for the caller: not theirs to see, or gone.
func Hidden(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && (refused.Status == http.StatusForbidden || refused.Status == http.StatusNotFound)
}

// seenStep is a step as it was last told of.
type seenStep struct {
	outcome  string
	followed string        // id of the execution whose events are told
	told     chan struct{} // closed once all of them are; nil where none is followed
	asked    bool
}

// complete says whether all that the step's own execution had to say was told.
func (s *seenStep) complete() bool {
	if s.told == nil {
		return true
	}
	select {
	case <-s.told:
		return true
	default:
		return false
	}
}

// steps tells what is new about the steps of a pipeline's execution, and follows what they run as.
func (f *following) steps(ctx context.Context, ref Ref, e *Execution, name string, seen map[[2]int]*seenStep, child func(func() error)) error {
	for i, phase := range e.Pipeline.Phases {
		for j := range phase.Steps {
			st := &phase.Steps[j]
			known := seen[[2]int{i, j}]
			if known == nil {
				known = &seenStep{outcome: "queued"} // nothing to tell before it begins
				seen[[2]int{i, j}] = known
			}
			label := st.Name
			if name != "" {
				label = name + " / " + label
			}
			if err := f.step(ctx, ref, e, st, label, known, child); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *following) step(ctx context.Context, ref Ref, e *Execution, st *PipelineStep, label string, known *seenStep, child func(func() error)) error {
	// What a kept step ran as was of an earlier execution, and a pipeline that is not waited for goes its own way.
	follow := st.ExecutionID != "" && st.ExecutionID != known.followed && !st.Kept && (st.Type != StepPipeline || st.WaitForPipeline)
	if follow {
		if sub, ok := st.Ref(e.Pipeline.Project); ok {
			known.followed, known.told = st.ExecutionID, make(chan struct{})
			child(func() error {
				defer close(known.told)
				_, err := f.execution(ctx, sub, label)
				return err
			})
		}
	}
	// The last lines of a log come before the end of its step.
	if st.Outcome != known.outcome && st.Outcome != "" && (!ended(st.Status) || known.complete()) {
		known.outcome = st.Outcome
		id := st.ExecutionID
		if id == "" {
			id = ref.ID
		}
		if err := f.tell(Event{Kind: EventStatus, Execution: id, Step: label, Outcome: st.Outcome, Reason: st.Reason}); err != nil {
			return err
		}
	}
	if st.Type == StepConfirmation && st.Outcome == "waiting" && !known.asked {
		known.asked = true
		return f.tell(Event{Kind: EventWait, Execution: ref.ID, Step: label, URL: st.ConfirmationURL, Asked: Asked(st.User, st.Team), Reason: st.Shortage})
	}
	return nil
}

// Asked says in words whose decision a confirmation is.
func Asked(user, team string) string {
	switch {
	case user != "" && team != "":
		return fmt.Sprintf("user %s or team %s", user, team)
	case user != "":
		return "user " + user
	case team != "":
		return "team " + team
	}
	return "anybody who may write"
}

// patiently repeats a request while the server is away or restarts, as long as the client's patience lasts since the last
// answer. told is called with each error that does not end it, and with nil at the answer.
func (c *Client) patiently(ctx context.Context, request func() error, told func(error) error) error {
	patience := c.Patience
	if patience == 0 {
		patience = 1500 * time.Millisecond
	}
	var since time.Time
	for wait := 100 * time.Millisecond; ; wait = min(wait*3/2, 3*time.Second) {
		err := request()
		if err == nil {
			return told(nil)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !away(err) {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		} else if time.Since(since) > patience {
			return err
		}
		if err := told(err); err != nil {
			return err
		}
		if err := periodic.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// away says whether an error may pass: no connection, or an answer that says to come back.
func away(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		switch refused.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var told *lineError
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	var certificate *tls.CertificateVerificationError
	return !errors.As(err, &told) && !errors.As(err, &syntax) && !errors.As(err, &mismatch) && !errors.As(err, &certificate)
}
