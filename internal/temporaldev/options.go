package temporaldev

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options say where and how the Temporal server runs.
type Options struct {
	// Command is the path of the `temporal` command. Empty: see [FindCommand].
	Command string
	// DataDir is the folder for the server's database, its log and its lock. It is made (mode 0700) when it is
	// missing. Required. One server at a time can use a folder.
	DataDir string
	// Port and UIPort are the loopback ports of the gRPC frontend and of the Web UI. 0 means any free port, chosen
	// anew at every Start.
	Port, UIPort int
	// Namespace is made at the first start. Empty means "default", which always exists.
	Namespace string
	// Retention is how long closed workflows stay visible. 0 means a week.
	Retention time.Duration
	// CodecEndpoint is the URL at which the Web UI has encrypted payloads decoded. Empty: none.
	CodecEndpoint string
	// StartTimeout bounds one attempt to become healthy. 0 means one minute, enough for a busy two-core machine.
	StartTimeout time.Duration
	// StopGrace is how long the server may take to end after SIGTERM before it is killed. 0 means ten seconds.
	StopGrace time.Duration
	// Logger gets what happens to the child process. The server's own lines go to the file LogFile. nil: discarded.
	Logger *slog.Logger

	checkEvery   time.Duration // between health checks of a running server; tests shorten it
	checkTimeout time.Duration // for one health check
}

// LogFile is the name of the server's log inside [Options.DataDir].
const LogFile = "temporal.log"

// databaseFile is relative on purpose: the child runs inside DataDir, so that no character of the folder's path can be
// misread as part of SQLite's connection string.
const databaseFile = "temporal.db"

// readyFile marks a database that a healthy server has used. The command sets up the schema only when the database file
// is missing, so a server killed during its very first start leaves a file that never works again; without the mark the
// file is removed before the next attempt.
const readyFile = "temporal.ready"

func (o Options) withDefaults() (Options, error) {
	if o.DataDir == "" {
		return o, errors.New("temporal server: no data folder given")
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fmt.Errorf("temporal server: data folder: %w", err)
	}
	o.DataDir = dir
	if o.Command == "" {
		if o.Command, err = FindCommand(); err != nil {
			return o, err
		}
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Retention == 0 {
		o.Retention = 7 * 24 * time.Hour
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	if o.StopGrace == 0 {
		o.StopGrace = 10 * time.Second
	}
	if o.checkEvery == 0 {
		o.checkEvery = 5 * time.Second
	}
	if o.checkTimeout == 0 {
		o.checkTimeout = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// removeUnfinishedDatabase clears the remains of a first start that never finished.
func (o Options) removeUnfinishedDatabase() error {
	_, err := os.Stat(filepath.Join(o.DataDir, readyFile))
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		err := os.Remove(filepath.Join(o.DataDir, databaseFile+suffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("temporal server: remove unfinished database: %w", err)
		}
	}
	return nil
}

func (o Options) markReady() error {
	return os.WriteFile(filepath.Join(o.DataDir, readyFile), nil, 0o600)
}
