package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
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

// tellUsage makes mistakes in flags and arguments errors of usage, which say where to read on, in a command and all below
// it. A command that only groups others refuses what none of them is called; cobra would print its help and end well.
func tellUsage(c *cobra.Command) {
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageErrorf("%w; see %s --help", err, c.CommandPath())
	})
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, list []string) error {
			if err := args(c, list); err != nil {
				return usageErrorf("%w: %s", err, c.UseLine())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			hint := ""
			c.SuggestionsMinimumDistance = 2
			if like := c.SuggestionsFor(args[0]); len(like) > 0 {
				hint = "; did you mean " + strings.Join(like, " or ") + "?"
			}
			return usageErrorf("%s has no command '%s'%s", c.CommandPath(), args[0], hint)
		}
	}
	for _, sub := range c.Commands() {
		tellUsage(sub)
	}
}
