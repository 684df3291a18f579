package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate holds scripts until the test lets them go on: a script that reads a line of the pipe waits for one.
type gate struct {
	path string
	file *os.File
	t    testing.TB
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{path: filepath.Join(t.TempDir(), "gate"), t: t}
	require.NoError(t, syscall.Mkfifo(g.path, 0o666))
	require.NoError(t, os.Chmod(g.path, 0o666))
	var err error
	// Open for both, so that neither side waits for the other to open it.
	g.file, err = os.OpenFile(g.path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { g.file.Close() })
	return g
}

// wait is the shell command that waits at the gate.
func (g *gate) wait() string { return "read gate <'" + g.path + "'" }

// open lets n scripts pass.
func (g *gate) open(n int) {
	g.t.Helper()
	for range n {
		_, err := g.file.WriteString("go\n")
		require.NoError(g.t, err)
	}
}
