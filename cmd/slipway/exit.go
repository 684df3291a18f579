package main

import (
	"errors"
	"fmt"
)

// What the process ends with. Scripts rely on these: docs/client.md lists them.
const (
	exitFailed      = 1   // the execution failed, or the command could not do what it was asked
	exitUsage       = 2   // wrong flags or arguments
	exitCancelled   = 3   // the execution was cancelled
	exitNotAllowed  = 4   // not logged in, or not allowed
	exitNotFound    = 5   // there is no such thing
	exitUnreachable = 6   // the server did not answer, or something that it needs is away
	exitDetached    = 130 // Ctrl-C: what was followed goes on
)

// exitError is an error that says what the process ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is what the process ends with for an error; see the constants.
func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}
