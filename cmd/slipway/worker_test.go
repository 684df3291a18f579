package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/childprocess"
	"slipway/internal/config"
)

func TestMain(m *testing.M) {
	// Workers inside the test process start this binary again for their children, as the slipway command does.
	childprocess.Run()
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// runMain makes the test binary run slipway instead of the tests.
const runMain = "SLIPWAY_TEST_RUN_MAIN"

// A worker that is stopped while it waits for Temporal has done nothing wrong.
func TestWorkerStoppedBeforeTemporalIsThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dir := t.TempDir()
	t.Setenv("SLIPWAY_DATABASE_URL", "sqlite:"+filepath.Join(dir, "slipway.db"))
	t.Setenv("SLIPWAY_DATA_DIR", dir)
	t.Setenv("SLIPWAY_TEMPORAL_ADDRESS", l.Addr().String())
	cfg, err := config.Load("")
	require.NoError(t, err)
	a, err := app.Open(t.Context(), cfg, app.Options{Migrate: true})
	require.NoError(t, err)
	require.NoError(t, a.Close())

	// What it reaches is no Temporal; once it has tried, it is asked to end.
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		if c, err := l.Accept(); err == nil {
			l.Close()
			c.Close()
		}
	}()
	require.NoError(t, runWorker(ctx, cfg, app.WorkerOptions{}))
}

func TestWorkerQueuesAreKnown(t *testing.T) {
	queues, err := knownQueues([]string{"builds", " gpu", "builds"}, []string{"builds", "gpu"})
	require.NoError(t, err)
	require.Equal(t, []string{"builds", "gpu"}, queues)
	queues, err = knownQueues(nil, []string{"gpu"})
	require.NoError(t, err)
	require.Empty(t, queues, "no flag: the configured ones")
	for _, bad := range []string{"bulids", "", "Builds", "gpu"} {
		_, err = knownQueues([]string{"builds", bad}, nil)
		require.ErrorContains(t, err, "there is no task queue '"+bad+"': expected some of pipelines, builds, deployments")
		require.Equal(t, exitUsage, exitCode(err))
	}
}
