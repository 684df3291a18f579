package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"slipway/internal/demo"
)

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Take a sample from source to production on a scratch stack, and clean up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), demo.Options{Out: cmd.OutOrStdout(), Start: startScratch})
		},
	}
}

// startScratch starts the embedded stack on free ports in a folder of its own, which is removed with it.
func startScratch(ctx context.Context) (apiURL, token string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "slipway-stack-")
	if err != nil {
		return "", "", nil, err
	}
	d, err := startDev(ctx, devOptions{Dir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0"})
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", "", nil, err
	}
	return d.url, d.token, func() error {
		defer os.RemoveAll(dir)
		return d.stop()
	}, nil
}
