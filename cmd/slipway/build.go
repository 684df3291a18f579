package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

func newBuildCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{Use: "build", Short: "Run builds, and list them"}
	k.flags(c)
	c.AddCommand(k.buildRun(), k.buildList())
	return c
}

func (k *clientCommands) buildRun() *cobra.Command {
	var follow bool
	var what client.BuildOverrides
	c := &cobra.Command{
		Use: "run PROJECT ENVIRONMENT BUILD", Short: "Start a build", Args: cobra.ExactArgs(3), ValidArgsFunction: k.completeBuilds,
		Long: "Start a build of the tip of its branch, or of another branch or commit.\n\n" + exitText,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		ref, err := api.TriggerBuildOf(ctx, args[0], args[1], args[2], what)
		if err != nil {
			return missing(err, "build '%s' in environment '%s' of project '%s'", args[2], args[1], args[0])
		}
		return k.started(ctx, api, c, "build "+args[2], ref, follow)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, followUsage)
	c.Flags().StringVar(&what.Branch, "branch", "", "build this branch instead of the build's own")
	c.Flags().StringVar(&what.Commit, "commit", "", "build this commit instead of the tip of the branch")
	return c
}

func (k *clientCommands) buildList() *cobra.Command {
	c := &cobra.Command{
		Use: "list [PROJECT]", Short: "List the builds that you may see, or those of a project", Args: cobra.MaximumNArgs(1), ValidArgsFunction: k.completeProjects,
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		list, err := api.Builds(ctx, args...)
		if err != nil {
			return missing(err, "project '%s'", firstOf(args))
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), list.JSON)
		}
		t := table{heading: []string{"PROJECT", "ENVIRONMENT", "BUILD", "STATUS", "BRANCH", "REPOSITORY"}, narrow: []string{"BRANCH"}}
		for _, project := range sortedKeys(list.Value) {
			for _, environment := range sortedKeys(list.Value[project]) {
				for _, name := range sortedKeys(list.Value[project][environment]) {
					b := list.Value[project][environment][name]
					t.add(project, environment, name, statusOf(b.Status, b.Disabled), orDash(b.Branch), b.Repo)
				}
			}
		}
		return t.write(c.OutOrStdout(), "There are no builds that you may see.")
	})
	return c
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
