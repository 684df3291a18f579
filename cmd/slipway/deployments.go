package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

// newDeploymentsCommand makes `slipway deployments`: which version of what runs where.
func newDeploymentsCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{
		Use:   "deployments [PROJECT]",
		Short: "Show which version of what is deployed where, in a project or in all that you may see",
		Long: `Show which version of what is deployed where, in a project or in all that you may see: by environment, in the
environments' order, with who brought it there and when. slipway history tells what was there before, and slipway jobs
which jobs deploy it.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: k.completeProjects,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		projects := args
		if len(args) == 0 {
			all, err := api.Projects(ctx)
			if err != nil {
				return err
			}
			projects = sortedKeys(all.Value)
		}
		list := []client.Deployed{}
		for _, project := range projects {
			of, err := api.Deployed(ctx, project)
			if err != nil {
				return missing(err, "project '%s'", project)
			}
			list = append(list, of...)
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), list)
		}
		t := table{heading: []string{"PROJECT", "ENVIRONMENT", "DEPLOYMENT", "RELEASE", "VERSION", "STATUS", "SINCE", "BY"}, narrow: []string{"BY", "SINCE"}}
		for _, d := range list {
			since := "-"
			if d.ChangedAt != nil {
				since = ago(*d.ChangedAt, time.Now())
			}
			t.add(d.Project, d.Environment, d.Deployment, orDash(d.Release), orDash(d.Version), d.Status, since, orDash(d.ChangedBy))
		}
		return t.write(c.OutOrStdout(), "Nothing is deployed that you may see.")
	})
	k.flags(c)
	return c
}

// newHistoryCommand makes `slipway history`: what was deployed before.
func newHistoryCommand() *cobra.Command {
	k := &clientCommands{}
	var f client.HistoryFilter
	c := &cobra.Command{
		Use:   "history PROJECT ENVIRONMENT [DEPLOYMENT]",
		Short: "Show what was deployed in an environment, newest first, and by whom",
		Long: `Show what was deployed in an environment, newest first, and by whom: each deployment, build, smoke test and destruction that
has ended. slipway deploy --version takes one back. To page on with -o json, give the last id to --before.`,
		Example: "  slipway history shop prod\n  slipway history shop prod web --limit 5",
		Args:    cobra.RangeArgs(2, 3), ValidArgsFunction: k.completeJobs,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		if f.Limit < 1 || f.Limit > 1000 {
			return usageErrorf("--limit is %d, expected 1 to 1000", f.Limit)
		}
		if len(args) == 3 {
			f.Deployment = args[2]
		}
		list, err := api.History(ctx, args[0], args[1], f)
		if err != nil {
			return missing(err, "project '%s'", args[0])
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), list.JSON)
		}
		t := table{heading: []string{"WHEN", "DEPLOYMENT", "STAGE", "RELEASE", "VERSION", "STATUS", "BY"}, narrow: []string{"STAGE"}}
		for _, h := range list.Value {
			status := h.Status
			if status == "" {
				status = "destroyed"
			}
			t.add(ago(h.At, time.Now()), h.Path, h.Stage, orDash(h.Release), orDash(h.Version), status, orDash(h.ChangedBy))
		}
		return t.write(c.OutOrStdout(), "Nothing was deployed there.")
	})
	c.Flags().IntVar(&f.Limit, "limit", 20, "how many at most")
	c.Flags().StringVar(&f.Before, "before", "", "only those older than this entry")
	k.flags(c)
	return c
}
