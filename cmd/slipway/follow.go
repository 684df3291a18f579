package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
	"slipway/internal/logs"
)

// started tells of an execution that a command has triggered, and follows it where that is asked for.
func (k *clientCommands) started(ctx context.Context, api *client.Client, c *cobra.Command, what string, ref client.Ref, follow bool) error {
	out := c.OutOrStdout()
	switch {
	case follow && k.output != "json":
		fmt.Fprintf(out, "Execution %s of %s.\n", ref.ID, what)
	case !follow && k.output == "json":
		return writeJSON(out, map[string]string{"id": ref.ID})
	case !follow:
		_, err := fmt.Fprintf(out, "Execution %s of %s was started. To follow it: slipway logs -f %s\n", ref.ID, what, ref.ID)
		return err
	}
	return k.follow(ctx, api, out, ref)
}

// follow prints what happens to an execution until it ends. The error is its result: nil where it ended well.
func (k *clientCommands) follow(ctx context.Context, api *client.Client, out io.Writer, ref client.Ref) error {
	e, err := api.Follow(ctx, ref, client.FollowOptions{Tell: k.tell(out, ref.ID)})
	if ctx.Err() != nil {
		return &exitError{exitDetached, fmt.Errorf("execution %s goes on without you. To follow it again: slipway logs -f %s; to end it: slipway cancel %s", ref.ID, ref.ID, ref.ID)}
	}
	if err != nil {
		return err
	}
	return k.ended(ctx, api, out, e)
}

// followStatus is follow for executions that have no log: searches and scans of assets.
func (k *clientCommands) followStatus(ctx context.Context, api *client.Client, out io.Writer, id string) error {
	found, err := api.FollowStatus(ctx, id, client.FollowOptions{Tell: k.tell(out, id)})
	if ctx.Err() != nil {
		return &exitError{exitDetached, fmt.Errorf("execution %s goes on without you. To follow it again: slipway logs -f %s", id, id)}
	}
	if err != nil {
		return err
	}
	e := &client.Execution{ID: found.ID, Status: found.Status, Outcome: found.Outcome, Reason: found.Reason}
	if found.StartedAt != nil && found.FinishedAt != nil {
		e.StartedAt, e.FinishedAt = *found.StartedAt, *found.FinishedAt
	}
	return k.ended(ctx, api, out, e)
}

// ended tells how an execution that was followed ended. The error is its result: nil where it ended well.
func (k *clientCommands) ended(ctx context.Context, api *client.Client, out io.Writer, e *client.Execution) error {
	var err error
	if k.output == "json" {
		found, ferr := api.Find(ctx, e.ID)
		if ferr != nil {
			return ferr
		}
		err = printLine(out, struct {
			Type      string          `json:"type"`
			Execution json.RawMessage `json:"execution"`
		}{"end", found.JSON})
	} else if e.Outcome == "ok" || e.Outcome == "skipped" {
		_, err = fmt.Fprintf(out, "* %s after %s\n", e.Outcome, took(e.StartedAt, e.FinishedAt))
	}
	if err != nil {
		return err
	}
	return result(e)
}

func took(started, finished time.Time) string {
	if started.IsZero() || finished.Before(started) {
		return "no time"
	}
	return span(finished.Sub(started))
}

// result is how an execution ended, as an error.
func result(e *client.Execution) error {
	reason := ""
	if e.Reason != "" {
		reason = ": " + e.Reason
	}
	switch e.Outcome {
	case "ok", "skipped":
		return nil
	case "cancelled":
		return &exitError{exitCancelled, fmt.Errorf("execution %s was cancelled%s", e.ID, reason)}
	}
	return &exitError{exitFailed, fmt.Errorf("execution %s %s%s", e.ID, e.Outcome, reason)}
}

// tell prints the events of an execution for whom the command is asked to.
func (k *clientCommands) tell(out io.Writer, id string) func(client.Event) error {
	if k.output == "json" {
		return tellPrograms(out)
	}
	return tellPeople(out, id)
}

// tellPeople prints events line by line: logs with the step that they are of in front, everything else behind a star.
func tellPeople(out io.Writer, id string) func(client.Event) error {
	return func(e client.Event) error {
		var err error
		switch e.Kind {
		case client.EventLog:
			err = printLog(out, e.Step, e.Line)
		case client.EventStatus:
			if quiet(e) {
				return nil
			}
			name := e.Step
			if name != "" {
				name += ": "
			}
			_, err = fmt.Fprintf(out, "* %s\n", oneLine(name+withReason(e.Outcome, e.Reason)))
		case client.EventWait:
			_, err = fmt.Fprintf(out, "* %s\n", oneLine(e.Step+": a decision is awaited of "+e.Asked))
			if err == nil && e.Reason != "" {
				_, err = fmt.Fprintf(out, "    %s\n", oneLine("as things are it cannot be approved: "+e.Reason))
			}
			if err == nil && e.URL != "" {
				_, err = fmt.Fprintf(out, "    %s\n    slipway pipeline approve %s\n", oneLine(e.URL), e.Execution)
			}
		case client.EventHidden:
			_, err = fmt.Fprintf(out, "* %s\n", oneLine(e.Step+": its log is not yours to read, or is gone"))
		case client.EventLost:
			_, err = fmt.Fprintln(out, "* the server does not answer; execution "+id+" goes on, and it is asked again")
		case client.EventBack:
			_, err = fmt.Fprintln(out, "* the server answers again")
		}
		return err
	}
}

// quiet says that a status is nothing to tell people: it is told otherwise, or is over at once.
func quiet(e client.Event) bool {
	if e.Step == "" {
		return e.Outcome != "queued" // its end is told last
	}
	return e.Outcome == "new" || e.Outcome == "waiting" || e.Outcome == "abandoned" // which a step is that did not run
}

// printLog prints a line of a log.
func printLog(out io.Writer, step string, line logs.Item) error {
	text := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, line.Message)
	if step != "" {
		text = oneLine(step) + " | " + text
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// event is an event as programs see it, one to a line.
type event struct {
	Type      client.EventKind `json:"type"`
	Execution string           `json:"execution_id,omitempty"`
	Step      string           `json:"step,omitempty"`
	Line      *logs.Item       `json:"line,omitempty"`
	Outcome   string           `json:"outcome,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	URL       string           `json:"confirmation_url,omitempty"`
	Asked     string           `json:"asked,omitempty"`
}

func tellPrograms(out io.Writer) func(client.Event) error {
	return func(e client.Event) error {
		line := event{Type: e.Kind, Execution: e.Execution, Step: e.Step, Outcome: e.Outcome, Reason: e.Reason, URL: e.URL, Asked: e.Asked}
		if e.Kind == client.EventLog {
			line.Line = &e.Line
		}
		return printLine(out, line)
	}
}

func printLine(out io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

func newLogsCommand() *cobra.Command {
	k := &clientCommands{}
	var follow bool
	var tail int
	c := &cobra.Command{
		Use:   "logs EXECUTION",
		Short: "Print the log of an execution, and of all that it started",
		Long: `Print the log of an execution, and of all that it started, each line with its step in front.

With --follow the lines are printed as they come, and the command ends with the execution's result: 0 where it ended well,
1 where it failed, 3 where it was cancelled. Ctrl-C ends the command and not the execution. While the server restarts it
is asked again, for ten minutes; no line is missed or repeated. Searches and scans of assets have no log: of them the
statuses are printed.`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		if tail < 0 {
			return usageErrorf("--tail must not be less than 0")
		}
		if follow && tail > 0 {
			return usageErrorf("--tail is not for --follow, which begins with the first line")
		}
		found, err := find(ctx, api, args[0])
		if err != nil {
			return err
		}
		if follow {
			if ref, ok := found.Ref(); ok {
				return k.follow(ctx, api, c.OutOrStdout(), ref)
			}
			return k.followStatus(ctx, api, c.OutOrStdout(), found.ID)
		}
		return k.printLogs(ctx, api, k.tell(c.OutOrStdout(), found.ID), found, "", tail)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "print lines as they come, until the execution ends")
	c.Flags().IntVar(&tail, "tail", 0, "print only the last lines of each log (default: all)")
	c.ValidArgsFunction = k.completeExecutions("")
	k.flags(c)
	return c
}

// find finds an execution by its id.
func find(ctx context.Context, api *client.Client, id string) (*client.AnyExecution, error) {
	found, err := findAnswer(ctx, api, id)
	return &found.Value, err
}

// findRef is find for what can be done to builds, deployment jobs and pipelines alone; done is that, as in cancelled.
func findRef(ctx context.Context, api *client.Client, id, done string) (*client.AnyExecution, client.Ref, error) {
	found, err := find(ctx, api, id)
	if err != nil {
		return nil, client.Ref{}, err
	}
	ref, ok := found.Ref()
	if !ok {
		return nil, client.Ref{}, fmt.Errorf("executions of kind %s cannot be %s here", found.Kind, done)
	}
	return found, ref, nil
}

// findAnswer is find with the whole answer.
func findAnswer(ctx context.Context, api *client.Client, id string) (client.Answer[client.AnyExecution], error) {
	if id == "" || strings.ContainsAny(id, " /") {
		return client.Answer[client.AnyExecution]{}, usageErrorf("'%s' is no id of an execution: slipway executions lists them", id)
	}
	found, err := api.Find(ctx, id)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		err = &exitError{exitNotFound, fmt.Errorf("%s has no execution %s that you may see", api.Server(), id)}
	}
	return found, err
}

// printLogs prints the log of an execution, or those of a pipeline's steps behind each other.
func (k *clientCommands) printLogs(ctx context.Context, api *client.Client, tell func(client.Event) error, e *client.AnyExecution, name string, tail int) error {
	ref, ok := e.Ref()
	if !ok {
		if name != "" {
			return nil // a step of a kind that has no log
		}
		return fmt.Errorf("executions of kind %s have no log", e.Kind)
	}
	if e.Kind != client.KindPipeline {
		lines, err := api.LogTail(ctx, ref, tail)
		if err != nil {
			return err
		}
		for i := range lines {
			if err := tell(client.Event{Kind: client.EventLog, Execution: e.ID, Step: name, Line: lines[i]}); err != nil {
				return err
			}
		}
		return nil
	}
	run, err := api.Execution(ctx, ref)
	if err != nil || run.Pipeline == nil {
		return err
	}
	for _, phase := range run.Pipeline.Phases {
		for _, st := range phase.Steps {
			if st.ExecutionID == "" || st.Kept || st.Type == client.StepPipeline && !st.WaitForPipeline {
				continue
			}
			label := st.Name
			if name != "" {
				label = name + " / " + label
			}
			child, err := api.Find(ctx, st.ExecutionID)
			if err == nil {
				err = k.printLogs(ctx, api, tell, &child.Value, label, tail)
			}
			// The step may run in a project that the caller may not see. The others are still theirs to read.
			if client.Hidden(err) {
				err = tell(client.Event{Kind: client.EventHidden, Execution: st.ExecutionID, Step: label})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
