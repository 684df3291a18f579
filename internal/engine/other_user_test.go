package engine

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// nobody runs scripts as a user without rights.
type nobody struct{ out *strings.Builder }

const nobodyID = 65534

func (n nobody) RunScript(_ context.Context, s Script) (Result, error) {
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, append([]string{"PATH=" + os.Getenv("PATH")}, s.Env...), n.out, n.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return Result{}, err
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return Result{ExitCode: code}, nil
	}
	outputs, err := ReadOutputs(s.Dir, s.OutputsFile)
	return Result{Outputs: outputs}, err
}

// TestS21ScriptsOfAnotherUser: what the engine makes belongs to the user of the scripts, who needs nothing more.
func TestS21ScriptsOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start processes as another user")
	}
	b := newBench(t)
	var out strings.Builder
	b.Scripts = nobody{&out}
	b.Owner = func(path string) error { return os.Lchown(path, nobodyID, nobodyID) }
	workspace := func(files map[string]string) string {
		dir := source(t, files)
		for at := dir; at != os.TempDir(); at = filepath.Dir(at) {
			require.NoError(t, os.Chmod(at, 0o755)) // the test's own folders are closed to others
		}
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			require.NoError(t, err)
			return os.Lchown(path, nobodyID, nobodyID)
		}))
		return dir
	}
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: workspace(firstApp()), Steps: AllSteps})
	require.NoError(t, err, out.String())
	_, err = b.Release(t.Context(), ReleaseRequest{Dir: workspace(secondApp()), Plan: "app/escape.yml", Steps: AllSteps})
	require.NoError(t, err, out.String())
	_, err = b.Deploy(t.Context(), DeployRequest{Dir: workspace(nil), Release: b.mustID(t, "shop/frontend-latest"), Target: Target{Deployment: "web"}})
	require.NoError(t, err, out.String())
	_, err = b.Destroy(t.Context(), DeployedRequest{Dir: workspace(nil), Target: Target{Deployment: "web"}})
	require.NoError(t, err, out.String())
}
