package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/executions"
	"slipway/internal/config"
	"slipway/models"
)

func newMigrateCommand() *cobra.Command {
	var noTemporal bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date, and register Slipway's search attributes with Temporal",
		Long: `Bring the database schema up to date, and register Slipway's search attributes with Temporal.

The database comes first and does not need Temporal. Where Temporal does not answer, the command ends with status 6 and
says so: the database is done, and the API registers the attributes itself as soon as it reaches Temporal. Executions
run without them; only the filters of Temporal's Web UI miss them. --no-temporal leaves that step out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := models.Open(ctx, string(cfg.DatabaseURL), models.Options{MaxConnections: 2})
			if err != nil {
				return err
			}
			err = s.Migrate(ctx)
			if err == nil {
				// An import that was cut off may have left the indexes of assets out.
				err = s.EnsureAssetIndexes(ctx)
			}
			if err := errors.Join(err, s.Close()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The database schema is up to date.")
			if noTemporal {
				return nil
			}
			return registerAttributes(ctx, cmd, cfg)
		},
	}
	cmd.Flags().BoolVar(&noTemporal, "no-temporal", false, "leave Temporal alone")
	return cmd
}

// temporalPatience is how long Temporal may take to answer; a variable for tests.
var temporalPatience = 10 * time.Second

func registerAttributes(ctx context.Context, cmd *cobra.Command, cfg *config.Config) error {
	c, err := executions.Connect(executions.ConnectOptions{Address: cfg.TemporalAddress, Namespace: cfg.TemporalNamespace})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, temporalPatience)
	defer cancel()
	if err := executions.RegisterSearchAttributes(ctx, c, cfg.TemporalNamespace); err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("the database is done, but Slipway's search attributes are not registered, because Temporal at %s did not do it: %w. "+
			"The API registers them when it reaches Temporal; to do it now, run slipway migrate again, and to leave it out, use --no-temporal", cfg.TemporalAddress, err)}
	}
	fmt.Fprintln(cmd.OutOrStdout(), "Temporal knows Slipway's search attributes.")
	return nil
}
