package runner

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Exit tells how a script ended.
type Exit struct {
	// Code is the exit code; -1 when a signal ended the script.
	Code int
	// Signal is the signal that ended the script, or 0.
	Signal syscall.Signal
	// TimedOut, Cancelled and OutputLimit tell why the runner ended the script. At most one is set.
	TimedOut, Cancelled, OutputLimit bool
	// Survivors is set when processes of the group could not be killed, which takes a program that changed its user.
	Survivors bool
	// Duration is the time from the start to the end of the script, without the wait for late output.
	Duration time.Duration

	timeout time.Duration
	limit   int64
}

// OK reports whether the script ended by itself with code 0.
func (e Exit) OK() bool { return e.Reason() == "" }

// Reason says in words why the script did not end well; it is empty when it did. The text is for people and names no
// value of the environment.
func (e Exit) Reason() string {
	var reason string
	switch {
	case e.Cancelled:
		reason = "the script was cancelled"
	case e.TimedOut:
		reason = fmt.Sprintf("the script did not finish within its timeout of %s", e.timeout)
	case e.OutputLimit:
		reason = fmt.Sprintf("the script printed more than %s", bytesText(e.limit))
	case e.Signal != 0:
		reason = fmt.Sprintf("the script was ended by signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code != 0:
		reason = fmt.Sprintf("the script exited with code %d", e.Code)
	}
	if e.Survivors {
		reason += "; some of its processes could not be killed"
	}
	return reason
}

// StartError is returned by Run when a script could not be started at all; nothing of it ran.
type StartError struct {
	// Program is what should have been started.
	Program string
	// Cause says what was wrong, for people.
	Cause string
}

func (e *StartError) Error() string { return fmt.Sprintf("could not start %s: %s", e.Program, e.Cause) }

// ErrSupervisorLost is returned by Run when the supervisor died while the script ran. Its group has been killed; what
// it had done until then is unknown.
var ErrSupervisorLost = errors.New("the process that supervises scripts ended unexpectedly, so the script was killed")

// ErrClosed is returned by Run after Close.
var ErrClosed = errors.New("the script runner is shut down")

func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
