package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// LocalRunner runs scripts as processes of the caller, with the caller's environment: for a laptop. It keeps no record,
// so every run runs every script. Each script is a process group of its own; when the context ends, the group gets
// SIGTERM and, after the grace period, SIGKILL.
type LocalRunner struct {
	Stdout, Stderr io.Writer // nil: the output is thrown away
	// Grace is the time between SIGTERM and SIGKILL, and the time that output is awaited after the end of a script whose
	// background processes hold it; 0 means two seconds.
	Grace time.Duration
	// Env is the environment below the script contract; nil means the caller's.
	Env []string
	// Bin is a folder that stands in front of the PATH of scripts, for what the user has put there; "" for none.
	Bin string
}

// environment is what a script finds below the script contract.
func (l *LocalRunner) environment() []string {
	env := l.Env
	if env == nil {
		env = os.Environ()
	}
	if l.Bin == "" {
		return env
	}
	path := l.Bin
	for _, pair := range env {
		if list, ok := strings.CutPrefix(pair, "PATH="); ok && list != "" {
			path = l.Bin + string(filepath.ListSeparator) + list
		}
	}
	return append(slices.Clip(env), "PATH="+path) // the last one of a name counts
}

// RunScript runs a script and reads its outputs.
func (l *LocalRunner) RunScript(ctx context.Context, s Script) (Result, error) {
	env := l.environment()
	cmd := exec.CommandContext(ctx, s.Argv[0], s.Argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, l.Stdout, l.Stderr
	cmd.Env = append(append([]string{}, env...), s.Env...)
	if strings.Contains(s.Argv[0], "/") && !filepath.IsAbs(s.Argv[0]) {
		cmd.Path, cmd.Err = filepath.Join(s.Dir, s.Argv[0]), nil
	} else if own := filepath.Join(l.Bin, s.Argv[0]); l.Bin != "" && !filepath.IsAbs(s.Argv[0]) {
		// Commands are looked up in the PATH of this process, which has no such folder.
		if info, err := os.Stat(own); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			cmd.Path, cmd.Err = own, nil
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	grace := l.Grace
	if grace == 0 {
		grace = 2 * time.Second
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if ctx.Err() != nil {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
		}
		return Result{}, context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return Result{ExitCode: exit.ExitCode()}, nil
	case errors.As(err, &exit):
		return Result{}, fmt.Errorf("ended by %s", exit.ProcessState)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return Result{}, fmt.Errorf("there is no such command or file: %s", s.Argv[0])
	case errors.Is(err, exec.ErrWaitDelay): // a process in the background holds the output
	case err != nil:
		return Result{}, fmt.Errorf("could not be started: %w", err)
	}
	outputs, err := ReadOutputs(s.Dir, s.OutputsFile)
	return Result{Outputs: outputs}, err
}
