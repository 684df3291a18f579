package main

import (
	"net"
	"strconv"
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
	t.Setenv("SLIPWAY_LISTEN", "0.0.0.0:0")
	d, err := startDev(t.Context(), devOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	require.Regexp(t, `^http://127\.0\.0\.1:[1-9]`, d.url, "it listens where it is configured to, and says how to get there")
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

// Whoever has another program at a port, or a second Slipway, is told which port it is and what to do.
func TestPortsInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	t.Setenv("SLIPWAY_DATABASE_URL", "")
	_, err = startDev(t.Context(), devOptions{Dir: t.TempDir(), Listen: l.Addr().String()})
	require.EqualError(t, err, l.Addr().String()+" is in use: end what listens there, perhaps another Slipway, or choose another address with --listen")
	_, err = startDev(t.Context(), devOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", UIPort: number})
	require.EqualError(t, err, "Temporal's Web UI: "+l.Addr().String()+" is in use: end what listens there, perhaps another Slipway, or choose another address with --ui-port; 0 takes a free one")
}
