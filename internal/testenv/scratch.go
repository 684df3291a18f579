package testenv

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// atProcessEnd runs a shell script when this process has ended, however it ends: os.Exit runs nothing deferred, a panic
// or kill -9 even less. A shell waits on a pipe whose other end only this process holds. credential may be nil.
//
// The shell must not hold this process's standard output: `go test` waits until that is closed.
func atProcessEnd(credential *syscall.Credential, script string, args ...string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", "cat >/dev/null\n" + script, "sh"}, args...)...)
	cmd.Stdin = reader
	cmd.Dir = "/"
	// A session of its own: Ctrl-C in the terminal must not end the clean-up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential}
	if err := cmd.Start(); err != nil {
		writer.Close()
		return err
	}
	keepOpen(writer)
	return nil
}

var open struct {
	sync.Mutex
	files []io.Closer
}

// keepOpen holds a file until the process ends: the garbage collector closes what nobody refers to.
func keepOpen(file io.Closer) {
	open.Lock()
	defer open.Unlock()
	open.files = append(open.files, file)
}

// scratch is a folder of this process for what outlives a single test. It is removed after the process has ended.
var scratch = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "slipway-test-")
	if err != nil {
		return "", fmt.Errorf("scratch folder: %w", err)
	}
	// A second try a little later, because children that die with this process may still write.
	err = atProcessEnd(nil, `rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }`, dir)
	if err != nil {
		return "", fmt.Errorf("scratch folder: %w", err)
	}
	return dir, nil
})
