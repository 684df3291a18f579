package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func openWorkspaces(t testing.TB, root string, scripts UserRange) *Workspaces {
	t.Helper()
	spaces, err := OpenWorkspaces(root, scripts)
	require.NoError(t, err)
	t.Cleanup(func() { spaces.Close() })
	return spaces
}

// S21: nothing of a workspace is left, whatever a script did to it, and nothing beside it is touched.
func TestS21WorkspaceIsWiped(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	kept := filepath.Join(outside, "kept")
	require.NoError(t, os.WriteFile(kept, []byte("x"), 0o600))
	spaces := openWorkspaces(t, root, UserRange{})
	space, err := spaces.Make()
	require.NoError(t, err)
	info, err := os.Stat(space.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	s := startSupervisor(t, Options{})
	c := space.Command("/bin/sh", "-c", `echo "$HOME $TMPDIR $PWD"
		mkdir -p a/b/c; echo x >a/b/c/f; ln -s "$1" a/link; ln -s "$1/kept" a/b/file; mkfifo a/pipe
		chmod 0 a/b/c/f; chmod 0 a/b/c; chmod 0500 a/b; chmod 0 a; chmod 0 ../home`, "sh", outside)
	var out bytes.Buffer
	exit, err := s.Run(t.Context(), c, Combined(&out))
	require.NoError(t, err)
	require.True(t, exit.OK(), out.String())
	require.Equal(t, space.Home+" "+space.Temp+" "+space.Source+"\n", out.String())

	require.NoError(t, space.Wipe())
	require.NoDirExists(t, space.Path)
	require.FileExists(t, kept)
	info, err = os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// What a killed worker left behind is removed by the next start; what a living one uses stays.
func TestS21WorkspacesOfDeadWorkersAreSwept(t *testing.T) {
	root := t.TempDir()
	dead, err := OpenWorkspaces(root, UserRange{})
	require.NoError(t, err)
	old, err := dead.Make()
	require.NoError(t, err)
	living := openWorkspaces(t, root, UserRange{})
	used, err := living.Make()
	require.NoError(t, err)
	require.DirExists(t, old.Path)

	require.NoError(t, dead.lock.Close()) // as the kernel does for a killed process
	openWorkspaces(t, root, UserRange{})
	require.NoDirExists(t, old.Path)
	require.DirExists(t, used.Path)
	left, err := filepath.Glob(filepath.Join(root, "worker-*"))
	require.NoError(t, err)
	require.Len(t, left, 4, "two folders and their locks: %v", left)
}

// S21: with a range of users each workspace has its own, which cannot enter another or signal the worker.
func TestS21ScriptsRunAsOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root, err := os.MkdirTemp("", "workspaces") // t.TempDir lies in a folder that is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	limits, err := ParseUserRange("27110-27112")
	require.NoError(t, err)
	spaces := openWorkspaces(t, filepath.Join(root, "data"), limits)
	a, err := spaces.Make()
	require.NoError(t, err)
	b, err := spaces.Make()
	require.NoError(t, err)
	require.NotEqual(t, a.UID, b.UID)
	require.NoError(t, os.WriteFile(filepath.Join(b.Source, "secret"), []byte("secret"), 0o644))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(a.Source, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(a.Source, "mine"), nil, 0o600))
	require.NoError(t, a.Own())

	s := startSupervisor(t, Options{})
	var out bytes.Buffer
	c := a.Command("/bin/sh", "-c", `id -u; id -g; id -G; echo x >mine || echo cannot write
		cat "$1"/secret; ls "$2"; kill -0 "$3"; cat /proc/$3/environ`, "sh", b.Source, filepath.Dir(b.Path), strconv.Itoa(os.Getpid()))
	_, err = s.Run(t.Context(), c, Output{Stdout: &out})
	require.NoError(t, err)
	id := strconv.Itoa(a.UID)
	require.Equal(t, id+"\n"+id+"\n"+id+"\n", out.String())
	info, err := os.Stat("/etc/passwd")
	require.NoError(t, err)
	require.Zero(t, info.Sys().(*syscall.Stat_t).Uid, "a link is not followed")

	_, err = spaces.Make()
	require.NoError(t, err)
	_, err = spaces.Make()
	require.ErrorContains(t, err, "every user id of the configured range is in use")

	// A service that outlives its workspace keeps its user.
	lines := newLines()
	_, err = s.Run(t.Context(), a.Command("/bin/sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"), Combined(lines))
	require.NoError(t, err)
	service := lines.pid(t)
	require.NoError(t, a.Wipe())
	_, err = spaces.Make()
	require.ErrorContains(t, err, "every user id")
	require.NoError(t, syscall.Kill(service, syscall.SIGKILL))
	waitCollected(t, service)
	again, err := spaces.Make()
	require.NoError(t, err)
	require.Equal(t, a.UID, again.UID)
}

func waitCollected(t testing.TB, pid int) {
	t.Helper()
	waitGone(t, pid, 5e9)
	for range 5000 {
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
			return
		}
		syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 1000})
	}
	t.Fatal("the ended process was not collected")
}

func TestParseUserRange(t *testing.T) {
	for _, bad := range []string{"1", "0-5", "20000", "30000-20000", "a-b", "999-2000", "20000-99999999999"} {
		_, err := ParseUserRange(bad)
		require.Error(t, err, bad)
	}
	r, err := ParseUserRange("20000-29999")
	require.NoError(t, err)
	require.Equal(t, UserRange{20000, 29999}, r)
	if os.Geteuid() != 0 {
		_, err = OpenWorkspaces(t.TempDir(), r)
		require.ErrorContains(t, err, "root")
	}
}
