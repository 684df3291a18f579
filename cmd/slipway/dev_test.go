package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
)

// Workers that stop tell Temporal what became of their work; without it they would wait until they gave up.
func TestDevEndsTemporalLast(t *testing.T) {
	if _, err := temporaldev.FindCommand(); err != nil {
		testenv.Unavailable(t, "temporal", err.Error())
	}
	t.Setenv("SLIPWAY_DATABASE_URL", "")
	d, err := startDev(t.Context(), devOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	d.cancel()
	require.NoError(t, <-d.served)
	d.served = nil
	require.NoError(t, d.worker.Stop())
	require.NoError(t, d.temporal.Restart(t.Context()), "Temporal is there until all else has ended")
	d.worker = nil
	require.NoError(t, d.stop())
	_, err = net.Dial("tcp", d.temporal.HostPort)
	require.Error(t, err)
}
