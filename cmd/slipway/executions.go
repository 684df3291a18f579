package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
	"slipway/models"
)

// outcomes are the exact statuses of executions.
var outcomes = []string{"open", "new", "queued", "running", "waiting", "ok", "failed", "cancelled", "skipped", "abandoned"}

func newExecutionsCommand() *cobra.Command {
	k := &clientCommands{}
	var f client.ExecutionFilter
	c := &cobra.Command{
		Use: "executions", Short: "List what ran and what runs, newest first",
		Long: `List what ran and what runs, newest first: everything that you may see, or what the flags leave of it.

--status takes outcomes, separated by commas: new, queued, running, waiting, ok, failed, cancelled, skipped, abandoned, or
open for all that have not ended. With -o json it is the list as the API shows it; to page on, give the last id to --before.`,
		Example: "  slipway executions --status open\n  slipway executions --project shop --kind pipeline --limit 5",
		Args:    cobra.NoArgs,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, _ []string) error {
		if f.PageSize < 1 || f.PageSize > 1000 {
			return usageErrorf("--limit is %d, expected 1 to 1000", f.PageSize)
		}
		list, err := api.Executions(ctx, f)
		if err != nil {
			return err
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), list.JSON)
		}
		return executionTable(list.Value).write(c.OutOrStdout(), "There are no such executions that you may see.")
	})
	k.flags(c)
	fl := c.Flags()
	fl.StringVar(&f.Project, "project", "", "only of this project")
	fl.StringVar(&f.Environment, "environment", "", "only in this environment of --project")
	fl.StringVar(&f.Kind, "kind", "", "only of this kind: "+strings.Join(models.ExecutionKinds, ", "))
	fl.StringVar(&f.Subject, "name", "", "only of the builds, jobs or pipelines of this name")
	fl.StringVar(&f.Status, "status", "", "only with these outcomes, separated by commas; open for all that have not ended")
	fl.StringVar(&f.PageFrom, "before", "", "only those older than this execution")
	fl.IntVar(&f.PageSize, "limit", 20, "how many at most")
	_ = c.RegisterFlagCompletionFunc("project", k.completeProjects)
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(models.ExecutionKinds, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(outcomes, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(k.executionShow())
	return c
}

func executionTable(list []client.AnyExecution) *table {
	now := time.Now()
	t := &table{heading: []string{"EXECUTION", "KIND", "PROJECT", "ENVIRONMENT", "NAME", "#", "STATUS", "STARTED", "TOOK", "BY", "REASON"}, narrow: []string{"BY", "TOOK", "KIND", "ENVIRONMENT", "PROJECT", "STARTED"}}
	for i := range list {
		e := &list[i]
		length := "-"
		switch {
		case e.StartedAt != nil && e.FinishedAt != nil:
			length = span(e.FinishedAt.Sub(*e.StartedAt))
		case e.StartedAt != nil:
			length = span(now.Sub(*e.StartedAt))
		}
		t.add(e.ID, e.Kind, orDash(e.Project), orDash(e.Environment), e.Subject, strconv.FormatInt(e.Number, 10), e.Outcome, ago(e.CreatedAt, now), length, orDash(e.Trigger.SubjectName), e.Reason)
	}
	return t
}

func (k *clientCommands) executionShow() *cobra.Command {
	c := &cobra.Command{Use: "show EXECUTION", Short: "Show one execution, and those that it started", Args: cobra.ExactArgs(1), ValidArgsFunction: k.completeExecutions("")}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		found, err := findAnswer(ctx, api, args[0])
		if err != nil {
			return err
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), found.JSON)
		}
		e, now := &found.Value, time.Now()
		t := table{heading: []string{"Execution", e.ID}}
		line := func(name, value string) {
			if value != "" {
				t.add(name, value)
			}
		}
		line("Of", fmt.Sprintf("%s %s, number %d", e.Kind, e.Subject, e.Number))
		line("Project", e.Project)
		line("Environment", e.Environment)
		line("Status", withReason(e.Outcome, e.Reason))
		line("Started", ago(e.CreatedAt, now)+by(e.Trigger))
		if e.StartedAt != nil && e.FinishedAt != nil {
			line("Took", span(e.FinishedAt.Sub(*e.StartedAt)))
		}
		line("Retry of", e.RetryOf)
		line("Part of", e.Parent)
		if e.Commit != nil {
			line("Commit", e.Commit.Revision+" "+e.Commit.Branch)
		}
		line("Release", e.Result.Release)
		for _, r := range e.Result.Releases {
			note := ""
			if r.Skipped {
				note = " (was there already)"
			}
			line("Release", r.Release+note)
		}
		if err := t.write(c.OutOrStdout(), ""); err != nil || len(e.Children) == 0 {
			return err
		}
		fmt.Fprintln(c.OutOrStdout())
		return executionTable(e.Children).write(c.OutOrStdout(), "")
	})
	return c
}

func newCancelCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{
		Use: "cancel EXECUTION", Short: "Ask for an execution to end", Args: cobra.ExactArgs(1), ValidArgsFunction: k.completeExecutions(""),
		Long: `Ask for an execution to end. Its scripts get SIGTERM, a grace period and then SIGKILL; what it started ends with it.
A second call changes nothing.`,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		found, ref, err := findRef(ctx, api, args[0], "cancelled")
		if err != nil {
			return err
		}
		if found.Ended() {
			return fmt.Errorf("execution %s has ended already: %s", found.ID, withReason(found.Outcome, found.Reason))
		}
		if err := api.Cancel(ctx, ref); err != nil {
			return err
		}
		if k.output == "json" {
			return printLine(c.OutOrStdout(), map[string]string{"id": found.ID})
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "Execution %s of %s %s was asked to end.\n", found.ID, found.Kind, oneLine(found.Subject))
		return err
	})
	k.flags(c)
	return c
}

func newRetryCommand() *cobra.Command {
	k := &clientCommands{}
	var from string
	var follow bool
	c := &cobra.Command{
		Use: "retry EXECUTION", Short: "Run an execution that has ended again", Args: cobra.ExactArgs(1), ValidArgsFunction: k.completeExecutions(""),
		Long: `Run an execution that has ended again, as a new one. A pipeline goes on from the phase that failed and keeps what succeeded;
--from start runs all of it, --from STEP goes on from that step.

` + exitText,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		found, ref, err := findRef(ctx, api, args[0], "retried")
		if err != nil {
			return err
		}
		if from != "" && found.Kind != client.KindPipeline {
			return usageErrorf("--from is for pipelines, and this is a %s", found.Kind)
		}
		again, err := api.RetryFrom(ctx, ref, from)
		if err != nil {
			return err
		}
		return k.started(ctx, api, c, found.Kind+" "+oneLine(found.Subject)+", which retries number "+strconv.FormatInt(found.Number, 10), again, follow)
	})
	c.Flags().StringVar(&from, "from", "", "start, or the name of a step (pipelines only)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, followUsage)
	k.flags(c)
	return c
}
