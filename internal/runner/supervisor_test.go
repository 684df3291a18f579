package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func startSupervisor(t testing.TB, options Options) *Supervisor {
	t.Helper()
	s, err := Start(options)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func sh(t testing.TB, script string) Command {
	return Command{Argv: []string{"/bin/sh", "-c", script}, Dir: t.TempDir()}
}

// lines is a writer that hands over complete lines, so that a test can wait for what a script says.
type lines struct {
	mu      sync.Mutex
	partial []byte
	lines   chan string
}

func newLines() *lines { return &lines{lines: make(chan string, 1000)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, ok := bytes.Cut(l.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.lines <- string(line)
		l.partial = append([]byte(nil), rest...)
	}
}

func (l *lines) next(t testing.TB) string {
	t.Helper()
	select {
	case line := <-l.lines:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("the script said nothing")
		return ""
	}
}

func (l *lines) pid(t testing.TB) int {
	t.Helper()
	pid, err := strconv.Atoi(l.next(t))
	require.NoError(t, err)
	return pid
}

// alive reports whether a process runs; one that ended and was not collected does not.
func alive(pid int) bool {
	_, state, ok := processGroup(pid)
	return ok && state != 'Z' && state != 'X'
}

// waitGone waits until a process has ended, for up to the given time.
func waitGone(t testing.TB, pid int, within time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); alive(pid); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "process %d still runs", pid)
	}
}

func TestRunPassesOutputAndCode(t *testing.T) {
	s := startSupervisor(t, Options{})
	var out, errs bytes.Buffer
	exit, err := s.Run(t.Context(), sh(t, "echo out; echo err >&2; exit 3"), Output{Stdout: &out, Stderr: &errs})
	require.NoError(t, err)
	require.Equal(t, 3, exit.Code)
	require.Equal(t, "out\n", out.String())
	require.Equal(t, "err\n", errs.String())
	require.Equal(t, "the script exited with code 3", exit.Reason())
	require.False(t, exit.OK())
}

func TestCombinedOutputKeepsOrder(t *testing.T) {
	s := startSupervisor(t, Options{})
	var out bytes.Buffer
	exit, err := s.Run(t.Context(), sh(t, "for i in 1 2 3 4 5; do echo a$i; echo b$i >&2; done"), Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OK())
	require.Equal(t, "a1\nb1\na2\nb2\na3\nb3\na4\nb4\na5\nb5\n", out.String())
}

func TestStdinAndArgumentsAreData(t *testing.T) {
	s := startSupervisor(t, Options{})
	argument := "$(touch pwned) `id` \"quoted\" 'single' \n -rf \xff"
	c := sh(t, `cat; printf '%s' "$1"`)
	c.Argv = append(c.Argv, "sh", argument)
	c.Stdin = bytes.Repeat([]byte("0123456789abcdef"), 20_000) // more than a pipe holds
	var out bytes.Buffer
	exit, err := s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OK(), exit.Reason())
	require.Equal(t, string(c.Stdin)+argument, out.String())
	require.NoFileExists(t, filepath.Join(c.Dir, "pwned"))

	c = sh(t, "exit 0") // a script that does not read its input is no failure
	c.Stdin = bytes.Repeat([]byte("x"), 300_000)
	exit, err = s.Run(t.Context(), c, Output{})
	require.NoError(t, err)
	require.True(t, exit.OK())
}

func TestRunOfManyAtOnce(t *testing.T) {
	s := startSupervisor(t, Options{})
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			var out bytes.Buffer
			exit, err := s.Run(t.Context(), sh(t, "echo "+strconv.Itoa(i)+"; exit "+strconv.Itoa(i)), Combined(&out))
			if err != nil || exit.Code != i || out.String() != strconv.Itoa(i)+"\n" {
				t.Errorf("script %d: %v, %+v, %q", i, err, exit, out.String())
			}
		})
	}
	group.Wait()
}

func TestCouldNotStart(t *testing.T) {
	s := startSupervisor(t, Options{})
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	for _, test := range []struct {
		name string
		c    Command
		want string
	}{
		{"missing file", Command{Argv: []string{"./deploy.sh"}, Dir: dir}, "could not start ./deploy.sh: no such file or directory"},
		{"not executable", Command{Argv: []string{write("plain.sh", "#!/bin/sh\n", 0o644)}, Dir: dir}, "it is not executable (chmod +x)"},
		{"directory", Command{Argv: []string{dir}, Dir: dir}, "it is a directory"},
		{"no interpreter", Command{Argv: []string{write("odd.sh", "#!/nowhere/sh\n", 0o755)}, Dir: dir}, "the interpreter in its first line (#!) does not exist"},
		{"no format", Command{Argv: []string{write("text", "hello\n", 0o755)}, Dir: dir}, "neither a program for this machine nor does it begin with #!"},
		{"not on the PATH", Command{Argv: []string{"no-such-program"}, Dir: dir}, "there is no such program on the PATH"},
		{"missing folder", Command{Argv: []string{"true"}, Dir: dir + "/gone"}, "the working directory cannot be used: no such file or directory"},
		{"folder is a file", Command{Argv: []string{"true"}, Dir: dir + "/plain.sh"}, "the working directory is not a directory"},
		{"nothing", Command{Dir: dir}, "no program is given"},
		{"NUL in an argument", Command{Argv: []string{"true", "a\x00b"}, Dir: dir}, "an argument contains a NUL byte"},
		{"NUL in the environment", Command{Argv: []string{"true"}, Dir: dir, Env: []string{"A=\x00"}}, `the environment variable "A" contains a NUL byte`},
		{"odd environment", Command{Argv: []string{"true"}, Dir: dir, Env: []string{"secret"}}, "an environment variable is not of the form NAME=value"},
		{"too many arguments", Command{Argv: []string{"true", strings.Repeat("x", 1<<20)}, Dir: dir}, "too large for the operating system"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Run(t.Context(), test.c, Output{})
			var start *StartError
			require.ErrorAs(t, err, &start)
			require.Contains(t, err.Error(), test.want)
		})
	}
}

// S21: nothing of the worker's environment reaches a script but the base and what is configured.
func TestS21EnvironmentIsClean(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_URL", "postgres://secret")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("LANG", "")
	s := startSupervisor(t, Options{Env: map[string]string{"HTTPS_PROXY": "http://proxy"}})
	c := Command{Argv: []string{"/usr/bin/env"}, Dir: t.TempDir(), Env: []string{"INPUT=a b\nc", "HTTPS_PROXY=mine"}}
	var out bytes.Buffer
	exit, err := s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OK())
	require.Equal(t, "PATH="+os.Getenv("PATH")+"\nLANG=C.UTF-8\nHOME="+c.Dir+"\nTMPDIR="+c.Dir+
		"\nHTTPS_PROXY=mine\nINPUT=a b\nc\n", out.String())

	// Nor is there another way to it: neither the supervisor's environment nor its descriptors.
	out.Reset()
	c = sh(t, "tr '\\0' '\\n' </proc/$PPID/environ; ls /proc/self/fd | wc -l")
	_, err = s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.NotContains(t, out.String(), "secret")
	require.True(t, strings.HasSuffix(strings.TrimSpace(out.String()), "4"), "descriptors 0, 1, 2 and the folder being listed, but got %s", out.String())
}

func TestTimeout(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	c := sh(t, "sleep 1000 & echo $!; sleep 1000")
	c.Timeout = 100 * time.Millisecond
	exit, err := s.Run(t.Context(), c, Combined(out))
	require.NoError(t, err)
	require.True(t, exit.TimedOut)
	require.Equal(t, syscall.SIGTERM, exit.Signal)
	require.Equal(t, "the script did not finish within its timeout of 100ms", exit.Reason())
	require.False(t, alive(out.pid(t)))
}

// R10: cancel ends the whole group, at once where it obeys.
func TestR10CancelObeyed(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		exit Exit
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := s.Run(ctx, sh(t, "sleep 1000 & echo $!; sleep 1000 | cat"), Combined(out))
		done <- result{exit, err}
	}()
	child := out.pid(t)
	began := time.Now()
	cancel()
	r := <-done
	require.NoError(t, r.err)
	require.True(t, r.exit.Cancelled)
	require.Equal(t, "the script was cancelled", r.exit.Reason())
	require.False(t, alive(child))
	require.Less(t, time.Since(began), 2*time.Second)
}

// R10: a script that ignores SIGTERM, and whose children do, is gone when the grace period ends.
func TestR10CancelIgnored(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := sh(t, `trap '' TERM; sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05; done' & echo $$; while :; do sleep 0.05; done`)
	c.Grace = 100 * time.Millisecond
	done := make(chan Exit, 1)
	go func() {
		exit, _ := s.Run(ctx, c, Combined(out))
		done <- exit
	}()
	a, b := out.pid(t), out.pid(t)
	cancel()
	exit := <-done
	require.True(t, exit.Cancelled)
	require.False(t, exit.Survivors)
	require.Equal(t, syscall.SIGKILL, exit.Signal)
	require.False(t, alive(a) || alive(b))
	require.True(t, groupGone(a) && groupGone(b))
}

// A worker that the server has given up kills at once: another may be about to run the same script.
func TestR1GivenUpWorkerKillsAtOnce(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	ctx, kill := WithKill(t.Context())
	defer kill(nil)
	c := sh(t, `trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done`)
	c.Grace = time.Hour
	done := make(chan Exit, 1)
	go func() {
		exit, _ := s.Run(ctx, c, Combined(out))
		done <- exit
	}()
	require.Equal(t, "ready", out.next(t))
	kill(errors.New("given up"))
	exit := <-done
	require.True(t, exit.Cancelled)
	require.Equal(t, syscall.SIGKILL, exit.Signal)
	require.Empty(t, out.lines, "there was no SIGTERM")
}

// R1, R10: one that is given up while its scripts have their grace period, after a cancellation or at the end of their time,
// kills them too.
func TestR1GivenUpInTheGracePeriod(t *testing.T) {
	for _, timeout := range []time.Duration{0, 500 * time.Millisecond} {
		s := startSupervisor(t, Options{})
		out := newLines()
		ctx, kill := WithKill(t.Context())
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c := sh(t, `trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done`)
		c.Grace, c.Timeout = time.Hour, timeout
		done := make(chan Exit, 1)
		go func() {
			exit, _ := s.Run(ctx, c, Combined(out))
			done <- exit
		}()
		require.Equal(t, "ready", out.next(t))
		if timeout == 0 {
			cancel()
		}
		for out.next(t) != "term" { // the shell may speak of its child first
		}
		kill(nil)
		exit := <-done
		require.Equal(t, timeout == 0, exit.Cancelled)
		require.Equal(t, timeout > 0, exit.TimedOut)
		require.Equal(t, syscall.SIGKILL, exit.Signal)
	}
}

// A leader that obeys does not save its children: they get the grace period, then SIGKILL.
func TestR10ChildrenOutliveTheLeader(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := sh(t, `sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05; done' & sleep 1000`)
	c.Grace = 100 * time.Millisecond
	done := make(chan Exit, 1)
	go func() {
		exit, _ := s.Run(ctx, c, Combined(out))
		done <- exit
	}()
	child := out.pid(t)
	cancel()
	exit := <-done
	require.True(t, exit.Cancelled)
	require.Equal(t, syscall.SIGTERM, exit.Signal)
	require.False(t, alive(child))
}

func TestCleanUpInTheGracePeriodRuns(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan Exit, 1)
	go func() {
		exit, _ := s.Run(ctx, sh(t, `trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.02; done`), Output{Stdout: out})
		done <- exit
	}()
	require.Equal(t, "ready", out.next(t))
	cancel()
	require.Equal(t, "cleaned", out.next(t))
	exit := <-done
	require.True(t, exit.Cancelled)
	require.Equal(t, 0, exit.Code)
	require.False(t, exit.OK(), "a cancelled script is no success, whatever its code")
}

func TestCancelledBeforeItStarts(t *testing.T) {
	s := startSupervisor(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := sh(t, "touch ran")
	exit, err := s.Run(ctx, c, Output{})
	require.NoError(t, err)
	require.True(t, exit.Cancelled)
	require.NoFileExists(t, filepath.Join(c.Dir, "ran"))
}

func TestOutputLimit(t *testing.T) {
	s := startSupervisor(t, Options{})
	var out bytes.Buffer
	c := sh(t, "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done & while :; do echo x; done")
	c.OutputLimit = 1 << 20
	exit, err := s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OutputLimit)
	require.Equal(t, 1<<20, out.Len())
	require.Equal(t, "the script printed more than 1 MiB", exit.Reason())

	// Also when it has ended before anyone could stop it.
	c = sh(t, "echo 0123456789")
	c.OutputLimit = 5
	out.Reset()
	exit, err = s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OutputLimit)
	require.Equal(t, "01234", out.String())
}

func TestOutputLimitIsNotReachedByExactlyTheLimit(t *testing.T) {
	s := startSupervisor(t, Options{})
	c := sh(t, "printf 01234")
	c.OutputLimit = 5
	exit, err := s.Run(t.Context(), c, Combined(io.Discard))
	require.NoError(t, err)
	require.True(t, exit.OK())
}

// slowWriter takes its time for each write, as a database that is busy does.
type slowWriter struct{ bytes.Buffer }

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(lateOutput / 8)
	return w.Buffer.Write(p)
}

// What a script printed before it ended is read to its end however slow the writer is, also past the two seconds for
// late output.
func TestSlowWriterLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	s := startSupervisor(t, Options{})
	w := &slowWriter{}
	c := sh(t, "dd if=/dev/zero bs=65536 count=8 2>/dev/null; sleep 1000 &")
	exit, err := s.Run(t.Context(), c, Combined(w))
	require.NoError(t, err)
	require.True(t, exit.OK())
	require.Equal(t, 8*65536, w.Len())
}

func TestBrokenWriterEndsTheScript(t *testing.T) {
	s := startSupervisor(t, Options{})
	broken := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
	_, err := s.Run(t.Context(), sh(t, "while :; do echo x; done"), Combined(broken))
	require.EqualError(t, err, "pass on the script's output: disk full")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// After an exit of its own the group is left alone: a deployment may start a service.
func TestServiceIsLeftRunning(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	exit, err := s.Run(t.Context(), sh(t, "setsid sleep 1000 >/dev/null 2>&1 & echo $!; sleep 1000 >/dev/null 2>&1 & echo $!"), Combined(out))
	require.NoError(t, err)
	require.True(t, exit.OK())
	service, background := out.pid(t), out.pid(t)
	defer syscall.Kill(service, syscall.SIGKILL)
	defer syscall.Kill(background, syscall.SIGKILL)
	require.True(t, alive(service))
	require.True(t, alive(background))

	// Not even the end of the worker touches them.
	require.NoError(t, s.Close())
	require.True(t, alive(service))
	require.True(t, alive(background))
}

// A background process that holds the pipe delays the end by two seconds and no more; what it prints until then counts.
func TestLateOutputIsAwaited(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	began := time.Now()
	exit, err := s.Run(t.Context(), sh(t, "(sleep 0.2; echo late; exec sleep 1000) & echo $!"), Combined(out))
	require.NoError(t, err)
	require.True(t, exit.OK())
	took := time.Since(began)
	pid := out.pid(t)
	defer syscall.Kill(pid, syscall.SIGKILL)
	require.Equal(t, "late", out.next(t))
	require.GreaterOrEqual(t, took, lateOutput)
	require.Less(t, took, 3*lateOutput)
	require.Less(t, exit.Duration, lateOutput, "the wait is not part of the script's duration")
}

func TestLimits(t *testing.T) {
	s := startSupervisor(t, Options{})
	c := sh(t, "ulimit -f; ulimit -n; ulimit -v; ulimit -c")
	c.Limits = Limits{FileSize: 1 << 20, OpenFiles: 50, Memory: 1 << 30}
	var out bytes.Buffer
	exit, err := s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OK(), out.String())
	require.Equal(t, "2048\n50\n1048576\n0\n", out.String())

	c = sh(t, "dd if=/dev/zero of=big bs=1024 count=2048 2>/dev/null")
	c.Limits = Limits{FileSize: 1 << 20}
	exit, err = s.Run(t.Context(), c, Output{})
	require.NoError(t, err)
	require.False(t, exit.OK())
	info, err := os.Stat(filepath.Join(c.Dir, "big"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(1<<20))
}

// doomedWorker is a worker that tells its supervisor and its script and then waits to be killed.
func doomedWorker(args []string) int {
	s, err := Start(Options{})
	if err != nil {
		return 1
	}
	os.Stdout.WriteString(strconv.Itoa(s.PID()) + "\n")
	s.Run(context.Background(), Command{Argv: args, Dir: "/"}, Combined(os.Stdout))
	return 0
}

// R1: when the worker is killed, its supervisor kills every group at once and ends.
func TestR1WorkerKilled(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	worker := exec.Command(self, "doomed-worker", "/bin/sh", "-c",
		`trap '' TERM; sh -c 'trap "" TERM INT HUP; echo $$; while :; do sleep 0.05; done' & echo $$; wait; while :; do sleep 0.05; done`)
	pipe, err := worker.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, worker.Start())
	reader := bufio.NewScanner(pipe)
	var pids []int
	for len(pids) < 3 && reader.Scan() {
		pid, err := strconv.Atoi(reader.Text())
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	require.Len(t, pids, 3)
	require.NoError(t, worker.Process.Kill())
	_ = worker.Wait()
	for _, pid := range pids {
		waitGone(t, pid, 2*time.Second)
	}
}

// R1: when the supervisor is killed, the worker kills the group, says so, and goes on with a new supervisor.
func TestR1SupervisorKilled(t *testing.T) {
	s := startSupervisor(t, Options{})
	out := newLines()
	done := make(chan error, 1)
	go func() {
		_, err := s.Run(t.Context(), sh(t, `sh -c 'trap "" TERM HUP; echo $$; while :; do sleep 0.05; done' & echo $$; wait`), Combined(out))
		done <- err
	}()
	a, b := out.pid(t), out.pid(t)
	first := s.PID()
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	require.ErrorIs(t, <-done, ErrSupervisorLost)
	require.False(t, alive(a))
	require.False(t, alive(b))

	exit, err := s.Run(t.Context(), sh(t, "exit 7"), Output{})
	require.NoError(t, err)
	require.Equal(t, 7, exit.Code)
	require.NotEqual(t, first, s.PID())
}

// A Ctrl-C or a SIGTERM for the whole terminal group is the worker's business.
func TestSupervisorIgnoresTerminalSignals(t *testing.T) {
	s := startSupervisor(t, Options{})
	pid := s.PID()
	out := newLines()
	done := make(chan Exit, 1)
	go func() {
		exit, _ := s.Run(t.Context(), sh(t, `trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.02; done`), Combined(out))
		done <- exit
	}()
	out.next(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		require.NoError(t, syscall.Kill(pid, signal))
	}
	exit, err := s.Run(t.Context(), sh(t, "exit 7"), Output{})
	require.NoError(t, err)
	require.Equal(t, 7, exit.Code)
	require.Equal(t, pid, s.PID())
	require.Empty(t, done)
	sid, err := syscall.Getpgid(pid)
	require.NoError(t, err)
	require.Equal(t, pid, sid, "the supervisor is not in the worker's group")

	require.NoError(t, s.Close())
	require.Equal(t, -1, (<-done).Code)
	_, err = s.Run(t.Context(), sh(t, "true"), Output{})
	require.ErrorIs(t, err, ErrClosed)
}

// R17: nothing piles up over many scripts.
func TestR17NoDescriptorsOrProcessesAreLeft(t *testing.T) {
	s := startSupervisor(t, Options{})
	count := func(pid int) int {
		entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
		require.NoError(t, err)
		return len(entries)
	}
	run := func() {
		c := sh(t, "echo x; sleep 0 & exit 0")
		c.Stdin = []byte("x")
		_, err := s.Run(t.Context(), c, Combined(io.Discard))
		require.NoError(t, err)
		_, err = s.Run(t.Context(), Command{Argv: []string{"./missing"}, Dir: c.Dir}, Combined(io.Discard))
		require.Error(t, err)
	}
	run()
	ours := count(os.Getpid())
	theirs := -1
	if os.Geteuid() == 0 {
		theirs = count(s.PID()) // closed to the same user by Shield
	}
	for range 30 {
		run()
	}
	require.LessOrEqual(t, count(os.Getpid()), ours)
	if theirs >= 0 {
		// It answers before it has closed what the last script had.
		require.Eventually(t, func() bool { return count(s.PID()) <= theirs }, 10*time.Second, time.Millisecond)
	}
}
