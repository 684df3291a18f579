package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Main is the whole of the hidden command "slipway fetch": it reads a job from standard input, does it, and writes the
// outcome to standard output. It returns the exit code for the process.
func Main() int {
	var j job
	input, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.Unmarshal(input, &j)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway fetch is started by a worker, not by hand:", err)
		return 2
	}
	out := j.do()
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return 1
	}
	if out.Error != nil && syscall.Getpgrp() == os.Getpid() {
		// What was broken off may have left a git process that still writes. The outcome is out; the whole group goes.
		os.Stdout.Close()
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	return 0
}

// do does the job. Every failure becomes an Error.
func (j job) do() outcome {
	out, err := j.try()
	if err != nil {
		var known *Error
		if !errors.As(err, &known) {
			known = &Error{Kind: KindOther, Message: "the source could not be fetched: " + clip(err.Error())}
		}
		out.Error = known
	}
	return out
}

func (j job) try() (outcome, error) {
	// A single file cannot grow past the limit, whatever git does; the watch below sees the sum.
	_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(j.Policy.MaxBytes), Max: uint64(j.Policy.MaxBytes)})
	if err := os.Mkdir(j.Scratch, 0o700); err != nil {
		return outcome{}, fmt.Errorf("make a folder: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if j.Dir != "" {
		go watchSize(ctx, j.Dir, j.Policy, func() { cancel(tooLarge(j.Policy.MaxBytes)) })
	}
	type result struct {
		out outcome
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := j.work(ctx, cancel)
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		// The cause of a broken-off fetch says more than what git made of it.
		var cause *Error
		if errors.As(context.Cause(ctx), &cause) {
			return r.out, cause
		}
		if r.err == nil && j.Dir != "" && !fits(j.Dir, j.Policy) {
			r.err = tooLarge(j.Policy.MaxBytes)
		}
		return r.out, r.err
	case <-ctx.Done():
		// Not waiting for git: its own children may go on for long, and Main ends them all.
		return outcome{}, context.Cause(ctx)
	}
}

func (j job) work(ctx context.Context, cancel context.CancelCauseFunc) (outcome, error) {
	switch {
	case j.Fetch != nil:
		return j.fetch(ctx, cancel)
	case j.Resolve != nil:
		return j.resolve(ctx, cancel)
	case j.Download != nil:
		return outcome{}, j.download(ctx)
	case j.Tag != nil:
		return j.tag(ctx, cancel)
	}
	return outcome{}, errors.New("the job is empty")
}

// watchSize breaks a fetch off when its folder grows too large: what was transferred may be far smaller.
func watchSize(ctx context.Context, dir string, policy Policy, exceeded func()) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !fits(dir, policy) {
				exceeded()
				return
			}
		}
	}
}

// fits reports whether a folder is within the limits. Files that vanish meanwhile do not count.
func fits(dir string, policy Policy) bool {
	var bytes int64
	files := 0
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		files++
		if entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		if bytes > policy.MaxBytes || files > policy.MaxFiles {
			return fs.SkipAll
		}
		return nil
	})
	return err != nil || bytes <= policy.MaxBytes && files <= policy.MaxFiles
}
