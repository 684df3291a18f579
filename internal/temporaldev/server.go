// Package temporaldev runs a Temporal server as a child process: the `temporal` command's development server with its Web
// UI, tuned for one machine, on loopback, with its data in one folder. It is what `slipway dev`, the demo and the tests
// stand on; a real installation runs its own Temporal cluster.
//
// The child is watched. When it dies, or stays unhealthy, it is started again on the same ports with a growing pause
// between attempts. It ends with its parent, also when the parent is killed (Linux).
package temporaldev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

const (
	failuresToKill = 6 // checks in a row that fail before the server is taken for hung
	firstBackoff   = 200 * time.Millisecond
	maxBackoff     = 10 * time.Second
	stableAfter    = time.Minute // a server that ran this long starts again without a pause
	startAttempts  = 3           // when ports were free a moment ago but are not any more
)

// Server is a running Temporal server. Its addresses stay the same for its whole life.
type Server struct {
	// HostPort is the address of the gRPC frontend, as the SDK's client wants it.
	HostPort string
	// UIURL is the address of the Web UI.
	UIURL string

	options      Options
	port, uiPort int
	lock, log    *os.File
	requests     chan request
	cancel       context.CancelFunc
	done         chan struct{}
	pid          atomic.Int64
	restarts     atomic.Int64
	stopOnce     sync.Once
}

type request struct {
	kind  requestKind
	reply chan error
}

type requestKind int

const (
	requestKill requestKind = iota
	requestRestart
)

// ErrStopped says that the server was stopped, or that the context given to Start has ended.
var ErrStopped = errors.New("the Temporal server is stopped")

// Start starts the server and returns when it is healthy. The server runs until [Server.Stop] or until ctx ends; then the
// child gets SIGTERM and, after the grace period, SIGKILL.
//
// It fails with [ErrNoCommand], with [ErrInUse], or with the last lines of the server's log when that does not come up.
func Start(ctx context.Context, options Options) (*Server, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("temporal server: data folder: %w", err)
	}
	s := &Server{options: options, requests: make(chan request), done: make(chan struct{})}
	if s.lock, err = lockFolder(ctx, options.DataDir); err != nil {
		return nil, err
	}
	if s.log, err = openLog(options.DataDir); err != nil {
		s.lock.Close()
		return nil, err
	}
	child, err := s.firstLaunch(ctx)
	if err != nil {
		s.closeFiles()
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.supervise(ctx, child)
	return s, nil
}

func (s *Server) closeFiles() {
	s.log.Close()
	s.lock.Close()
}

// firstLaunch picks ports and starts the child. A port that was free may be taken when the child binds it, so another is
// tried unless the caller named it.
func (s *Server) firstLaunch(ctx context.Context) (*process, error) {
	for attempt := 1; ; attempt++ {
		s.port, s.uiPort = s.options.Port, s.options.UIPort
		var err error
		if s.port == 0 {
			if s.port, err = freePort(); err != nil {
				return nil, err
			}
		}
		for s.uiPort == 0 || s.uiPort == s.port {
			if s.uiPort, err = freePort(); err != nil {
				return nil, err
			}
		}
		s.HostPort, s.UIURL = loopback(s.port), "http://"+loopback(s.uiPort)
		child, err := s.launch(ctx)
		if err == nil {
			return child, nil
		}
		if !errors.Is(err, errExited) || attempt == startAttempts || ctx.Err() != nil {
			return nil, err
		}
	}
}

// launch starts the child once and waits until it is healthy.
func (s *Server) launch(ctx context.Context) (*process, error) {
	if err := s.options.removeUnfinishedDatabase(); err != nil {
		return nil, err
	}
	offset := int64(0)
	if info, err := s.log.Stat(); err == nil {
		offset = info.Size()
	}
	cmd := exec.Command(s.options.Command, s.options.arguments(s.port, s.uiPort)...)
	cmd.Dir = s.options.DataDir
	cmd.Env = s.options.environment()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.ExtraFiles = []*os.File{s.lock}
	began := time.Now()
	child, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("temporal server: start %s: %w", s.options.Command, err)
	}
	if err := waitHealthy(ctx, child, s.options, s.HostPort, loopback(s.uiPort)); err != nil {
		child.kill()
		if text := tail(s.log, offset); text != "" {
			return nil, fmt.Errorf("temporal server: %w; its last lines:\n%s", err, text)
		}
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	if err := s.options.markReady(); err != nil {
		child.kill()
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	s.pid.Store(int64(child.pid))
	s.options.Logger.Info("Temporal server is up", "address", s.HostPort, "ui", s.UIURL, "pid", child.pid,
		"took", time.Since(began).Round(time.Millisecond))
	return child, nil
}

// supervise owns the child until ctx ends.
func (s *Server) supervise(ctx context.Context, child *process) {
	defer close(s.done)
	defer s.closeFiles()
	defer s.cancel()

	health := time.NewTicker(s.options.checkEvery)
	defer health.Stop()
	var (
		upSince  = time.Now()
		backoff  = firstBackoff
		failures = 0
		retry    <-chan time.Time // nil unless a start is due
	)
	down := func() { child = nil; s.pid.Store(0) }
	start := func() error {
		next, err := s.launch(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.options.Logger.Error("Temporal server did not start", "error", err, "again_in", backoff)
				retry = time.After(backoff)
				backoff = min(2*backoff, maxBackoff)
			}
			return err
		}
		child, upSince, failures = next, time.Now(), 0
		s.restarts.Add(1)
		return nil
	}

	for {
		var exited <-chan struct{}
		if child != nil {
			exited = child.exited
		}
		select {
		case <-ctx.Done():
			if child != nil {
				child.stop(s.options.StopGrace)
				down()
			}
			return

		case <-exited:
			s.options.Logger.Error("Temporal server ended, it is started again", "pid", child.pid, "state", child.state)
			down()
			if time.Since(upSince) >= stableAfter {
				backoff = firstBackoff
			}
			retry = time.After(backoff)
			backoff = min(2*backoff, maxBackoff)

		case <-retry:
			retry = nil
			_ = start()

		case <-health.C:
			if child == nil {
				continue
			}
			if err := checkHealth(ctx, s.options, s.HostPort); err == nil {
				failures = 0
			} else if failures++; failures >= failuresToKill {
				s.options.Logger.Error("Temporal server does not answer, it is killed", "pid", child.pid, "error", err)
				child.kill()
			}

		case r := <-s.requests:
			retry = nil
			switch r.kind {
			case requestKill:
				if child != nil {
					child.kill()
					down()
				}
				r.reply <- nil
			case requestRestart:
				if child != nil {
					child.stop(s.options.StopGrace)
					down()
				}
				r.reply <- start()
			}
		}
	}
}

// Stop ends the server and returns when its process is gone. Calling it again does nothing.
func (s *Server) Stop() {
	s.stopOnce.Do(s.cancel)
	<-s.done
}

// Done is closed when the server has ended for good.
func (s *Server) Done() <-chan struct{} { return s.done }

// Kill ends the child with SIGKILL and leaves it down until [Server.Restart]: an outage, for tests.
func (s *Server) Kill() error { return s.ask(context.Background(), requestKill) }

// Restart stops the child if it runs, starts it again on the same ports and data, and returns when it is healthy.
func (s *Server) Restart(ctx context.Context) error { return s.ask(ctx, requestRestart) }

func (s *Server) ask(ctx context.Context, kind requestKind) error {
	r := request{kind: kind, reply: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-s.done:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.reply:
		return err
	case <-s.done:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// PID is the process id of the child, or 0 while it is down.
func (s *Server) PID() int { return int(s.pid.Load()) }

// Restarts counts how often the child was started again since Start.
func (s *Server) Restarts() int { return int(s.restarts.Load()) }

// Ready returns nil when the server is healthy now.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.done:
		return ErrStopped
	default:
	}
	if s.PID() == 0 {
		return errors.New("the Temporal server is down")
	}
	return checkHealth(ctx, s.options, s.HostPort)
}
