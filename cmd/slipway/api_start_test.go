package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is this binary as the slipway command, with no configuration but the given one.
func program(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{runMain + "=1", "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

var listens = regexp.MustCompile(`msg="the API listens" address=(\S+)`)

// startAPI starts the API and gives its address as soon as it has answered, how long that took, and what ends it.
func startAPI(t *testing.T, env []string, args ...string) (string, time.Duration, func()) {
	t.Helper()
	cmd := program(t.Context(), env, append([]string{"api"}, args...)...)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	begin := time.Now()
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(log)
	address, said := "", ""
	for address == "" && lines.Scan() {
		said += lines.Text() + "\n"
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			address = "http://" + m[1]
		}
	}
	require.NotEmpty(t, address, said)
	go func() { _, _ = io.Copy(io.Discard, log) }()
	status, _ := request(t, http.MethodGet, address+"/health", "")
	took := time.Since(begin)
	require.Equal(t, 200, status)
	return address, took, func() {
		t.Helper()
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	}
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// The inventory needs a database and a folder and nothing else: no Temporal, no migration by hand, no other folder that may
// be written to. All of it can be said by flags or by the environment.
func TestAPIStartsOnSQLiteByItself(t *testing.T) {
	for name, configured := range map[string]func(dir string) (env, args []string){
		"flags": func(dir string) (env, args []string) {
			return nil, []string{"--listen", "127.0.0.1:0", "--database", "sqlite:" + dir + "/data/slipway.db", "--storage", "file://" + dir + "/files", "--auth", "none", "--development"}
		},
		"environment": func(dir string) (env, args []string) {
			return []string{"SLIPWAY_LISTEN=127.0.0.1:0", "SLIPWAY_DATABASE_URL=sqlite:" + dir + "/data/slipway.db", "SLIPWAY_STORAGE_URL=file://" + dir + "/files", "SLIPWAY_AUTH=none",
				"SLIPWAY_DEVELOPMENT=true"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			env, args := configured(dir)
			env = append(env, "SLIPWAY_TEMPORAL_ADDRESS=127.0.0.1:1") // nobody is there
			address, _, stop := startAPI(t, env, args...)
			status, body := request(t, http.MethodPost, address+"/api/v1/inventory/ns/register", `{"name":"app","version":"1"}`)
			require.Equal(t, 200, status, body)
			stop()
			// What it has written is there after a restart, with the key that it needs, beside the database.
			require.FileExists(t, filepath.Join(dir, "data", "keyset.json"))
			address, _, stop = startAPI(t, env, args...)
			defer stop()
			_, body = request(t, http.MethodGet, address+"/api/v1/inventory/ns/units/app/next-version?prefix=", "")
			require.Equal(t, "2", body)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "files")))
			status, body = request(t, http.MethodDelete, address+"/api/v1/internal/database", "")
			require.Equal(t, 200, status, body)
			_, body = request(t, http.MethodGet, address+"/api/v1/inventory/", "")
			require.Equal(t, "{}\n", body)
		})
	}
}

// From nothing to the first answer it takes less than a second, the schema included. What the machine takes to start this
// program at all is not counted, and neither are the tries in which it had other things to do.
func TestAPIAnswersWithinASecond(t *testing.T) {
	var last time.Duration
	for range 5 {
		begin := time.Now()
		require.NoError(t, program(t.Context(), nil, "version").Run())
		program := time.Since(begin)
		dir := t.TempDir()
		_, took, stop := startAPI(t, []string{"SLIPWAY_TEMPORAL_ADDRESS=127.0.0.1:1"}, "--listen", "127.0.0.1:0", "--database", "sqlite:"+dir+"/slipway.db", "--storage", "file://"+dir+"/files",
			"--auth", "none", "--development")
		stop()
		t.Logf("the first answer came after %v, of which the program's start took %v", took, program)
		if last = took - program; last < time.Second {
			return
		}
	}
	t.Fatalf("the first answer came after %v", last)
}
