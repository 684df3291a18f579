package temporaldev

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one life of the child.
type process struct {
	pid    int
	exited chan struct{} // closed when the child is gone and reaped
	state  *os.ProcessState
}

// startProcess starts cmd as a process group of its own, so that Ctrl-C in a terminal reaches only the parent, which then
// stops the child in order.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)

	p := &process{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that made the child ends, not the process. Go ends
		// and reuses threads as it likes, so this one is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in ProcessState
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks the child to end and kills it after the grace period. It returns when the child is gone.
func (p *process) stop(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		p.kill()
	}
}

// kill ends the child at once and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.exited: // the pid may belong to somebody else by now
	default:
		_ = syscall.Kill(-p.pid, sig)
	}
}
