package temporaldev

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// parentFolder makes the test binary a parent that starts a server in that folder, says where, and waits to be killed.
const parentFolder = "TEMPORALDEV_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentFolder); dir != "" {
		s, err := Start(context.Background(), Options{DataDir: dir})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	if _, err := FindCommand(); err != nil {
		if strings.Contains(os.Getenv("SLIPWAY_TEST_REQUIRE"), "temporal") {
			t.Fatal(err)
		}
		t.Skip("temporal: ", err)
	}
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func connect(t *testing.T, s *Server) client.Client {
	t.Helper()
	c, err := dial(s.HostPort, s.options.Namespace)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// eventually polls until ok, for what sends no event: another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 30*time.Second, 10*time.Millisecond, what)
}

func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

// dead is gone or a zombie that waits for a parent which this test is not.
func dead(pid int) bool {
	if gone(pid) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return strings.HasPrefix(strings.TrimSpace(after), "Z")
}

func double(_ workflow.Context, n int) (int, error) { return 2 * n, nil }

// runWorkflow runs one workflow with search attributes to its end.
func runWorkflow(t *testing.T, c client.Client, id string) {
	t.Helper()
	w := worker.New(c, "temporaldev", worker.Options{})
	w.RegisterWorkflow(double)
	require.NoError(t, w.Start())
	defer w.Stop()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: "temporaldev",
		TypedSearchAttributes: temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword("SlipwayProject").ValueSet("demo")),
	}, double, 21)
	require.NoError(t, err)
	var answer int
	require.NoError(t, run.Get(t.Context(), &answer))
	require.Equal(t, 42, answer)
}

func TestServesAndFindsItsDataAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space?and=signs#")
	s := start(t, Options{DataDir: dir, Namespace: "slipway", Retention: 48 * time.Hour})
	require.NoError(t, s.Ready(t.Context()))
	c := connect(t, s)
	runWorkflow(t, c, "one")

	described, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "slipway"})
	require.NoError(t, err)
	require.Equal(t, 48*time.Hour, described.Config.WorkflowExecutionRetentionTtl.AsDuration())
	listed, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "slipway"})
	require.NoError(t, err)
	for _, name := range SearchAttributes {
		require.Contains(t, listed.CustomAttributes, name)
	}
	response, err := http.Get(s.UIURL)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	pid := s.PID()
	s.Stop()
	s.Stop() // does nothing
	require.True(t, gone(pid))
	require.ErrorIs(t, s.Ready(t.Context()), ErrStopped)
	require.ErrorIs(t, s.Kill(), ErrStopped)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	again := start(t, Options{DataDir: dir, Namespace: "slipway"})
	var answer int
	require.NoError(t, connect(t, again).GetWorkflow(t.Context(), "one", "").Get(t.Context(), &answer))
	require.Equal(t, 42, answer)
}

func TestComesBackAfterItsDeath(t *testing.T) {
	s := start(t, Options{})
	runWorkflow(t, connect(t, s), "before")
	first := s.PID()
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	eventually(t, "a second child", func() bool { return s.Restarts() == 1 && s.PID() != 0 })
	require.NotEqual(t, first, s.PID())
	runWorkflow(t, connect(t, s), "after")
}

func TestKillLastsUntilRestart(t *testing.T) {
	s := start(t, Options{})
	pid := s.PID()
	require.NoError(t, s.Kill())
	require.True(t, gone(pid))
	require.Zero(t, s.PID())
	require.Error(t, s.Ready(t.Context()))
	require.NoError(t, s.Kill(), "killing it twice does nothing")
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Ready(t.Context()))
	require.NoError(t, s.Restart(t.Context()), "a running one is stopped first")
	require.NoError(t, s.Ready(t.Context()))
	require.Equal(t, 2, s.Restarts())
}

func TestHungServerIsReplaced(t *testing.T) {
	s := start(t, Options{checkEvery: 20 * time.Millisecond, checkTimeout: 500 * time.Millisecond})
	first := s.PID()
	require.NoError(t, syscall.Kill(first, syscall.SIGSTOP))
	eventually(t, "a second child", func() bool { return s.Restarts() == 1 })
	require.True(t, gone(first))
	require.NoError(t, s.Ready(t.Context()))
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Options{DataDir: t.TempDir()})
	require.NoError(t, err)
	pid := s.PID()
	cancel()
	<-s.Done()
	require.True(t, gone(pid))
	s.Stop()
}

func TestEndsWithAKilledParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("linux: there is no parent-death signal elsewhere")
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentFolder+"="+dir)
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	require.False(t, dead(pid))

	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	eventually(t, "the child is gone", func() bool { return dead(pid) })
	start(t, Options{DataDir: dir}) // the folder is free
}

func TestOneServerPerFolder(t *testing.T) {
	s := start(t, Options{})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, ErrInUse)
	defer cancel()
	_, err := Start(ctx, Options{DataDir: s.options.DataDir})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Ready(t.Context()), "the first one is untouched")
}

func TestUnfinishedFirstStartIsRepaired(t *testing.T) {
	dir := t.TempDir()
	// What a kill during the schema's setup leaves: a database file without its tables.
	require.NoError(t, os.WriteFile(filepath.Join(dir, databaseFile), nil, 0o600))
	s := start(t, Options{DataDir: dir})
	require.NoError(t, s.Ready(t.Context()))
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "temporal")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
		return path
	}
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"no folder":          {Options{Command: "/bin/true"}, "no data folder"},
		"no command":         {Options{Command: "/does/not/exist", DataDir: t.TempDir()}, "no such file"},
		"command that fails": {Options{Command: script("echo out of cheese; exit 7"), DataDir: t.TempDir()}, "out of cheese"},
		"command that hangs": {Options{Command: script("exec sleep 600"), DataDir: t.TempDir(), StartTimeout: 200 * time.Millisecond},
			"not healthy after 200ms"},
		"folder is a file": {Options{Command: "/bin/true", DataDir: script("")}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), c.options)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestLogIsPutAside(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, LogFile), make([]byte, maxLogSize+1), 0o600))
	file, err := openLog(dir)
	require.NoError(t, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.FileExists(t, filepath.Join(dir, LogFile+".1"))
}
