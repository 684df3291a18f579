package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
)

// smallDisk is a folder that only one process and its children see as a disk of its own, with very little space.
type smallDisk struct {
	t    testing.TB
	path string
	p    *process
}

// onSmallDisk runs one of slipway's commands with a disk of that many MiB mounted at dir. A user may do so without being
// root where the kernel gives out user namespaces.
func (s *stack) onSmallDisk(name, dir string, size int, args []string, extra ...string) *smallDisk {
	s.t.Helper()
	unshare := testenv.Command(s.t, "unshare")
	flags := "-Urm"
	if os.Geteuid() == 0 {
		flags = "-m" // in a user namespace root could not reach what other users own
	}
	if out, err := exec.Command(unshare, flags, "true").CombinedOutput(); err != nil {
		s.t.Skipf("no mount namespaces here: %s", out)
	}
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	mount := fmt.Sprintf(`mount -t tmpfs -o size=%dm,mode=755 slipway "$0" && exec "$@"`, size)
	p := s.startProgram(name, unshare, append([]string{flags, "sh", "-c", mount, dir, binary(s.t)}, args...),
		append([]string{"HOME=" + dir, "TMPDIR=" + dir, "SLIPWAY_DATA_DIR=" + dir}, extra...)...)
	return &smallDisk{t: s.t, path: dir, p: p}
}

// ballast is where the file that fills the disk lies, as seen from outside of the process.
func (d *smallDisk) ballast() string {
	return filepath.Join("/proc", fmt.Sprint(d.p.pid()), "root", d.path, "ballast")
}

// fill leaves no space on the disk.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.Create(d.ballast())
	require.NoError(d.t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		require.True(d.t, errors.Is(err, syscall.ENOSPC), "%v", err)
	}
}

func (d *smallDisk) free() {
	d.t.Helper()
	require.NoError(d.t, os.Remove(d.ballast()))
}

// R18: a worker's disk is full. The executions that it runs meanwhile end with a reason that says so; once there is
// space, everything goes on without a restart.
func TestR18DiskOfAWorkerIsFull(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	disk := s.onSmallDisk("worker", filepath.Join(s.dir, "small"), 8, []string{"worker"})
	disk.p.printed("the worker serves its queues")
	p := s.project("full")
	p.build("build", "echo passed")
	s.ok(p.trigger("build"))
	disk.fill()
	ref := p.trigger("build")
	s.failed(ref, "no space left on device")
	disk.free()
	p.build("writes", "dd if=/dev/zero of=big bs=1M count=100")
	s.failed(p.trigger("writes"), "status 1")
	retry, err := s.client.Retry(t.Context(), ref)
	require.NoError(t, err)
	s.ok(retry)
}

// R18: the disk of an API on SQLite is full. Reads work, changes are refused as a matter of time, nothing that was
// accepted is lost and nothing that was refused is there; once there is space, it goes on without a restart.
func TestR18DiskOfTheDatabaseIsFull(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true, sqlite: true})
	dir := filepath.Join(s.dir, "small")
	disk := s.onSmallDisk("api", dir, 16, []string{"api", "--migrate"}, "SLIPWAY_AUTH=none", "SLIPWAY_LISTEN="+s.address(),
		"SLIPWAY_DATABASE_URL=sqlite:"+filepath.Join(dir, "slipway.db"), "SLIPWAY_STORAGE_URL=file://"+filepath.Join(dir, "files"),
		"SLIPWAY_KEY_FILE="+filepath.Join(dir, "keyset.json"))
	disk.p.printed("the API listens")
	add := func(name, description string) *http.Response {
		t.Helper()
		body, err := json.Marshal(map[string]any{"name": name, "description": description})
		require.NoError(t, err)
		res, err := http.Post(s.url+"/api/v1/state/"+name+"/add-project", "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		if res.StatusCode != http.StatusOK {
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, "%s", text)
			require.NotEmpty(t, res.Header.Get("Retry-After"))
			require.NotContains(t, strings.ToLower(string(text)), "sqlite")
		}
		return res
	}
	require.Equal(t, http.StatusOK, add("before", "").StatusCode)
	disk.fill()
	accepted, refused := []string{"before"}, 0
	// The write-ahead log has some space left in its last block: a few may still pass.
	for i := 0; refused < 5; i++ {
		require.Less(t, i, 2000, "it is never refused")
		name := fmt.Sprintf("full-%d", i)
		if add(name, strings.Repeat("x", 1000)).StatusCode == http.StatusOK {
			accepted = append(accepted, name)
		} else {
			refused++
		}
	}
	names := func() []string {
		t.Helper()
		res, err := http.Get(s.url + "/api/v1/state/")
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		var list []string
		var projects map[string]json.RawMessage
		require.NoError(t, json.NewDecoder(res.Body).Decode(&projects))
		for name := range projects {
			list = append(list, name)
		}
		return list
	}
	require.ElementsMatch(t, accepted, names(), "reads work, and show what was accepted")
	disk.free()
	require.Equal(t, http.StatusOK, add("after", "").StatusCode)
	require.ElementsMatch(t, append(accepted, "after"), names())
}
