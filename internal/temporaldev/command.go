package temporaldev

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// ErrNoCommand says that the `temporal` command is nowhere to be found.
var ErrNoCommand = errors.New("the temporal command was not found on PATH or beside the slipway binary: " +
	"run `make bin/temporal`, or install it from https://docs.temporal.io/cli")

// FindCommand returns the path of the `temporal` command: the one on PATH, else the one beside the running binary, else
// the one in the nearest bin folder above the working folder (where the Makefile puts it; this serves `go run` and
// tests). It fails with [ErrNoCommand].
func FindCommand() (string, error) {
	if path, err := exec.LookPath("temporal"); err == nil {
		return filepath.Abs(path)
	}
	if self, err := os.Executable(); err == nil {
		if path := filepath.Join(filepath.Dir(self), "temporal"); isExecutable(path) {
			return path, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", ErrNoCommand
	}
	for {
		if path := filepath.Join(dir, "bin", "temporal"); isExecutable(path) && isFile(filepath.Join(dir, "go.mod")) {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoCommand
		}
		dir = parent
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// arguments are those of `temporal server start-dev`.
func (o Options) arguments(port, uiPort int) []string {
	args := []string{
		"server", "start-dev",
		"--ip", "127.0.0.1",
		"--port", strconv.Itoa(port),
		"--ui-port", strconv.Itoa(uiPort),
		"--db-filename", databaseFile,
		"--sqlite-pragma", "journal_mode=wal",
		"--sqlite-pragma", "synchronous=normal",
		"--log-format", "json",
		"--color", "never",
		// The user's own configuration of the command (profiles, remote addresses) must not change this server.
		"--disable-config-env", "--disable-config-file",
	}
	if o.Namespace != "default" {
		args = append(args, "--namespace", o.Namespace)
	}
	if o.CodecEndpoint != "" {
		args = append(args, "--ui-codec-endpoint", o.CodecEndpoint)
	}
	for _, setting := range tuning {
		args = append(args, "--dynamic-config-value", setting)
	}
	for _, name := range SearchAttributes {
		args = append(args, "--search-attribute", name+"=Keyword")
	}
	return args
}

// environment of the child: nothing of the caller's but where programs and temporary files are.
func (o Options) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
		"HOME=" + o.DataDir,
		// No call home for newer versions.
		"TEMPORAL_VERSION_CHECK_DISABLED=1",
	}
}
