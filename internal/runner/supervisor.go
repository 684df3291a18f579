package runner

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Options configure a Supervisor.
type Options struct {
	// Argv starts the supervisor process; it must end in a call of SuperviseMain. The default is this program's own
	// file with the argument "supervise".
	Argv []string
	// Env is added to the base environment of every script: what the operator configured, such as a proxy or PATH.
	Env map[string]string
	// Lease is how long this process may stand still (a SIGSTOP, a starved machine) before its scripts are killed: by
	// then others may have taken over what it ran. 0 means for ever.
	Lease time.Duration
}

// Supervisor runs scripts. It is safe for concurrent use; one per worker process is enough.
type Supervisor struct {
	options Options

	mu     sync.Mutex
	link   *link
	closed bool
}

// Start starts the supervisor process.
func Start(options Options) (*Supervisor, error) {
	if len(options.Argv) == 0 {
		// Not os.Executable: its path may hold a newer version by the time the supervisor is started again.
		options.Argv = []string{"/proc/self/exe", "supervise"}
	}
	s := &Supervisor{options: options}
	_, err := s.connect()
	return s, err
}

// PID is the process id of the supervisor, or 0 when none runs.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return 0
	}
	return s.link.process.Process.Pid
}

// Close kills every script that still runs and ends the supervisor process. Open calls of Run return.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	l := s.link
	s.link, s.closed = nil, true
	s.mu.Unlock()
	if l != nil {
		_ = l.conn.CloseWrite() // a connection that is broken says the same
		<-l.ended
	}
	return nil
}

// connect returns the connection to a living supervisor, starting one if there is none.
func (s *Supervisor) connect() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.link != nil && s.link.alive() {
		return s.link, nil
	}
	l, err := newLink(s.options.Argv)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor of scripts: %w", err)
	}
	s.link = l
	if s.options.Lease > 0 {
		go l.keepAlive(s.options.Lease)
	}
	return l, nil
}

// link is one supervisor process and the scripts it runs.
type link struct {
	process *exec.Cmd
	conn    *descriptorConn
	lost    chan struct{} // closed when the supervisor is gone and its groups were killed
	ended   chan struct{} // closed when the supervisor process has been collected as well

	sending  sync.Mutex // guards requests
	requests *gob.Encoder

	mu   sync.Mutex // guards the rest
	next uint64
	runs map[uint64]*run
	down bool
}

// run is one script in the hands of a supervisor.
type run struct {
	id      uint64
	pid     int
	started chan reply // one value
	exited  chan exitReply
}

func newLink(argv []string) (*link, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "supervisor"), os.NewFile(uintptr(pair[1]), "worker")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	l := &link{
		process: exec.Command(argv[0], argv[1:]...),
		conn:    &descriptorConn{UnixConn: conn.(*net.UnixConn)},
		lost:    make(chan struct{}), ended: make(chan struct{}),
		runs: map[uint64]*run{},
	}
	l.requests = gob.NewEncoder(l.conn)
	l.process.ExtraFiles = []*os.File{theirs} // becomes descriptor 3
	l.process.Stderr = os.Stderr
	// The supervisor idles nearly always: one thread of Go code and an early collection keep it small.
	l.process.Env = []string{"PATH=" + orElse(os.Getenv("PATH"), defaultPath), "GOMAXPROCS=1", "GOGC=50"}
	l.process.Dir = "/"
	l.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := l.process.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	go l.receive()
	return l, nil
}

func (l *link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.down
}

// keepAlive renews the lease until the supervisor is gone.
func (l *link) keepAlive(lease time.Duration) {
	tick := time.NewTicker(lease / 5)
	defer tick.Stop()
	for {
		l.sending.Lock()
		err := l.requests.Encode(request{Alive: lease})
		l.sending.Unlock()
		if err != nil {
			return // the receiver sees it too
		}
		select {
		case <-tick.C:
		case <-l.lost:
			return
		}
	}
}

// receive hands replies to their runs until the supervisor is gone, then ends what it left behind.
func (l *link) receive() {
	replies := gob.NewDecoder(l.conn)
	for {
		var r reply
		if err := replies.Decode(&r); err != nil {
			break
		}
		l.mu.Lock()
		script := l.runs[r.ID]
		if script != nil && r.PID != 0 {
			script.pid = r.PID
		}
		if r.Exited != nil || r.Error != "" {
			delete(l.runs, r.ID)
		}
		l.mu.Unlock()
		switch {
		case script == nil:
		case r.Exited != nil:
			script.exited <- *r.Exited
		default:
			script.started <- r
		}
	}
	l.mu.Lock()
	l.down = true
	var groups []int
	for _, script := range l.runs {
		// A start that was never answered leaves no group to name here; the parent-death signal ends that script.
		if script.pid != 0 {
			groups = append(groups, script.pid)
		}
	}
	l.mu.Unlock()
	killGroups(groups)
	l.conn.Close()
	close(l.lost)
	_ = l.process.Wait()
	close(l.ended)
}

// killGroups ends groups whose supervisor is gone and waits until nothing of them runs.
func killGroups(groups []int) {
	deadline := time.Now().Add(killLimit)
	for _, group := range groups {
		for pause := time.Millisecond; time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
			if errors.Is(syscall.Kill(-group, syscall.SIGKILL), syscall.ESRCH) || groupGone(group) {
				break
			}
			time.Sleep(pause)
		}
	}
}

// start asks for a script. The descriptors are its standard streams; they stay open here.
func (l *link) start(r *startRequest, fds [3]int) (*run, error) {
	script := &run{started: make(chan reply, 1), exited: make(chan exitReply, 1)}
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return nil, ErrSupervisorLost
	}
	l.next++
	script.id = l.next
	l.runs[script.id] = script
	l.mu.Unlock()

	l.sending.Lock()
	l.conn.outgoing = fds[:]
	err := l.requests.Encode(request{ID: script.id, Start: r})
	l.sending.Unlock()
	if err != nil {
		// The receiver sees the broken socket too and marks the supervisor as lost.
		l.conn.Close()
		return nil, ErrSupervisorLost
	}
	return script, nil
}

func (l *link) stop(script *run, grace time.Duration) {
	l.sending.Lock()
	defer l.sending.Unlock()
	_ = l.requests.Encode(request{ID: script.id, Stop: &stopRequest{Grace: grace}})
}

// killKey is where a context keeps the channel of WithKill.
type killKey struct{}

// WithKill gives a context and a function that ends it with a cause, and lets Run send SIGKILL at once, also where a script
// has its grace period already because the context was cancelled or its time was over. It is for a worker that may have been
// given up by the server: another one may be about to run the same script. Only the first call of kill counts.
func WithKill(ctx context.Context) (_ context.Context, kill context.CancelCauseFunc) {
	killed := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, killKey{}, (<-chan struct{})(killed)))
	var once sync.Once
	return ctx, func(cause error) {
		once.Do(func() {
			close(killed) // before the context ends: who sees the one sees the other
			cancel(cause)
		})
	}
}

// ErrSilent says that a script was killed because this process stood still for longer than its lease. What the script
// had done until then is unknown.
var ErrSilent = errors.New("the worker stood still for too long, so the script was killed")

// Run runs a script to its end. The error is a *StartError when nothing of it ran, ErrSupervisorLost when its
// supervisor died, or an error of an output writer; everything else that can happen to a script is told by Exit.
//
// When ctx ends, the timeout passes, or too much is printed, the group gets SIGTERM, the grace period and SIGKILL (or
// SIGKILL at once for output), and Run returns only when no process of the group is left. After an exit of its own the
// group is left alone, and output that a background process may still write is awaited for two seconds.
func (s *Supervisor) Run(ctx context.Context, c Command, out Output) (Exit, error) {
	if ctx.Err() != nil {
		return Exit{Code: -1, Cancelled: true}, nil
	}
	program := "the script"
	if len(c.Argv) > 0 {
		program = c.Argv[0]
	}
	env, err := environment(s.options.Env, c)
	if err != nil {
		return Exit{Code: -1}, &StartError{Program: program, Cause: err.Error()}
	}
	streams, err := openStreams(c, out)
	if err != nil {
		return Exit{Code: -1}, &StartError{Program: program, Cause: plain(err)}
	}
	defer streams.close()

	l, err := s.connect()
	if err != nil {
		return Exit{Code: -1}, err
	}
	began := time.Now()
	script, err := l.start(&startRequest{
		Argv: c.Argv, Env: env, Dir: c.Dir, UID: c.UID, GID: c.GID, Limits: c.Limits,
	}, streams.theirs)
	streams.closeTheirs()
	if err != nil {
		return Exit{Code: -1}, err
	}
	select {
	case r := <-script.started:
		if r.Error != "" {
			return Exit{Code: -1}, &StartError{Program: program, Cause: r.Error}
		}
	case <-l.lost:
		return Exit{Code: -1}, ErrSupervisorLost
	}
	streams.start()
	return s.follow(ctx, l, script, c, streams, began)
}

// follow waits for the end of a started script and ends it when a limit is reached.
func (s *Supervisor) follow(ctx context.Context, l *link, script *run, c Command, streams *streams, began time.Time) (Exit, error) {
	exit := Exit{timeout: c.Timeout, limit: c.OutputLimit}
	grace := c.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	var timeout <-chan time.Time
	if c.Timeout > 0 {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	cancelled, broken := ctx.Done(), streams.broken
	kill, _ := ctx.Value(killKey{}).(<-chan struct{})
	var killed <-chan struct{} // kill, once the script has its grace period
	var ended exitReply
	for waiting := true; waiting; {
		select {
		case ended = <-script.exited:
			waiting = false
		case <-l.lost:
			streams.finish(0)
			return Exit{Code: -1, Duration: time.Since(began)}, ErrSupervisorLost
		case <-cancelled:
			// Only the first reason counts: what comes later is a consequence of it.
			exit.Cancelled, cancelled, timeout, broken = true, nil, nil, nil
			select {
			case <-kill:
				l.stop(script, 0)
			default:
				killed = kill
				l.stop(script, grace)
			}
		case <-killed:
			killed = nil
			l.stop(script, 0)
		case <-timeout:
			exit.TimedOut, timeout, broken = true, nil, nil
			cancelled, killed = nil, kill
			l.stop(script, grace)
		case <-broken:
			exit.OutputLimit = streams.overLimit()
			cancelled, timeout, broken = nil, nil, nil
			l.stop(script, 0)
		}
	}
	if ended.Silent {
		streams.finish(0)
		return Exit{Code: -1, Duration: time.Since(began)}, ErrSilent
	}
	exit.Duration, exit.Survivors = max(0, ended.At.Sub(began)), ended.Survivors
	if !ended.Stopped {
		// It ended by itself before the request to stop arrived.
		exit.Cancelled, exit.TimedOut = false, false
	}
	if ended.Status.Signaled() {
		exit.Code, exit.Signal = -1, ended.Status.Signal()
	} else {
		exit.Code = ended.Status.ExitStatus()
	}

	wait := lateOutput
	if ended.Stopped {
		wait = stoppedOutput
	}
	streams.finishOrCancelled(ctx, wait)
	// A short script may have printed too much before anyone could stop it.
	if !exit.Cancelled && !exit.TimedOut {
		exit.OutputLimit = streams.overLimit()
	}
	return exit, streams.err()
}
