package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"slipway/internal/engine"
	"slipway/internal/logs"
	"slipway/internal/problem"
	"slipway/internal/runner"
	"slipway/models"
)

// RunScript implements engine.ScriptRunner: it records that the script begins before it is spawned, and its result after
// it. On a repetition after a crash, a script that must not run twice gives its recorded result, or fails as interrupted.
func (t *attempt) RunScript(ctx context.Context, s engine.Script) (engine.Result, error) {
	key := scriptKey(s.Key)
	if s.Repeatable {
		return t.repeatable(ctx, key, s)
	}
	row, err := t.begin(ctx, key, s)
	switch {
	case errors.Is(err, models.ErrInterrupted):
		return engine.Result{}, problem.New(problem.Conflict, "interrupted: the worker was lost while it ran. It may have had an effect and is not run again by itself; look at what it did, then retry")
	case err != nil:
		return engine.Result{}, unrecorded(err)
	}
	if row.Finished {
		t.flushed()
		var res engine.Result
		plain, err := t.Sealer.Decrypt(row.Result, t.sealedAt(key))
		if err == nil {
			err = json.Unmarshal(plain, &res)
		}
		if err != nil {
			return engine.Result{}, fmt.Errorf("read the recorded result of a script: %w", err)
		}
		t.say(logs.LevelInfo, fmt.Sprintf("Script %s of %s ended before, with status %d; it is not run again.", s.Step, s.Release.Unqualified(), res.ExitCode))
		return res, nil
	}
	t.flushed()
	res, err := t.spawn(ctx, s)
	if err != nil {
		return res, err
	}
	sealed, err := t.seal(key, res)
	if err != nil {
		return res, err
	}
	// The script has had its effect: its end is recorded at once, whatever became of the context.
	keep := context.WithoutCancel(ctx)
	if err := persist(ctx, func() error { return t.Store.EndScript(keep, t.e.ID, key, sealed) }); err != nil {
		return res, unrecorded(err)
	}
	return res, nil
}

// showAfter is how long a script that may be repeated runs before its row and what the state says about it are written. A
// shorter one is recorded once, at its end: nobody could have seen it run, and after a crash the row decides nothing.
const showAfter = 100 * time.Millisecond

// repeatable runs a script that may run again after a crash. Its row is written beside it, not before it, so that no
// transaction stands between the trigger and the first command of a build.
func (t *attempt) repeatable(ctx context.Context, key string, s engine.Script) (engine.Result, error) {
	row := models.ExecutionScript{ExecutionID: t.e.ID, Key: key, Step: s.Step, Release: s.Release.String(), Repeatable: true, StartedAt: t.Store.Now()}
	begun := false
	shown := make(chan struct{})
	show, hide := context.WithCancel(ctx)
	go func() {
		defer close(shown)
		wait := time.NewTimer(showAfter)
		defer wait.Stop()
		select {
		case <-show.Done():
			return
		case <-wait.C:
		}
		// The engine waits for the script meanwhile, so what is pending is this goroutine's alone.
		if _, err := t.begin(show, key, s); err == nil {
			begun = true
			t.flushed()
		}
	}()
	res, err := t.spawn(ctx, s)
	hide()
	<-shown
	if err != nil {
		return res, err
	}
	if row.Result, err = t.seal(key, res); err != nil {
		return res, err
	}
	t.scripts = append(t.scripts, models.EndedScript{ExecutionScript: row, Begun: begun})
	return res, nil
}

// seal encrypts the result of a script: outputs may be secret.
func (t *attempt) seal(key string, res engine.Result) ([]byte, error) {
	plain, err := json.Marshal(res)
	if err != nil {
		return nil, err
	}
	sealed, err := t.Sealer.Encrypt(plain, t.sealedAt(key))
	if err != nil {
		return nil, fmt.Errorf("seal the result of a script: %w", err)
	}
	return sealed, nil
}

// begin records that a script is about to start, with what waited for the next transaction: what the state says about the
// script and that it began are seen together.
func (t *attempt) begin(ctx context.Context, key string, s engine.Script) (row *models.ExecutionScript, err error) {
	since, tries := t.Store.Now(), 0
	err = persist(ctx, func() error {
		tries++
		return t.Store.Tx(ctx, func(tx *models.Store) error {
			if err := t.flushIn(ctx, tx); err != nil {
				return err
			}
			row, err = tx.BeginScript(ctx, models.ExecutionScript{ExecutionID: t.e.ID, Key: key, Step: s.Step, Release: s.Release.String(), Repeatable: s.Repeatable})
			return err
		})
	})
	if errors.Is(err, models.ErrInterrupted) && tries > 1 && !row.StartedAt.Before(since) {
		// The connection broke after the commit and before its answer: the row is this attempt's own, and nothing ran.
		return row, nil
	}
	return row, err
}

// unrecorded keeps what the database said out of the log and the reason, which everybody reads who may see the execution.
func unrecorded(err error) error {
	return problem.Wrap(problem.Unavailable, err, "what happened could not be recorded")
}

func (t *attempt) sealedAt(key string) string { return "script:" + t.e.ID + ":" + key }

// scriptKey fits a key into its column.
func scriptKey(key string) string {
	if len(key) <= 400 {
		return key
	}
	h := sha256.Sum256([]byte(key))
	return key[:300] + "…" + hex.EncodeToString(h[:])
}

// spawn runs the process.
func (t *attempt) spawn(ctx context.Context, s engine.Script) (engine.Result, error) {
	if t.Tracer != nil {
		var span trace.Span
		ctx, span = t.Tracer.Start(ctx, "script "+s.Step, trace.WithAttributes(attribute.String("slipway.execution", t.e.ID), attribute.String("slipway.release", s.Release.String())))
		defer span.End()
	}
	c := t.workspace.Command(s.Argv...)
	about, err := t.scriptEnv()
	if err != nil {
		return engine.Result{}, err
	}
	c.Dir, c.Env = s.Dir, append(s.Env, about...)
	c.Timeout, c.Grace, c.OutputLimit = t.Limits.Timeout, t.Limits.Grace, t.Limits.Output
	out := t.log.Stream(logs.Item{Level: logs.LevelInfo, LogKey: "script." + s.Step, LogSections: []string{s.Release.Unqualified(), s.Step}})
	exit, err := t.Supervisor.Run(ctx, c, runner.Combined(out))
	if cerr := out.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("store the log: %w", cerr)
	}
	t.Metrics.ScriptDuration.WithLabelValues(s.Step).Observe(exit.Duration.Seconds())
	var start *runner.StartError
	switch {
	case errors.As(err, &start):
		return engine.Result{}, problem.New(problem.Unprocessable, "%s", start.Error())
	case errors.Is(err, runner.ErrSupervisorLost), errors.Is(err, runner.ErrSilent):
		// As if the worker had been lost: another try repeats what may be repeated, and finds the rest interrupted.
		return engine.Result{}, problem.Wrap(problem.Unavailable, err, "interrupted: %s", err)
	case err != nil:
		return engine.Result{}, err
	case exit.Cancelled:
		return engine.Result{}, context.Cause(ctx)
	case exit.TimedOut, exit.OutputLimit, exit.Signal != 0:
		return engine.Result{}, problem.New(problem.Unprocessable, "%s", exit.Reason())
	}
	res := engine.Result{ExitCode: exit.Code}
	if exit.Code == 0 {
		if res.Outputs, err = engine.ReadOutputs(s.Dir, s.OutputsFile); err != nil {
			return res, problem.Wrap(problem.Unprocessable, err, "%v", err)
		}
	}
	return res, nil
}
