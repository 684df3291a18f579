package testenv

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"slipway/internal/temporaldev"
)

// Temporal returns the Temporal server that the tests of this process share; the first call starts it. Tests keep apart by
// the names of their task queues and workflow ids, and must not stop it: for that there is [TemporalServer]. Without the
// `temporal` command the test is skipped as "temporal".
func Temporal(t testing.TB) *temporaldev.Server {
	t.Helper()
	command := temporalCommand(t)
	sharedTemporal.Lock()
	defer sharedTemporal.Unlock()
	if sharedTemporal.server == nil && sharedTemporal.err == nil {
		sharedTemporal.server, sharedTemporal.err = startSharedTemporal(command)
	}
	if sharedTemporal.err != nil {
		t.Fatal(sharedTemporal.err)
	}
	return sharedTemporal.server
}

// TemporalServer starts a Temporal server for one test, which may stop, kill and start it. It ends with the test.
func TemporalServer(t testing.TB) *temporaldev.Server {
	t.Helper()
	// Not the test's context: that ends before the test's clean-up, which may still need the server.
	server, err := temporaldev.Start(context.Background(), temporaldev.Options{Command: temporalCommand(t), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

func temporalCommand(t testing.TB) string {
	t.Helper()
	command, err := temporaldev.FindCommand()
	if err != nil {
		Unavailable(t, "temporal", err.Error())
	}
	return command
}

var sharedTemporal struct {
	sync.Mutex
	server *temporaldev.Server
	err    error
}

func startSharedTemporal(command string) (*temporaldev.Server, error) {
	dir, err := scratch()
	if err != nil {
		return nil, err
	}
	return temporaldev.Start(context.Background(), temporaldev.Options{Command: command, DataDir: filepath.Join(dir, "temporal")})
}
