package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// process is one of slipway's commands as a process of its own.
type process struct {
	name string
	t    testing.TB
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the slipway command with the stack's environment; extra pairs win.
func (s *stack) start(name string, args []string, extra ...string) *process {
	s.t.Helper()
	return s.startProgram(name, binary(s.t), args, extra...)
}

// startProgram is start for another program than slipway of this build. The process ends with the test, which shows what it
// printed where it fails.
func (s *stack) startProgram(name, program string, args []string, extra ...string) *process {
	s.t.Helper()
	p := &process{name: name, t: s.t, out: &output{}, done: make(chan struct{})}
	dir := filepath.Join(s.dir, name)
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "SLIPWAY_DATA_DIR=" + dir}, s.env()...)
	p.cmd.Env = append(p.cmd.Env, extra...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	// A test process that is killed must leave nothing behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(p.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("--- what %s printed:\n%s", p.name, tail(p.out.String(), 6000))
		}
		p.kill()
	})
	return p
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks the process to end and waits until it has.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	await(p.t, p.name+" ends", func() (bool, string) { return p.ended(), tail(p.out.String(), 500) })
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// printed waits until the process has printed a text.
func (p *process) printed(text string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%s prints %q", p.name, text), func() (bool, string) {
		if p.ended() && !strings.Contains(p.out.String(), text) {
			p.t.Fatalf("%s has ended: %s", p.name, p.out)
		}
		return strings.Contains(p.out.String(), text), tail(p.out.String(), 500)
	})
}

// startAPI starts `slipway api` at the given address and waits until it is ready.
func (s *stack) startAPI(name, address string, extra ...string) *process {
	s.t.Helper()
	return s.startAPIProgram(name, binary(s.t), address, extra...)
}

// startAPIProgram is startAPI for another build of the command.
func (s *stack) startAPIProgram(name, program, address string, extra ...string) *process {
	s.t.Helper()
	p := s.startProgram(name, program, []string{"api", "--migrate"}, append([]string{"SLIPWAY_LISTEN=" + address}, extra...)...)
	p.printed("the API listens")
	await(s.t, name+" is ready", func() (bool, string) {
		response, err := http.Get("http://" + address + "/ready")
		if err != nil {
			return false, err.Error()
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK, response.Status
	})
	return p
}

// startWorker starts `slipway worker` and waits until it serves its queues.
func (s *stack) startWorker(name string, extra ...string) *process {
	s.t.Helper()
	p := s.start(name, []string{"worker"}, extra...)
	p.printed("the worker serves its queues")
	return p
}
