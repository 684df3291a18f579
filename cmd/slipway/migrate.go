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
		Args:  cobra.NoArgs,
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

func registerAttributes(ctx context.Context, cmd *cobra.Command, cfg *config.Config) error {
	c, err := executions.Connect(executions.ConnectOptions{Address: cfg.TemporalAddress, Namespace: cfg.TemporalNamespace})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := executions.RegisterSearchAttributes(ctx, c, cfg.TemporalNamespace); err != nil {
		return fmt.Errorf("register search attributes with Temporal at %s (use --no-temporal to leave this out): %w", cfg.TemporalAddress, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "Temporal knows Slipway's search attributes.")
	return nil
}
