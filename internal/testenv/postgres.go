package testenv

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// PostgresVariable is the environment variable with the URL of a PostgreSQL server to test against. Its user must be
// allowed to create databases. Without it a throw-away cluster is made from the installed binaries.
const PostgresVariable = "SLIPWAY_TEST_POSTGRES_URL"

// Cluster is a throw-away PostgreSQL server. It listens on a Unix socket in its own folder only, so no port can be taken,
// and does not wait for the disk: it is fast, and loses data when the machine fails, not when the server does.
type Cluster struct {
	bin, dir   string
	credential *syscall.Credential
}

// PostgresServer starts a server for one test, which may stop, kill and start it. It ends with the test. Settings are lines
// of postgresql.conf, such as "shared_buffers = 1GB", that replace those of a server for tests, which is small.
func PostgresServer(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	bin, err := postgresBinaries()
	if err != nil {
		Unavailable(t, "postgres", err.Error())
	}
	c, err := newCluster(bin, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Stop("immediate")
		_ = os.RemoveAll(c.dir)
	})
	return c
}

// shared is the one server of this test process.
var shared = sync.OnceValues(func() (*Cluster, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	return newCluster(bin)
})

var errNoPostgres = errors.New("no PostgreSQL server found: neither " + PostgresVariable +
	" nor the programs initdb and pg_ctl (Debian: package postgresql)")

// postgresBinaries returns the folder with initdb, pg_ctl and postgres; of several versions the highest.
func postgresBinaries() (string, error) {
	var folders []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			path = resolved
		}
		folders = append(folders, filepath.Dir(path))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return majorVersion(b) - majorVersion(a) })
		folders = append(folders, found...)
	}
	for _, dir := range folders {
		complete := true
		for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
			if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
				complete = false
			}
		}
		if complete {
			return dir, nil
		}
	}
	return "", errNoPostgres
}

// PostgresCommand finds one of PostgreSQL's programs, such as pg_dump, beside those of the server.
func PostgresCommand(t testing.TB, name string) string {
	t.Helper()
	dir, err := postgresBinaries()
	if err != nil {
		return Command(t, name)
	}
	return filepath.Join(dir, name)
}

// majorVersion is the number in a folder such as /usr/lib/postgresql/15/bin or /usr/pgsql-16/bin.
func majorVersion(dir string) int {
	name := filepath.Base(filepath.Dir(dir))
	n, _ := strconv.Atoi(name[strings.LastIndexAny(name, "-@")+1:])
	return n
}

// serverUser is the user that the server runs as: PostgreSQL refuses to run as root. nil: this user.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

func newCluster(bin string, more ...string) (*Cluster, error) {
	credential, err := serverUser()
	if err != nil {
		return nil, err
	}
	parent := ""
	if len(os.TempDir()) > 60 { // the path of a Unix socket has at most about 100 bytes
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "slipway-pg-")
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	c := &Cluster{bin: bin, dir: dir, credential: credential}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, fmt.Errorf("postgres: %w", err)
		}
	}
	// Before the server, so that no moment is left in which it could outlive this process. The second try is for a
	// server that was just being started.
	err = atProcessEnd(credential, `
stop() { "$1/pg_ctl" -D "$2/data" -m immediate -s stop >/dev/null 2>&1; }
[ -d "$2" ] || exit 0
stop "$@" || { sleep 1; stop "$@"; }
rm -rf -- "$2"`, bin, dir)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	// A locale that knows more letters than ASCII, as a real server's: what folds case must say itself how.
	err = c.run("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if err != nil {
		return nil, err
	}
	settings := "\nlisten_addresses = ''\nunix_socket_directories = '" + dir + "'\n" +
		"fsync = off\nfull_page_writes = off\nwal_level = minimal\nmax_wal_senders = 0\n" +
		"max_connections = 300\nautovacuum = off\nshared_buffers = 64MB\nlog_min_messages = warning\n" +
		strings.Join(more, "\n") + "\n" // the last of a name counts
	file, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	defer file.Close()
	if _, err := file.WriteString(settings); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return c, c.Start()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Start starts a stopped server and returns when it accepts connections.
func (c *Cluster) Start() error {
	return c.run("pg_ctl", "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-s", "-w", "-t", "60", "start")
}

// Stop stops the server and returns when it is gone. The mode is pg_ctl's: "fast" ends connections in order, "immediate"
// is a crash.
func (c *Cluster) Stop(mode string) error {
	return c.run("pg_ctl", "-D", c.data(), "-s", "-w", "-m", mode, "stop")
}

// URL is the address of a database of this server.
func (c *Cluster) URL(database string) string {
	address := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database}
	address.RawQuery = url.Values{"host": {c.dir}, "sslmode": {"disable"}}.Encode()
	return address.String()
}

func (c *Cluster) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.dir, "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential}
	// Into a file, not a pipe: the server inherits it and a pipe would be waited for until the server ends.
	output, err := os.CreateTemp(c.dir, program+"-*.out")
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer os.Remove(output.Name())
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(output.Name())
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return fmt.Errorf("postgres: %s: %w\n%s%s", program, err, text, log)
	}
	return nil
}
