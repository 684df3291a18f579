package fetch

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"io"

	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// gitRun runs git on a test's own repository, apart from the machine's configuration.
func gitRun(t testing.TB, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir,
		"GIT_AUTHOR_NAME=Ada $(id)", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com")
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// fixture is a repository with a few branches below a folder that servers can export.
type fixture struct {
	root, path    string
	first, second string // commits on main
	odd           string // the newest commit of the oddly named branch
}

const oddBranch = "feat/$(touch${IFS}pwned)'\";&|`id`<>é"

const oddMessage = "Title with $(touch pwned) `id` 'single' \"double\"\n\n--upload-pack=touch pwned\n-rf\n\ttab"

func newFixture(t testing.TB) fixture {
	t.Helper()
	root, err := os.MkdirTemp("", "repositories") // open to scripts' users, as t.TempDir is not
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	f := fixture{root: root, path: filepath.Join(root, "my repo.git")}
	require.NoError(t, os.Mkdir(f.path, 0o755))
	gitRun(t, f.path, "init", "-q", "-b", "main")
	commit := func(name, text, message string) string {
		require.NoError(t, os.WriteFile(filepath.Join(f.path, name), []byte(text), 0o644))
		gitRun(t, f.path, "add", "-A")
		gitRun(t, f.path, "commit", "-q", "--cleanup=verbatim", "-m", message)
		return gitRun(t, f.path, "rev-parse", "HEAD")
	}
	f.first = commit("escape.yml", "name: one\n", "first")
	f.second = commit("escape.yml", "name: two\n", "second")
	gitRun(t, f.path, "tag", "-a", "v1.0", "-m", "release", f.first)
	gitRun(t, f.path, "checkout", "-q", "-b", oddBranch)
	f.odd = commit("odd", "odd\n", oddMessage)
	gitRun(t, f.path, "checkout", "-q", "main")
	gitRun(t, f.path, "update-ref", "refs/heads/-dash", f.first)
	return f
}

// serveHTTP exports a folder over smart http. Path prefixes stand for situations.
func serveHTTP(t testing.TB, root string) *httptest.Server {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	require.NoError(t, err)
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Logger: log.New(io.Discard, "", 0), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	mux := http.NewServeMux()
	mux.Handle("/", backend)
	mux.Handle("/private/", http.StripPrefix("/private", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+":"+password != "ada:pass word" && user+":"+password != "x-access-token:token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// sshServer is an ssh server that serves git to holders of a key.
type sshServer struct {
	address string
	hostKey ssh.PublicKey

	mu       sync.Mutex
	users    []string
	commands []string
}

func newKey(t testing.TB, kind string) (pemText string, signer ssh.Signer) {
	t.Helper()
	var key any
	var err error
	if kind == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	signer, err = ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(block)), signer
}

// serveSSH listens on address, or on a free port; several host keys are offered at once.
func serveSSH(t testing.TB, root, address string, accepted ssh.PublicKey, hostKeys ...ssh.Signer) *sshServer {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if bytes.Equal(key.Marshal(), accepted.Marshal()) {
			return nil, nil
		}
		return nil, os.ErrPermission
	}}
	for _, key := range hostKeys {
		config.AddHostKey(key)
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := &sshServer{address: listener.Addr().String(), hostKey: hostKeys[0].PublicKey()}
	var group sync.WaitGroup
	t.Cleanup(func() { listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { server.handle(conn, config, root) })
		}
	})
	return server
}

func (s *sshServer) handle(conn net.Conn, config *ssh.ServerConfig, root string) {
	defer conn.Close()
	link, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer link.Close()
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		version := ""
		for request := range requests {
			switch request.Type {
			case "env":
				var pair struct{ Name, Value string }
				_ = ssh.Unmarshal(request.Payload, &pair)
				if pair.Name == "GIT_PROTOCOL" {
					version = pair.Value
				}
				_ = request.Reply(true, nil)
			case "exec":
				var command struct{ Text string }
				_ = ssh.Unmarshal(request.Payload, &command)
				_ = request.Reply(true, nil)
				s.mu.Lock()
				s.users, s.commands = append(s.users, link.User()), append(s.commands, command.Text)
				s.mu.Unlock()
				name, path, _ := strings.Cut(strings.TrimSuffix(command.Text, "'"), " '")
				git := exec.Command("git", "-c", "safe.directory=*", strings.TrimPrefix(name, "git-"), filepath.Join(root, path))
				git.Env = append(os.Environ(), "GIT_PROTOCOL="+version)
				git.Stdin, git.Stdout, git.Stderr = channel, channel, channel.Stderr()
				status := uint32(0)
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					channel.Stderr().Write([]byte("ERROR: Repository not found.\n"))
					status = 1
				} else if git.Run() != nil {
					status = 128
				}
				_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
				channel.Close()
			default:
				_ = request.Reply(false, nil)
			}
		}
	}
}
