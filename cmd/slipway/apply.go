package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

func newApplyCommand() *cobra.Command {
	k := &clientCommands{}
	var dryRun bool
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make a project what a file says: environments, builds, jobs, pipelines, schedules",
		Long: `Make a project what a YAML file says: its environments, builds, deployment jobs, pipelines and schedules. What is missing
is added, what differs is changed, in the file's order. Nothing is deleted, and members that the file leaves out stay as
they are, so that the same file can be applied again and again. docs/projects.md has its form. - is standard input.`,
		Example: "  slipway apply slipway.yaml --dry-run\n  slipway apply slipway.yaml",
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		d, err := readDefinition(c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		done := []client.Change{}
		err = api.Apply(ctx, d, dryRun, func(change client.Change) {
			done = append(done, change)
			if k.output != "json" {
				fmt.Fprintln(c.OutOrStdout(), changeText(change, dryRun))
			}
		})
		if k.output == "json" {
			if jsonErr := writeJSON(c.OutOrStdout(), done); jsonErr != nil {
				return jsonErr
			}
		}
		return err
	})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	k.flags(c)
	return c
}

func readDefinition(stdin io.Reader, file string) (*client.Definition, error) {
	if file == "-" {
		return client.ReadDefinition(stdin, ".")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := client.ReadDefinition(f, filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// changeText tells people of a change: "changed pipeline ship: phases".
func changeText(change client.Change, dryRun bool) string {
	action := change.Action
	if dryRun && action != client.Unchanged {
		action = "would be " + action
	}
	text := fmt.Sprintf("%s %s: %s", change.Kind, oneLine(change.Name), action)
	if change.Environment != "" {
		text = fmt.Sprintf("%s %s in %s: %s", change.Kind, oneLine(change.Name), oneLine(change.Environment), action)
	}
	if len(change.Members) > 0 {
		text += " (" + strings.Join(change.Members, ", ") + ")"
	}
	return text
}
