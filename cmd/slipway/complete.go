package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

// completionTime bounds what a shell waits for after a Tab.
const completionTime = 2 * time.Second

// completion gives the words that may come next, and what they are, in cobra's form "word\tdescription".
type completion = func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective)

// complete asks the API for words. What goes wrong gives none: a shell has no place for errors.
func (k *clientCommands) complete(c *cobra.Command, ask func(ctx context.Context, api *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	parent := c.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionTime)
	defer cancel()
	api, err := k.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	words, err := ask(ctx, api)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	kept, err := openContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, name := range sortedKeys(kept.Contexts) {
		words = append(words, name+"\t"+kept.Contexts[name].URL)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeProjects completes a project as the only argument, or as a flag's value.
func (k *clientCommands) completeProjects(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return k.complete(c, projectNames)
}

func projectNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Projects(ctx)
	return sortedKeys(list.Value), err
}

// completePipelines completes PROJECT PIPELINE.
func (k *clientCommands) completePipelines(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return k.complete(c, func(ctx context.Context, api *client.Client) ([]string, error) {
		switch len(args) {
		case 0:
			list, err := api.Pipelines(ctx)
			return sortedKeys(list.Value), err
		case 1:
			list, err := api.PipelinesOf(ctx, args[0])
			return sortedKeys(list.Value), err
		}
		return nil, nil
	})
}

// completeBuilds completes PROJECT ENVIRONMENT BUILD.
func (k *clientCommands) completeBuilds(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return k.complete(c, func(ctx context.Context, api *client.Client) ([]string, error) {
		list, err := api.Builds(ctx, args[:min(1, len(args))]...)
		return below(list.Value, args), err
	})
}

// completeJobs completes PROJECT ENVIRONMENT JOB.
func (k *clientCommands) completeJobs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return k.complete(c, func(ctx context.Context, api *client.Client) ([]string, error) {
		list, err := api.DeploymentJobs(ctx, args[:min(1, len(args))]...)
		return below(list.Value, args), err
	})
}

// below are the names at the place in a tree of project, environment and name that args lead to.
func below[V any](tree map[string]map[string]map[string]V, args []string) []string {
	switch len(args) {
	case 0:
		return sortedKeys(tree)
	case 1:
		return sortedKeys(tree[args[0]])
	case 2:
		return sortedKeys(tree[args[0]][args[1]])
	}
	return nil
}

// completeExecutions completes the id of an execution: the newest ones.
func (k *clientCommands) completeExecutions(kind string) completion {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && kind == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return k.complete(c, func(ctx context.Context, api *client.Client) ([]string, error) {
			list, err := api.Executions(ctx, client.ExecutionFilter{Kind: kind, PageSize: 20})
			var words []string
			for _, e := range list.Value {
				words = append(words, e.ID+"\t"+oneLine(e.Kind+" "+e.Subject+" "+e.Outcome))
			}
			return words, err
		})
	}
}

// completeApprovals completes the id of an execution that waits for the caller's decision.
func (k *clientCommands) completeApprovals(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return k.complete(c, func(ctx context.Context, api *client.Client) ([]string, error) {
		list, err := api.PendingConfirmations(ctx, client.PendingFilter{PageSize: 20})
		var words []string
		for _, w := range list.Value {
			words = append(words, w.Execution+"\t"+oneLine(w.Pipeline+": "+w.Step))
		}
		return words, err
	})
}
