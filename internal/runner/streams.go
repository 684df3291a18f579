package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lateOutput is how long output is awaited after a script ended by itself: a background process may hold the pipe.
	lateOutput = 2 * time.Second
	// stoppedOutput is the same for a script whose group was killed; only a process that left the group can hold it.
	stoppedOutput = 200 * time.Millisecond
)

// streams are the pipes of one script.
type streams struct {
	theirs [3]int // the script's standard input, output and error
	owned  []int  // those of theirs to close, once each
	stdin  *os.File
	input  []byte
	copies []*outputCopy

	limit   int64 // 0: none
	printed atomic.Int64
	broken  chan struct{} // closed when the limit is passed or a writer fails
	once    sync.Once
	group   sync.WaitGroup
	done    chan struct{} // closed when all is copied
	started bool
}

// outputCopy moves bytes from a pipe to a writer.
type outputCopy struct {
	pipe *os.File
	to   io.Writer
	err  error
}

func openStreams(c Command, out Output) (*streams, error) {
	s := &streams{limit: c.OutputLimit, broken: make(chan struct{}), done: make(chan struct{})}
	if err := s.open(c, out); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *streams) open(c Command, out Output) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.owned = append(s.owned, null)
	s.theirs = [3]int{null, null, null}
	if c.Stdin != nil {
		read, write, err := pipe()
		if err != nil {
			return err
		}
		s.theirs[0], s.stdin, s.input = read, file(write), c.Stdin
		s.owned = append(s.owned, read)
	}
	for i, w := range []io.Writer{out.Stdout, out.Stderr} {
		if w == nil {
			continue
		}
		if i == 1 && same(w, out.Stdout) {
			s.theirs[2] = s.theirs[1]
			continue
		}
		read, write, err := pipe()
		if err != nil {
			return err
		}
		s.theirs[1+i] = write
		s.owned = append(s.owned, write)
		s.copies = append(s.copies, &outputCopy{pipe: file(read), to: w})
	}
	return nil
}

// pipe makes a blocking pipe. os.Pipe will not do: it makes both ends non-blocking, and scripts do not expect EAGAIN.
func pipe() (read, write int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}

// file wraps this process's end of a pipe so that deadlines work on it.
func file(fd int) *os.File {
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "pipe")
}

// same compares writers without panicking on types that cannot be compared.
func same(a, b io.Writer) (equal bool) {
	defer func() { _ = recover() }()
	return a == b
}

func (s *streams) closeTheirs() {
	for _, fd := range s.owned {
		unix.Close(fd)
	}
	s.owned = nil
}

// close frees what start has not taken over.
func (s *streams) close() {
	s.closeTheirs()
	if s.started {
		return
	}
	if s.stdin != nil {
		s.stdin.Close()
	}
	for _, c := range s.copies {
		c.pipe.Close()
	}
}

func (s *streams) start() {
	s.started = true
	if s.stdin != nil {
		go func() {
			defer s.stdin.Close()
			_, _ = s.stdin.Write(s.input) // a script need not read its input
		}()
	}
	for _, c := range s.copies {
		s.group.Go(func() {
			defer c.pipe.Close()
			s.copy(c)
		})
	}
	go func() {
		s.group.Wait()
		close(s.done)
	}()
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (s *streams) copy(c *outputCopy) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := c.pipe.Read(buffer[:])
		if !s.pass(c, buffer[:n]) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.drain(c, buffer[:])
			return
		}
		if err != nil {
			return
		}
	}
}

// drain takes what is in the pipe after the deadline. A slow writer may have used up the whole wait, and what the
// script printed before its end must not be lost. It takes no more than a pipe can hold, since a background process may
// go on writing for ever.
func (s *streams) drain(c *outputCopy, buffer []byte) {
	raw, err := c.pipe.SyscallConn()
	if err != nil {
		return
	}
	left := 64 << 10
	_ = raw.Control(func(fd uintptr) {
		if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil {
			left = size
		}
	})
	for left > 0 {
		n := 0
		_ = raw.Control(func(fd uintptr) { n, _ = syscall.Read(int(fd), buffer[:min(left, len(buffer))]) })
		if n <= 0 || !s.pass(c, buffer[:n]) {
			return
		}
		left -= n
	}
}

// pass hands bytes on, as far as the limit allows. It returns false when no more may follow.
func (s *streams) pass(c *outputCopy, p []byte) bool {
	if len(p) == 0 {
		return true
	}
	over := false
	if s.limit > 0 {
		if total := s.printed.Add(int64(len(p))); total > s.limit {
			over = true
			p = p[:max(0, int64(len(p))-(total-s.limit))]
		}
	}
	if len(p) > 0 {
		if _, err := c.to.Write(p); err != nil {
			c.err = err
			s.stop()
			return false
		}
	}
	if over {
		s.stop()
	}
	return !over
}

func (s *streams) stop() { s.once.Do(func() { close(s.broken) }) }

func (s *streams) overLimit() bool { return s.limit > 0 && s.printed.Load() > s.limit }

// finish waits until all is copied, for the given time where a process that still runs holds a pipe.
func (s *streams) finish(wait time.Duration) {
	s.deadline(time.Now().Add(wait))
	<-s.done
}

// finishOrCancelled is finish, cut short when ctx ends.
func (s *streams) finishOrCancelled(ctx context.Context, wait time.Duration) {
	select {
	case <-s.done:
		return
	default:
	}
	s.deadline(time.Now().Add(wait))
	if ctx.Err() == nil {
		select {
		case <-s.done:
			return
		case <-ctx.Done():
		}
		s.deadline(time.Now().Add(min(wait, stoppedOutput)))
	}
	<-s.done
}

func (s *streams) deadline(t time.Time) {
	for _, c := range s.copies {
		_ = c.pipe.SetReadDeadline(t)
	}
	if s.stdin != nil {
		_ = s.stdin.SetWriteDeadline(t)
	}
}

func (s *streams) err() error {
	for _, c := range s.copies {
		if c.err != nil {
			return fmt.Errorf("pass on the script's output: %w", c.err)
		}
	}
	return nil
}
