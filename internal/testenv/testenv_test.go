package testenv

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// ownerVariable makes the test binary a process that starts a cluster and a scratch folder, prints both, and waits to be
// killed.
const ownerVariable = "TESTENV_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		cluster, err := shared()
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		dir, err := scratch()
		fmt.Println(cluster.dir, dir, err)
		select {}
	}
	os.Exit(m.Run())
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	var first string
	t.Run("first", func(t *testing.T) {
		first = Postgres(t)
		_, err := connect(t, first).Exec(t.Context(), "CREATE TABLE things (id int)")
		require.NoError(t, err)
		second := Postgres(t)
		require.NotEqual(t, first, second)
		_, err = connect(t, second).Exec(t.Context(), "SELECT * FROM things")
		require.ErrorContains(t, err, "does not exist")
	})
	_, err := pgx.Connect(t.Context(), first)
	require.ErrorContains(t, err, "does not exist", "dropped after its test, with a connection still open")
}

func TestPostgresTemplateIsPreparedOnce(t *testing.T) {
	calls := 0
	prepare := func(url string) error {
		calls++
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "CREATE TABLE things AS SELECT 7 AS id")
		return err
	}
	for range 3 {
		conn := connect(t, PostgresTemplate(t, "things", prepare))
		var id int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT sum(id) FROM things").Scan(&id))
		require.Equal(t, 7, id, "a copy, not the same database")
		_, err := conn.Exec(t.Context(), "INSERT INTO things VALUES (1)")
		require.NoError(t, err)
	}
	if os.Getenv(PostgresVariable) == "" {
		require.Equal(t, 1, calls)
	}
}

func TestPostgresServerCanCrashAndComeBack(t *testing.T) {
	c := PostgresServer(t)
	_, err := connect(t, c.URL("postgres")).Exec(t.Context(), "CREATE TABLE things (id int)")
	require.NoError(t, err)
	require.NoError(t, c.Stop("immediate"))
	_, err = pgx.Connect(t.Context(), c.URL("postgres"))
	require.Error(t, err)
	require.NoError(t, c.Start())
	_, err = connect(t, c.URL("postgres")).Exec(t.Context(), "SELECT * FROM things")
	require.NoError(t, err)
}

func TestNothingIsLeftOfAKilledProcess(t *testing.T) {
	if _, err := postgresBinaries(); err != nil {
		Unavailable(t, "postgres", err.Error())
	}
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"=1")
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 3, line)
	cluster, folder := fields[0], fields[1]
	require.Equal(t, "<nil>", fields[2])
	pid, err := os.ReadFile(filepath.Join(cluster, "data", "postmaster.pid"))
	require.NoError(t, err)
	var postmaster int
	_, err = fmt.Sscan(string(pid), &postmaster)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(postmaster, 0))

	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait()
	require.Eventually(t, func() bool {
		_, clusterErr := os.Stat(cluster)
		_, folderErr := os.Stat(folder)
		return os.IsNotExist(clusterErr) && os.IsNotExist(folderErr)
	}, 30*time.Second, 10*time.Millisecond, "the folders are removed")
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", postmaster))
	if err == nil { // a zombie that nobody reaps in a container without init
		require.Contains(t, string(stat), ") Z ")
	}
}

func TestTemporalIsShared(t *testing.T) {
	first := Temporal(t)
	require.NoError(t, first.Ready(t.Context()))
	require.Same(t, first, Temporal(t))
	own := TemporalServer(t)
	require.NotEqual(t, first.HostPort, own.HostPort)
	require.NoError(t, own.Kill())
	require.NoError(t, first.Ready(t.Context()))
}

func TestGitRepoIsReproducible(t *testing.T) {
	files := map[string]string{"plan/escape.yml": "name: app\n", "build.sh": "#!/bin/sh\n"}
	one, two := GitRepo(t, files), GitRepo(t, files)
	head := one.Git("rev-parse", "HEAD")
	require.Equal(t, head, two.Git("rev-parse", "HEAD"))
	require.Contains(t, one.Git("ls-tree", "-r", "HEAD"), "100755 blob")
	next := one.Commit("-m $(id) 'quotes'\n\nand a body", map[string]string{"plan/escape.yml": "name: app2\n"})
	require.NotEqual(t, head, next)
	require.Equal(t, "-m $(id) 'quotes'\n\nand a body", one.Git("log", "-1", "--format=%B")[:len("-m $(id) 'quotes'\n\nand a body")])
	require.Empty(t, GitRepo(t, nil).Git("branch", "--list"))
}

// recorder is a testing.TB that records how the test would have ended first, instead of ending it.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.end("skip: ", format, args) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal: ", format, args) }

func (r *recorder) end(how, format string, args []any) {
	if r.outcome == "" {
		r.outcome = how + fmt.Sprintf(format, args...)
	}
}

func TestMissingThingsAreSkippedUnlessRequired(t *testing.T) {
	t.Setenv(RequireVariable, "")
	r := &recorder{TB: t}
	Command(r, "no-such-command")
	require.Equal(t, "skip: no-such-command is not available: no-such-command: not on PATH", r.outcome)
	t.Setenv(RequireVariable, "postgres, no-such-command")
	r = &recorder{TB: t}
	Command(r, "no-such-command")
	require.Contains(t, r.outcome, "fatal: no-such-command is required")
	require.True(t, Required("postgres"))
	require.False(t, Required("post"))
}

func TestGoldenFilesAreComparedAndRewritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "testdata", "a.txt")
	t.Setenv(GoldenVariable, "")
	r := &recorder{TB: t}
	Golden(r, file, []byte("one\ntwo\n"))
	require.Contains(t, r.outcome, "make golden writes it")
	t.Setenv(GoldenVariable, "1")
	Golden(t, file, []byte("one\ntwo\n"))
	t.Setenv(GoldenVariable, "")
	Golden(t, file, []byte("one\ntwo\n"))
	for got, want := range map[string]string{
		"one\n2\n":          "differs from line 2 on (make golden rewrites it):\nwant: two\n got: 2",
		"one\ntwo":          "differs from line 3",
		"one\ntwo\nthree\n": "differs from line 3",
		"":                  "differs from line 1",
	} {
		r := &recorder{TB: t}
		Golden(r, file, []byte(got))
		require.Contains(t, r.outcome, want)
	}
}
