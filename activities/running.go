package activities

import (
	"context"
	"sync"
	"time"
)

// Running are the attempts under way in this process, so that a worker that stops can end all of them, wherever they began.
// The SDK would end those that are activities, one kind of task after another, each after a time of its own. The zero value
// is ready. It is safe for concurrent use.
type Running struct {
	mu       sync.Mutex
	ended    bool
	attempts map[*attemptEnd]bool
	idle     chan struct{} // closed when nothing runs any more, once somebody waits for that
}

// attemptEnd are the two ways to end an attempt: cancel gives its script the grace period, kill does not.
type attemptEnd struct{ cancel, kill context.CancelCauseFunc }

// begin notes an attempt, and ends it at once where End was called before. The function returned says that it is over.
func (r *Running) begin(cancel, kill context.CancelCauseFunc) (over func()) {
	a := &attemptEnd{cancel: cancel, kill: kill}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts == nil {
		r.attempts = map[*attemptEnd]bool{}
	}
	r.attempts[a] = true
	if r.ended {
		kill(errStopped)
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.attempts, a)
		if len(r.attempts) == 0 && r.idle != nil {
			close(r.idle)
			r.idle = nil
		}
	}
}

// End ends all attempts because the worker stops: scripts get SIGTERM, and after the grace period, which is this one and not
// the configured one, SIGKILL. It returns when all attempts are over, or a while after that: an attempt whose database is away
// takes longer to store what it has to say.
func (r *Running) End(grace, while time.Duration) {
	r.mu.Lock()
	r.ended = true
	idle := make(chan struct{})
	if len(r.attempts) == 0 {
		close(idle)
	} else if r.idle != nil {
		idle = r.idle
	} else {
		r.idle = idle
	}
	var list []*attemptEnd
	for a := range r.attempts {
		list = append(list, a)
	}
	r.mu.Unlock()
	for _, step := range []struct {
		end  func(*attemptEnd)
		wait time.Duration
	}{{func(a *attemptEnd) { a.cancel(errStopped) }, grace}, {func(a *attemptEnd) { a.kill(errStopped) }, while}} {
		for _, a := range list {
			step.end(a)
		}
		t := time.NewTimer(step.wait)
		select {
		case <-idle:
			t.Stop()
			return
		case <-t.C:
		}
	}
}
