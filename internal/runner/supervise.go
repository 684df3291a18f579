package runner

import (
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/footprint"
)

const (
	// supervisorFD is the descriptor of the socket to the worker.
	supervisorFD = 3
	// killLimit bounds the wait for a killed group. SIGKILL cannot be refused, but a program that changed its user
	// cannot be signalled, and one that hangs in the kernel dies late.
	killLimit = 5 * time.Second
)

// SuperviseMain is the whole of the hidden command "slipway supervise". It serves the worker at the other end of
// descriptor 3 until that closes, then kills every group and returns the exit code for the process.
func SuperviseMain() int {
	// Scripts are started from this thread alone: the parent-death signal is tied to the thread, not to the process.
	runtime.LockOSThread()

	// A terminal's Ctrl-C is for the worker, which ends scripts in its own order. The signals are caught rather than
	// ignored because children inherit "ignored", and a script that ignores SIGTERM could not be cancelled gently.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1,
		syscall.SIGUSR2, syscall.SIGALRM)

	// Whatever the worker itself inherited open must not reach scripts either.
	_ = unix.CloseRange(supervisorFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	file := os.NewFile(supervisorFD, "worker")
	conn, err := net.FileConn(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway supervise is started by a worker, not by hand:", err)
		return 2
	}
	file.Close()
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		fmt.Fprintln(os.Stderr, "slipway supervise: descriptor 3 is not a socket of the worker")
		return 2
	}

	// Orphans of a script come to this process instead of to init, so that the end of a group is seen exactly.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "slipway supervise: become subreaper:", err)
		return 2
	}
	// It lives as long as its worker and uses next to nothing.
	footprint.Shrink()
	_ = Shield()
	// No core files: they would hold the secrets of a script.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})

	s := &supervision{
		worker: &descriptorConn{UnixConn: unixConn},
		jobs:   map[uint64]*job{},
		byPID:  map[int]*job{},
	}
	s.replies = gob.NewEncoder(s.worker)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go s.collect(children)
	s.serve()
	s.killAll()
	return 0
}

// supervision is the state of the supervisor process.
type supervision struct {
	worker *descriptorConn

	mu      sync.Mutex // guards all below, and keeps a child from being collected before it is known
	replies *gob.Encoder
	lease   *time.Timer // nil until the worker has said that it keeps one
	jobs    map[uint64]*job
	byPID   map[int]*job
}

// job is a script whose end has not been reported.
type job struct {
	id       uint64
	pid      int // also the group
	exited   bool
	status   syscall.WaitStatus
	at       time.Time
	stopping bool
	silent   bool      // killed because the worker was silent
	killed   time.Time // when SIGKILL was sent, zero before
	grace    *time.Timer
}

// serve handles requests until the worker is gone.
func (s *supervision) serve() {
	requests := gob.NewDecoder(s.worker)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			return
		}
		switch {
		case r.Start != nil:
			s.start(r.ID, r.Start)
		case r.Stop != nil:
			s.stop(r.ID, r.Stop.Grace)
		case r.Alive > 0:
			s.renew(r.Alive)
		}
	}
}

// renew puts off the end of the worker's lease.
func (s *supervision) renew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		s.lease = time.AfterFunc(d, s.silence)
		return
	}
	s.lease.Reset(d)
}

// silence kills every group: the worker is there, since its socket is, but stands still. Others take over what it ran.
func (s *supervision) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		j.silent = true
		s.kill(j)
	}
}

func (s *supervision) start(id uint64, r *startRequest) {
	fds := s.worker.take(3)
	defer func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fds == nil {
		s.reply(reply{ID: id, Error: "its output could not be connected"})
		return
	}
	pid, err := spawn(r, fds)
	if err != nil {
		s.reply(reply{ID: id, Error: err.Error()})
		return
	}
	j := &job{id: id, pid: pid}
	s.jobs[id], s.byPID[pid] = j, j
	s.reply(reply{ID: id, PID: pid})
}

// spawn starts a process as the leader of a new group. Errors are for people.
func spawn(r *startRequest, fds []int) (int, error) {
	if len(r.Argv) == 0 || r.Argv[0] == "" {
		return 0, errors.New("no program is given")
	}
	for _, argument := range r.Argv {
		if strings.IndexByte(argument, 0) >= 0 {
			return 0, errors.New("an argument contains a NUL byte")
		}
	}
	if info, err := os.Stat(r.Dir); r.Dir != "" && err != nil {
		return 0, fmt.Errorf("the working directory cannot be used: %s", plain(err))
	} else if r.Dir != "" && !info.IsDir() {
		return 0, errors.New("the working directory is not a directory")
	}
	path, err := program(r.Argv[0], r.Dir, r.Env)
	if err != nil {
		return 0, err
	}
	argv := r.Argv
	if prefix := limitPrefix(r.Limits); prefix != nil {
		argv = append(append(prefix, path), r.Argv[1:]...)
		path = prefix[0]
	}
	attr := &syscall.ProcAttr{
		Dir: r.Dir, Env: r.Env, Files: []uintptr{uintptr(fds[0]), uintptr(fds[1]), uintptr(fds[2])},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if r.UID != 0 || r.GID != 0 {
		// The list of further groups is emptied, else the script would keep root's.
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(r.UID), Gid: uint32(r.GID), Groups: []uint32{}}
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	switch {
	case err == nil:
		return pid, nil
	case errors.Is(err, syscall.ENOENT):
		return 0, errors.New("the interpreter in its first line (#!) does not exist")
	case errors.Is(err, syscall.ENOEXEC):
		return 0, errors.New("it is neither a program for this machine nor does it begin with #!")
	case errors.Is(err, syscall.EACCES):
		return 0, errors.New("permission denied: it, or the interpreter in its first line, may not be executed, or the working directory is closed to the script's user")
	case errors.Is(err, syscall.EPERM) && attr.Sys.Credential != nil:
		return 0, errors.New("running a script as another user needs a worker that runs as root")
	case errors.Is(err, syscall.E2BIG):
		return 0, errors.New("its arguments and environment are too large for the operating system")
	default:
		return 0, errors.New(plain(err))
	}
}

// program finds the file to execute and explains why it cannot be.
func program(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, executable(path)
	}
	for _, pair := range env {
		list, ok := strings.CutPrefix(pair, "PATH=")
		if !ok {
			continue
		}
		for _, folder := range filepath.SplitList(list) {
			// A relative or empty part of PATH would make the working directory a place to take programs from.
			if !filepath.IsAbs(folder) {
				continue
			}
			if path := filepath.Join(folder, name); executable(path) == nil {
				return path, nil
			}
		}
	}
	return "", errors.New("there is no such program on the PATH")
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return errors.New(plain(err))
	case info.IsDir():
		return errors.New("it is a directory")
	case info.Mode()&0o111 == 0:
		return errors.New("it is not executable (chmod +x)")
	}
	return nil
}

// limitPrefix is the command that lowers limits before it becomes the script. Limits set from outside after the start
// would leave a moment without them, and the runtime of this process could not live under some of them itself.
func limitPrefix(l Limits) []string {
	var script strings.Builder
	add := func(flag string, value, unit int64) {
		if value > 0 {
			script.WriteString("ulimit -" + flag + " " + strconv.FormatInt((value+unit-1)/unit, 10) + " && ")
		}
	}
	add("f", l.FileSize, 512)
	add("v", l.Memory, 1024)
	add("n", l.OpenFiles, 1)
	add("p", l.Processes, 1)
	if script.Len() == 0 {
		return nil
	}
	return []string{"/bin/sh", "-c", script.String() + `exec "$@"`, "sh"}
}

// stop begins the end of a group. A second stop can only shorten the grace period.
func (s *supervision) stop(id uint64, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	if j == nil {
		return // it ended before the request came
	}
	if grace <= 0 {
		s.kill(j)
		return
	}
	if j.stopping {
		return
	}
	j.stopping = true
	_ = syscall.Kill(-j.pid, syscall.SIGTERM)
	j.grace = time.AfterFunc(grace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.jobs[id] == j {
			s.kill(j)
		}
	})
	// A member that outlives its leader and whose parent is not this process ends without a SIGCHLD here.
	go s.watch(j)
}

func (s *supervision) kill(j *job) {
	watched := j.stopping
	j.stopping = true
	if j.killed.IsZero() {
		j.killed = time.Now()
	}
	_ = syscall.Kill(-j.pid, syscall.SIGKILL)
	if !watched {
		go s.watch(j)
	}
}

// watch looks for the end of a group that is being stopped, for the rare ends that no SIGCHLD announces.
func (s *supervision) watch(j *job) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		time.Sleep(pause)
		s.mu.Lock()
		if s.jobs[j.id] != j {
			s.mu.Unlock()
			return
		}
		if !j.killed.IsZero() {
			_ = syscall.Kill(-j.pid, syscall.SIGKILL)
		}
		s.finish(j)
		s.mu.Unlock()
	}
}

// collect waits for children, scripts and adopted orphans alike.
func (s *supervision) collect(children <-chan os.Signal) {
	for range children {
		s.mu.Lock()
		s.reap()
		s.mu.Unlock()
	}
}

func (s *supervision) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			break
		}
		if j := s.byPID[pid]; j != nil && !j.exited && (status.Exited() || status.Signaled()) {
			j.exited, j.status, j.at = true, status, time.Now()
		}
	}
	for _, j := range s.jobs {
		s.finish(j)
	}
}

// finish reports the end of a job once it has ended: at the exit of the leader, or, for a stopped one, when nothing of
// its group is left.
func (s *supervision) finish(j *job) {
	survivors := false
	switch {
	case !j.stopping:
		if !j.exited {
			return
		}
	case j.exited && errors.Is(syscall.Kill(-j.pid, 0), syscall.ESRCH):
	case j.exited && groupGone(j.pid):
	case !j.killed.IsZero() && time.Since(j.killed) > killLimit:
		survivors = true
	default:
		return
	}
	if j.grace != nil {
		j.grace.Stop()
	}
	if !j.exited {
		j.status, j.at = syscall.WaitStatus(syscall.SIGKILL), time.Now()
	}
	delete(s.jobs, j.id)
	delete(s.byPID, j.pid)
	s.reply(reply{ID: j.id, Exited: &exitReply{Status: j.status, Stopped: j.stopping, Silent: j.silent, Survivors: survivors, At: j.at}})
}

// reply sends to the worker. An error means that the worker is gone, which serve notices itself.
func (s *supervision) reply(r reply) { _ = s.replies.Encode(r) }

// killAll ends every group at once and waits a moment for the kernel to do it.
func (s *supervision) killAll() {
	s.mu.Lock()
	for _, j := range s.jobs {
		s.kill(j)
	}
	s.mu.Unlock()
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		s.reap()
		left := len(s.jobs)
		s.mu.Unlock()
		if left == 0 {
			return
		}
	}
}

// plain strips the operation and path from a file error: what remains is "no such file or directory" and the like.
func plain(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}
