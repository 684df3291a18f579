package runner

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// The worker and its supervisor exchange gob values over a stream socket. Descriptors travel beside the first bytes of
// the request they belong to and are queued by the receiver in order.

// request is what the worker sends.
type request struct {
	ID    uint64
	Start *startRequest
	Stop  *stopRequest
	// Alive renews the lease: without another one within this time, all groups are killed.
	Alive time.Duration
}

// startRequest starts a script. Its descriptors are standard input, output and error, in that order.
type startRequest struct {
	Argv, Env []string
	Dir       string
	UID, GID  int
	Limits    Limits
}

// stopRequest ends the group of a script: SIGTERM, Grace, SIGKILL. Without a grace period it is SIGKILL at once.
type stopRequest struct {
	Grace time.Duration
}

// reply is what the supervisor sends: for each start either Error, or PID and later Exited.
type reply struct {
	ID     uint64
	PID    int
	Error  string
	Exited *exitReply
}

type exitReply struct {
	Status    syscall.WaitStatus
	Stopped   bool // the end came after a stop request
	Silent    bool // it was killed because the worker had been silent for too long
	Survivors bool // processes of the group could not be killed
	At        time.Time
}

// descriptorConn is a stream that carries descriptors beside its bytes.
type descriptorConn struct {
	*net.UnixConn
	outgoing []int

	mu       sync.Mutex
	incoming []int
}

// Write sends p, and the queued descriptors with its first byte.
func (c *descriptorConn) Write(p []byte) (int, error) {
	if len(c.outgoing) == 0 {
		return c.UnixConn.Write(p)
	}
	rights := syscall.UnixRights(c.outgoing...)
	c.outgoing = nil
	n, _, err := c.WriteMsgUnix(p, rights, nil)
	if err == nil && n < len(p) {
		var rest int
		rest, err = c.UnixConn.Write(p[n:])
		n += rest
	}
	return n, err
}

// Read reads bytes and queues the descriptors that came with them. It must be the only reader: a plain read of the
// socket would drop the descriptors.
func (c *descriptorConn) Read(p []byte) (int, error) {
	oob := make([]byte, syscall.CmsgSpace(8*4))
	n, oobn, _, _, err := c.ReadMsgUnix(p, oob)
	if oobn > 0 {
		if messages, parseErr := syscall.ParseSocketControlMessage(oob[:oobn]); parseErr == nil {
			for i := range messages {
				if fds, rightsErr := syscall.ParseUnixRights(&messages[i]); rightsErr == nil {
					c.mu.Lock()
					c.incoming = append(c.incoming, fds...)
					c.mu.Unlock()
				}
			}
		}
	}
	return max(n, 0), err // it is -1 where the connection was reset
}

// take returns the next n descriptors that arrived, or nil if there are fewer.
func (c *descriptorConn) take(n int) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.incoming) < n {
		return nil
	}
	fds := c.incoming[:n:n]
	c.incoming = c.incoming[n:]
	return fds
}
