package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

// jobCommand is a command that has a deployment job do something.
func (k *clientCommands) jobCommand(use, short, long string, trigger func(ctx context.Context, api *client.Client, args []string) (client.Ref, error)) *cobra.Command {
	var follow bool
	c := &cobra.Command{Use: use, Short: short, Long: long + "\n\n" + exitText, Args: cobra.ExactArgs(strings.Count(use, " ")), ValidArgsFunction: k.completeJobs}
	verb := c.Name()
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		ref, err := trigger(ctx, api, args)
		if err != nil {
			return missing(err, "deployment job '%s' in environment '%s' of project '%s'", args[2], args[1], args[0])
		}
		return k.started(ctx, api, c, verb+" "+args[2]+" in "+args[1], ref, follow)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, followUsage)
	k.flags(c)
	return c
}

func newDeployCommand() *cobra.Command {
	var version string
	k := &clientCommands{}
	c := k.jobCommand("deploy PROJECT ENVIRONMENT JOB", "Have a deployment job deploy",
		`Have a deployment job deploy its release: the version that the job says, or another one this once.`,
		func(ctx context.Context, api *client.Client, args []string) (client.Ref, error) {
			return api.TriggerDeployment(ctx, args[0], args[1], args[2], version)
		})
	c.Flags().StringVar(&version, "version", "", "deploy this version this once: an exact one, a query such as latest or 1.@, or a tag")
	c.Example = "  slipway deploy shop prod web --follow\n  slipway deploy shop prod web --version 1.4.2"
	return c
}

func newJobsCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{Use: "jobs [PROJECT]", Short: "List the deployment jobs that you may see, or those of a project", Args: cobra.MaximumNArgs(1), ValidArgsFunction: k.completeProjects}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		list, err := api.DeploymentJobs(ctx, args...)
		if err != nil {
			return missing(err, "project '%s'", firstOf(args))
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), list.JSON)
		}
		t := table{heading: []string{"PROJECT", "ENVIRONMENT", "JOB", "RELEASE", "VERSION", "STATUS"}}
		for _, project := range sortedKeys(list.Value) {
			for _, environment := range sortedKeys(list.Value[project]) {
				for _, name := range sortedKeys(list.Value[project][environment]) {
					j := list.Value[project][environment][name]
					t.add(project, environment, name, j.Release, j.Version, statusOf(j.Status, j.Disabled))
				}
			}
		}
		return t.write(c.OutOrStdout(), "There are no deployment jobs that you may see.")
	})
	k.flags(c)
	return c
}

func newSmokeCommand() *cobra.Command {
	return (&clientCommands{}).jobCommand("smoke PROJECT ENVIRONMENT JOB", "Run the smoke tests of what a deployment job has deployed",
		"Run the smoke tests of what a deployment job has deployed.",
		func(ctx context.Context, api *client.Client, args []string) (client.Ref, error) {
			return api.TriggerDeploymentJob(ctx, args[0], args[1], args[2], client.Smoke)
		})
}

func newDestroyCommand() *cobra.Command {
	return (&clientCommands{}).jobCommand("destroy PROJECT ENVIRONMENT JOB", "Take down what a deployment job has deployed",
		"Take down what a deployment job has deployed, by the destroy scripts of its release. The job stays.",
		func(ctx context.Context, api *client.Client, args []string) (client.Ref, error) {
			return api.TriggerDeploymentJob(ctx, args[0], args[1], args[2], client.Destroy)
		})
}

func newErrandCommand() *cobra.Command {
	var inputs pairs
	c := (&clientCommands{}).jobCommand("errand PROJECT ENVIRONMENT JOB ERRAND", "Run an errand of what a deployment job has deployed",
		"Run an errand of what a deployment job has deployed. Inputs are given as NAME=VALUE.",
		func(ctx context.Context, api *client.Client, args []string) (client.Ref, error) {
			given := map[string]any{}
			for name, value := range inputs {
				given[name] = value
			}
			return api.RunErrand(ctx, args[0], args[1], args[2], args[3], given)
		})
	c.Flags().VarP(&inputs, "input", "i", "an input of the errand (repeatable)")
	return c
}
