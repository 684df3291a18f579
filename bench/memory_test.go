//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBenchMemory measures an idle `slipway dev` and its supervisor of scripts, without the Temporal child: the
// proportional set size, which counts pages that the two share once.
func TestBenchMemory(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "slipway")
	out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "slipway/cmd/slipway").CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(binary, "dev", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--ui-port", "0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
	}
	// Idle is what it is some time after the start: the garbage of the start has been given back by then.
	time.Sleep(20 * time.Second)
	total := 0.0
	pids := []string{fmt.Sprint(cmd.Process.Pid)}
	stats, err := filepath.Glob("/proc/[0-9]*/status")
	require.NoError(t, err)
	for _, file := range stats {
		status, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(status, []byte(fmt.Sprintf("\nPPid:\t%d\n", cmd.Process.Pid))) {
			continue
		}
		pid := filepath.Base(filepath.Dir(file))
		if name, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && bytes.Contains(name, []byte("supervise")) {
			pids = append(pids, pid)
		}
	}
	require.Greater(t, len(pids), 1, "the supervisor was not found")
	for _, p := range pids {
		mb := pss(t, p)
		note("memory: process %s %.1f MB", p, mb)
		total += mb
	}
	atMost("idle_dev_memory_mb", total, 100)
}

func pss(t *testing.T, pid string) float64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Fatal("no Pss in smaps_rollup")
	return 0
}
