package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/api"
	"slipway/app"
	"slipway/internal/config"
)

// surfaceNames are those of the route table, which a test compares.
var surfaceNames = []string{"assets", "packages", "releases", "state", "own"}

func newRoutesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "routes",
		Short: "Print the route table: method, path, operation, permission, surface",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTable(cmd.Context(), func(groups []api.Group) error {
				_, err := cmd.OutOrStdout().Write(api.Routes(groups))
				return err
			})
		},
	}
}

func newOpenAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:               "openapi SURFACE",
		Short:             "Print the OpenAPI document of a surface",
		Long:              "Print the OpenAPI document of a surface: " + strings.Join(surfaceNames, ", ") + ".",
		ValidArgsFunction: cobra.FixedCompletions(surfaceNames, cobra.ShellCompDirectiveNoFileComp),
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTable(cmd.Context(), func(groups []api.Group) error {
				for _, g := range groups {
					if g.Surface.Name != args[0] {
						continue
					}
					doc, err := api.OpenAPI(g)
					if err != nil {
						return err
					}
					_, err = cmd.OutOrStdout().Write(doc)
					return err
				}
				return fmt.Errorf("there is no surface %q: expected one of %s", args[0], strings.Join(surfaceNames, ", "))
			})
		},
	}
}

// withTable builds the route table over an empty scratch database: it is the same whatever is configured.
func withTable(ctx context.Context, f func([]api.Group) error) (err error) {
	dir, err := os.MkdirTemp("", "slipway-routes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := config.Defaults()
	cfg.DataDir, cfg.DatabaseURL = dir, config.Secret("sqlite:"+filepath.Join(dir, "db"))
	cfg.LogLevel = "error"
	if err := cfg.Check(); err != nil {
		return err
	}
	a, err := app.Open(ctx, cfg, app.Options{Migrate: true, Process: "routes"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s, err := a.API()
	if err != nil {
		return err
	}
	return f(s.Groups())
}
