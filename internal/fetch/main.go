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
	defer os.RemoveAll(j.Scratch)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if j.Dir != "" {
		go watchSize(ctx, j.Dir, j.Policy, func() { cancel(tooLarge(j.Policy.MaxBytes)) })
	}
	var out outcome
	var err error
	switch {
	case j.Fetch != nil:
		out, err = j.fetch(ctx, cancel)
	case j.Resolve != nil:
		out, err = j.resolve(ctx, cancel)
	case j.Download != nil:
		err = j.download(ctx)
	default:
		err = errors.New("the job is empty")
	}
	// The cause of a broken-off fetch says more than what git made of it.
	var cause *Error
	if errors.As(context.Cause(ctx), &cause) {
		return out, cause
	}
	if err == nil && j.Dir != "" && !fits(j.Dir, j.Policy) {
		err = tooLarge(j.Policy.MaxBytes)
	}
	return out, err
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
			return nil
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
