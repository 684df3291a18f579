package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"slipway/internal/engine"
	"slipway/internal/logs"
	"slipway/internal/periodic"
	"slipway/internal/problem"
	"slipway/internal/runner"
	"slipway/models"
	"slipway/workflows"
)

// heartbeatEvery is how often a worker says that it is alive. It is well below workflows.HeartbeatTimeout, so that one
// that is late does not cost the execution its worker.
const heartbeatEvery = time.Second

// Lease is how long a worker may stand still before its scripts are killed: less than it takes the server, which counts
// from the last heartbeat, to give them to another worker.
const Lease = workflows.HeartbeatTimeout - heartbeatEvery

// attempt is one try of this worker at the scripts of an execution: its context, its workspace, its log and what it
// knows of earlier tries.
type attempt struct {
	*Scripts
	e         *models.Execution
	workspace *runner.Workspace
	secrets   *logs.Secrets
	env       []string // what scriptEnv gives
	log       *logs.Log
	state     *stateStore
	decisions map[string]string
	// scripts are those that may be repeated and have ended: they wait to be recorded.
	scripts []models.EndedScript
	// told are the errors that the log has from the engine: the reason that the execution ends with is mostly one of them.
	told map[string]bool
	// token is the escape_auth_token of a build, once its source was fetched; "" for none.
	token string
}

// work is what an attempt does between its beginning and its end.
type work func(ctx context.Context, t *attempt) (models.Result, error)

// run is try for the activities with which an execution is over: the outcome ends it, in the transaction that stores all
// else that the attempt has to say.
func (a *Scripts) run(ctx context.Context, in workflows.Input, p pulse, f work) (workflows.Outcome, error) {
	return a.try(ctx, in, p, true, f)
}

// try runs f for an execution, in a fresh workspace, with a log, heartbeats and the ways to be cancelled, and turns what
// comes of it into an outcome. Errors are for what another try may mend: then the server gives the work to a worker again. A
// panic of f fails the execution; one of what is around it fails the activity for good, and with it the execution.
func (a *Scripts) try(ctx context.Context, in workflows.Input, p pulse, ends bool, f work) (workflows.Outcome, error) {
	return guarded(ctx, a.Log, in.ExecutionID, func() (workflows.Outcome, error) { return a.tryOnce(ctx, in, p, ends, f) })
}

func (a *Scripts) tryOnce(ctx context.Context, in workflows.Input, p pulse, ends bool, f work) (workflows.Outcome, error) {
	ctx, kill := runner.WithKill(ctx)
	defer kill(nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer a.Running.begin(cancel, kill)()
	if end, ok := ctx.Deadline(); ok && time.Until(end) > time.Hour {
		// The worker ends an attempt before the server would: one that timed out there is given to a worker again, while this
		// one still runs, and a deployment that was not told to end would not be repeated but be called interrupted.
		var free context.CancelFunc
		ctx, free = context.WithDeadline(ctx, end.Add(-2*endingTime))
		defer free()
	}
	// From the beginning: with the database away, the first question may take longer than the heartbeat timeout.
	beats := a.heartbeat(ctx, cancel, kill, p)
	defer beats()
	stop := a.Service.OnCancel(in.ExecutionID, func() { cancel(errCancelled) })
	defer stop()
	// Asked after the subscription: a request that came before it stands in the row.
	var before *models.Attempt
	err := persist(ctx, func() (err error) { before, err = a.attemptOf(ctx, in); return err })
	if errors.Is(err, models.ErrNotFound) {
		out := noSuchExecution
		out.Ended = true
		return out, nil
	}
	if err != nil {
		return workflows.Outcome{}, err
	}
	e := &before.Execution
	switch {
	case e.Status.Final():
		return workflows.Outcome{Status: e.Status, Reason: e.Reason, Ended: true}, nil
	case in.ScriptQueue != "" && !before.Claimed:
		return workflows.Outcome{Unclaimed: true}, nil
	case e.CancelRequestedAt != nil:
		return workflows.Outcome{Status: models.StatusCancelled, Reason: cancelReason(e)}, nil
	}
	t := &attempt{Scripts: a, e: e, secrets: logs.NewSecrets(), decisions: map[string]string{}, told: map[string]bool{}}
	t.state = &stateStore{store: a.Store, environmentID: e.EnvironmentID, by: t.by()}
	if before.Decided {
		err := persist(ctx, func() (err error) { t.decisions, err = a.Store.DecisionsOf(ctx, e.ID); return err })
		if err != nil {
			return workflows.Outcome{}, err
		}
	}
	keep, free := outlive(ctx, endingTime)
	defer free()
	sink := &logSink{a: a, id: e.ID}
	t.log = logs.New(keep, logs.Options{Sink: sink.put, Secrets: t.secrets, FirstLine: before.NextLine})
	if t.workspace, err = a.Workspaces.Make(); err != nil {
		return workflows.Outcome{}, errors.Join(err, t.log.Close(keep))
	}
	defer t.discard()
	var result models.Result
	ferr := t.again(ctx, p, before)
	if ferr == nil {
		result, ferr = guarded(ctx, a.Log, e.ID, func() (models.Result, error) { return f(ctx, t) })
	}
	if errors.Is(ferr, errPanic) {
		kill(errPanic) // nobody waits any more for a script that runs
	}
	out, err := t.outcome(ctx, ferr)
	if out.Status == models.StatusFailed && !t.told[out.Reason] {
		t.say(logs.LevelError, out.Reason)
	}
	out.Reason = t.secrets.Mask(out.Reason)
	// Why an attempt is cancelled, the workflow knows: somebody asked, its time was over, its pipeline ends.
	if ends && err == nil && out.Status != models.StatusCancelled {
		out.Ended, err = t.end(keep, result, sink, out)
	} else {
		_, eerr := t.end(keep, result, sink, workflows.Outcome{})
		err = errors.Join(err, eerr)
	}
	return out, err
}

// discard removes the workspace. That takes longer than all the rest, and nobody waits for it. A worker that stops removes
// what is left.
func (t *attempt) discard() {
	go func() {
		if err := t.workspace.Wipe(); err != nil {
			t.Scripts.Log.Warn("a workspace could not be removed", "execution", t.e.ID, "error", err)
		}
	}()
}

// attemptOf reads the execution, and claims it first where nothing but this activity does.
func (a *Scripts) attemptOf(ctx context.Context, in workflows.Input) (*models.Attempt, error) {
	if in.ScriptQueue != "" {
		t, err := a.Store.DirectClaim(ctx, in.ExecutionID, in.FirstRun)
		if err == nil && t.First {
			a.Metrics.QueueWait.WithLabelValues(t.Kind).Observe(max(0, t.ClaimedAt.Sub(t.CreatedAt).Seconds()))
		}
		if !errors.Is(err, models.ErrConflict) {
			return t, err
		}
	}
	return a.Store.AttemptOf(ctx, in.ExecutionID)
}

// again counts the tries of an activity that is repeated, and ends what has taken down its worker too often. The server's
// own count is of no use: a worker that stands still takes attempts that never begin.
func (t *attempt) again(ctx context.Context, p pulse, before *models.Attempt) error {
	// One that claims has been here before where the row was claimed already: it may have begun in another way.
	if activity.GetInfo(ctx).Attempt == 1 && (!before.Claimed || before.First) {
		return nil
	}
	prefix, tries := "try/"+p.activity+"/", 2
	for key := range t.decisions {
		if strings.HasPrefix(key, prefix) {
			tries++
		}
	}
	if tries > workflows.MaxTries {
		return problem.New(problem.Unprocessable, "the worker that ran it was lost, %d times in a row", workflows.MaxTries)
	}
	t.say(logs.LevelWarn, fmt.Sprintf("The worker that ran this was lost. Attempt %d begins.", tries))
	return persist(ctx, func() error { return t.Store.PutDecision(ctx, t.e.ID, prefix+strconv.Itoa(tries), "") })
}

// endingTime is how long an attempt that was ended may take to store what it has to say. Without a bound it would hang
// for as long as the database is away, and with it the worker.
const endingTime = 30 * time.Second

// outlive gives a context that goes on for a while after ctx has ended.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// end stores what is left of an attempt in one transaction: the state, the ends of its last scripts, the last lines of
// its log, what it made, and, where an outcome is given, the end of the execution. It is all there before the execution
// shows as ended. True says that this ended it.
func (t *attempt) end(ctx context.Context, result models.Result, sink *logSink, out workflows.Outcome) (bool, error) {
	last, err := t.log.Finish(ctx)
	if err != nil {
		t.Scripts.Log.WarnContext(ctx, "the end of a log could not be stored", "execution", t.e.ID, "error", err)
	}
	var ended bool
	var next []string
	err = persist(ctx, func() (err error) { ended, next, err = t.store(ctx, result, last, sink, out); return err })
	if ended {
		t.Service.Ended(ctx, t.e.ID, t.e.Kind, out.Status, out.Reason, next)
	} else {
		t.Service.LogWritten(ctx, t.e.ID)
	}
	return ended, err
}

// store is what end does in the database. Repeating it changes nothing.
func (t *attempt) store(ctx context.Context, result models.Result, last logs.Chunk, sink *logSink, out workflows.Outcome) (ended bool, next []string, err error) {
	all := models.AttemptEnd{ExecutionID: t.e.ID, EnvironmentID: t.e.EnvironmentID, By: t.state.by, Deployments: t.state.writes, Scripts: t.scripts,
		Status: out.Status, Reason: out.Reason}
	if len(result.Releases) > 0 || result.Release != "" {
		all.Result = &result
	}
	if last.Count == 0 || sink.offset == 0 {
		if last.Count > 0 {
			all.Log = &models.LogChunk{FirstLine: last.FirstLine, Count: last.Count, Data: last.Data}
		}
		if ended, next, err = t.Store.EndAttempt(ctx, all); !errors.Is(err, models.ErrExists) {
			return ended, next, err
		}
	}
	// Somebody else wrote to the log by the API in the meantime, or this did before its connection broke: everything but the
	// lines, then the lines, then the end.
	all.Log, all.Status = nil, ""
	if _, _, err := t.Store.EndAttempt(ctx, all); err != nil {
		return false, nil, err
	}
	if err := sink.put(ctx, last); err != nil {
		return false, nil, err
	}
	if out.Status == "" {
		return false, nil, nil
	}
	return t.Store.EndAttempt(ctx, models.AttemptEnd{ExecutionID: t.e.ID, Status: out.Status, Reason: out.Reason})
}

// flushIn writes what may wait for the next transaction: changes of the state, and the ends of scripts that may be
// repeated.
func (t *attempt) flushIn(ctx context.Context, tx *models.Store) error {
	if err := t.state.flushIn(ctx, tx); err != nil {
		return err
	}
	return tx.EndScripts(ctx, t.scripts)
}

// flushed forgets what flushIn wrote, once its transaction has committed.
func (t *attempt) flushed() {
	t.state.began()
	t.scripts = nil
}

// persist does what needs the database again and again until that answers: while it is away, or refuses to write, scripts
// that have run must not count as lost. It ends with the attempt.
func persist(ctx context.Context, f func() error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := f()
		if err == nil || !models.Unavailable(err) {
			return err
		}
		if periodic.Pause(ctx, wait) != nil {
			return err
		}
	}
}

// outcome sorts what came of a try: an end of the execution, or an error after which the work is given out again.
func (t *attempt) outcome(ctx context.Context, err error) (workflows.Outcome, error) {
	var failure *engine.Failure
	var p *problem.Error
	var idle *idleError
	switch cause := context.Cause(ctx); {
	case err == nil:
		return workflows.Outcome{Status: models.StatusOK}, nil
	case errors.As(err, &idle):
		return workflows.Outcome{Status: models.StatusSkipped, Reason: idle.Error()}, nil
	case errors.Is(cause, errCancelled):
		if e, rerr := t.Store.ExecutionByID(context.WithoutCancel(ctx), t.e.ID); rerr == nil {
			t.e = e
		}
		return workflows.Outcome{Status: models.StatusCancelled, Reason: cancelReason(t.e)}, nil
	case errors.Is(cause, errGivenUp):
		return workflows.Outcome{}, errGivenUp
	case errors.Is(cause, context.DeadlineExceeded):
		return workflows.Outcome{Status: models.StatusFailed, Reason: "it ran longer than its time limit"}, nil
	case errors.Is(err, errPanic):
		return workflows.Outcome{Status: models.StatusFailed, Reason: panicReason}, nil
	case ctx.Err() != nil:
		// The worker stops. Another one goes on, or finds what may not be repeated.
		return workflows.Outcome{}, temporal.NewApplicationError("the worker was stopped", "WorkerStopped")
	case errors.As(err, &p) && p.Kind != problem.Unavailable:
		// Asked before the rest: its text may speak of refused connections that are not the database's.
		if errors.As(err, &failure) && failure.Reason != engine.ReasonInternal {
			return workflows.Outcome{Status: models.StatusFailed, Reason: failure.Error()}, nil
		}
		return workflows.Outcome{Status: models.StatusFailed, Reason: p.Error()}, nil
	case p != nil, models.Unavailable(err):
	case errors.As(err, &failure) && failure.Reason != engine.ReasonInternal:
		return workflows.Outcome{Status: models.StatusFailed, Reason: failure.Error()}, nil
	}
	t.say(logs.LevelWarn, "This worker could not go on; the execution is tried again.")
	return workflows.Outcome{}, err
}

func cancelReason(e *models.Execution) string {
	if e.CancelRequestedBy != "" {
		return "cancelled by " + e.CancelRequestedBy
	}
	return "cancelled"
}

// say adds a line of Slipway's own to the log.
func (t *attempt) say(level, message string) {
	_ = t.log.Append(logs.Item{Timestamp: time.Now().UTC(), Level: level, Message: message, LogKey: "slipway"})
}

// heartbeat tells the server that the worker is alive, and ends the attempt when the server says that it was cancelled,
// or does not answer for as long as it takes the server to give the work to another worker: then its scripts are killed,
// also those that were asked to end before and have their grace period. The SDK's own heartbeats are not used: they do not
// tell whether they were accepted. The function returned waits for the end of the last one.
//
// The heartbeats go on when the attempt is cancelled or the worker stops: scripts then have a grace period, which may be
// longer than the heartbeat timeout. Without them the server would take the worker for lost, the execution would show as
// ended and its deployments would be free while its scripts still run.
func (a *Scripts) heartbeat(ctx context.Context, cancel, kill context.CancelCauseFunc, p pulse) (stop func()) {
	token := p.token
	done := make(chan struct{})
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(done)
		last := time.Now()
		var unfollowed <-chan time.Time
		if token == nil {
			lease := time.NewTimer(time.Until(p.since.Add(unfollowedLease)))
			defer lease.Stop()
			unfollowed = lease.C
		}
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case token = <-p.follow:
				last, unfollowed = time.Now(), nil
				continue
			case <-unfollowed:
				kill(errGivenUp)
				return
			case <-tick.C:
			}
			if token == nil {
				continue
			}
			beat, free := context.WithTimeout(ctx, heartbeatEvery)
			err := a.Client.RecordActivityHeartbeat(beat, token)
			free()
			var gone *serviceerror.NotFound
			switch {
			case err == nil:
				last = time.Now()
			case temporal.IsCanceledError(err) && ctx.Err() == nil:
				cancel(errCancelled)
				last = time.Now()
			case errors.As(err, &gone):
				kill(errGivenUp)
				return
			case time.Since(last) > workflows.HeartbeatTimeout:
				kill(errGivenUp)
				return
			}
		}
	}()
	return func() { end(); <-done }
}

// pulse is how an attempt lets the server know that its worker is alive.
type pulse struct {
	// activity is the name of the work, under which its tries are counted.
	activity string
	// token is the running activity's; nil where there is none yet, and follow gives it. An attempt that nobody follows
	// is given up after unfollowedLease, from since on: when its work came to this worker, by the worker's clock.
	token  []byte
	since  time.Time
	follow <-chan []byte
}

// pulseOf is the pulse of an activity.
func pulseOf(ctx context.Context) pulse {
	info := activity.GetInfo(ctx)
	return pulse{activity: info.ActivityType.Name, token: info.TaskToken}
}

// logSink stores the chunks of a log and wakes its followers, at most five times a second.
type logSink struct {
	a      *Scripts
	id     string
	offset int64

	mu   sync.Mutex
	last time.Time // of the last notification, or of the one that is due
}

// wakeEvery is the shortest time between two notifications of one log.
const wakeEvery = 200 * time.Millisecond

// put stores a chunk. The same chunk may be offered again after an error; and somebody else may have written to the log
// by the API, which moves what follows.
func (s *logSink) put(ctx context.Context, c logs.Chunk) error {
	err := s.a.Store.PutLogs(ctx, s.id, c.FirstLine+s.offset, c.Count, c.Data)
	if errors.Is(err, models.ErrExists) {
		stored, rerr := s.a.Store.LogChunks(ctx, s.id, c.FirstLine+s.offset, 1)
		if rerr != nil {
			return rerr
		}
		if len(stored) == 0 || string(stored[0].Data) != string(c.Data) {
			at, aerr := s.a.Store.AppendLogs(ctx, s.id, c.Count, c.Data)
			if aerr != nil {
				return aerr
			}
			s.offset = at - c.FirstLine
		}
		err = nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	wait := time.Until(s.last.Add(wakeEvery))
	if wait <= wakeEvery { // else one is due that will speak of this chunk too
		s.last = time.Now().Add(max(0, wait))
	}
	s.mu.Unlock()
	switch {
	case wait <= 0:
		s.a.Service.LogWritten(ctx, s.id)
	case wait <= wakeEvery:
		// The last lines before a silence are told too: without this, followers see them when they look by themselves.
		time.AfterFunc(wait, func() { s.a.Service.LogWritten(context.WithoutCancel(ctx), s.id) })
	}
	return nil
}

// Log implements engine.Logger.
func (t *attempt) Log(n engine.Entry) {
	if n.Level == engine.LevelError {
		t.told[n.Message] = true
	}
	_ = t.log.Append(logs.Item{Timestamp: time.Now().UTC(), Message: n.Message, Level: n.Level, LogKey: n.Key, LogValues: n.Values,
		LogSectionChanged: n.SectionChanged, LogSectionIndent: n.Indent, LogSectionUnindent: n.Unindent, LogSections: n.Sections})
}

// Decide implements engine.Decisions.
func (t *attempt) Decide(ctx context.Context, key string, decide func() (string, error)) (string, error) {
	if v, ok := t.decisions[key]; ok {
		return v, nil
	}
	v, err := decide()
	if err != nil {
		return "", err
	}
	if err := persist(ctx, func() error { return t.Store.PutDecision(ctx, t.e.ID, key, v) }); err != nil {
		return "", err
	}
	t.decisions[key] = v
	return v, nil
}
