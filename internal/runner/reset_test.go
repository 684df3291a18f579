package runner

import (
	"bufio"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestResetConnectionIsAnError: a supervisor that is killed before it has read all that it was sent resets the connection. The
// read then has no bytes, and not -1, of which bufio makes a panic.
func TestResetConnectionIsAnError(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	file := os.NewFile(uintptr(pair[0]), "ours")
	defer file.Close()
	conn, err := net.FileConn(file)
	require.NoError(t, err)
	defer conn.Close()
	c := &descriptorConn{UnixConn: conn.(*net.UnixConn)}
	_, err = c.Write([]byte("unread"))
	require.NoError(t, err)
	require.NoError(t, syscall.Close(pair[1]))
	_, err = bufio.NewReader(c).ReadByte()
	require.ErrorIs(t, err, syscall.ECONNRESET)
}
