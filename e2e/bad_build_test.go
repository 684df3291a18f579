package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/testenv"
	"slipway/models"
)

// Everything that can be wrong with a build's source, plan and scripts ends the execution as failed, with a reason that
// tells a person what to mend.
func TestBadBuilds(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, tune: func(c *config.Config) { c.ScriptOutput = 8 << 20 }})
	step := client.BuildStep{PlanLocation: "escape.yml", RunBuild: true}
	good := map[string]string{"escape.yml": "name: bad/app\nversion: 1.0.0\nbuild: build.sh\n", "build.sh": "#!/bin/sh\necho built\n"}
	with := func(name, content string) map[string]string {
		files := map[string]string{}
		for k, v := range good {
			files[k] = v
		}
		if files[name] = content; content == "" {
			delete(files, name)
		}
		return files
	}
	require.NoError(t, s.client.AddProject(t.Context(), client.Project{Name: "bad"}))
	require.NoError(t, s.client.AddEnvironment(t.Context(), "bad", "dev"))
	require.NoError(t, s.client.AddNamespace(t.Context(), "bad", "bad"))

	for _, c := range []struct {
		name   string
		files  map[string]string
		build  client.Build
		want   []string // of the reason
		inLogs []string
	}{
		{name: "repository that does not exist", build: client.Build{Repo: "/nowhere/at/all.git"}, want: []string{"/nowhere/at/all.git", "does not exist"}},
		{name: "branch that does not exist", files: good, build: client.Build{Branch: "release/9"}, want: []string{"release/9", "branch"}},
		{name: "no plan", files: with("escape.yml", ""), want: []string{"no plan", "escape.yml"}},
		{name: "plan outside of the repository", files: good, build: client.Build{Steps: []client.BuildStep{{PlanLocation: "../../etc/passwd", RunBuild: true}}}, want: []string{"plan_location", "inside of the repository"}},
		{name: "plan that is not YAML", files: with("escape.yml", "name: [unclosed\n\tx: }"), want: []string{"escape.yml"}},
		{name: "plan with aliases that grow", files: with("escape.yml", billionLaughs), want: []string{"escape.yml"}},
		{name: "plan without a name", files: with("escape.yml", "version: 1.0.0\n"), want: []string{"name"}},
		{name: "missing script", files: with("build.sh", ""), want: []string{"missing script build.sh"}},
		{name: "script exits 3", files: with("build.sh", "#!/bin/sh\necho before\nexit 3\n"), want: []string{"build.sh", "exited with status 3"}, inLogs: []string{"before"}},
		{name: "script ended by a signal", files: with("build.sh", "#!/bin/sh\nkill -9 $$\n"), want: []string{"build.sh", "signal 9"}},
		{name: "script without its interpreter", files: with("build.sh", "#!/no/such/interpreter\n"), want: []string{"build.sh"}},
		{name: "outputs that are not JSON", files: with("build.sh", "#!/bin/sh\necho '{' >\"$1\"\n"), want: []string{"outputs"}},
		{name: "script prints 100 MB", files: with("build.sh", "#!/bin/sh\nhead -c 104857600 /dev/zero | tr '\\0' 'x' | fold -w 1000\n"), want: []string{"build.sh", "printed more than 8 MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := c.build
			b.Name = strings.ReplaceAll(c.name, " ", "-")
			if b.Repo == "" {
				b.Repo = testenv.GitRepo(t, c.files).Dir
			}
			if b.Branch == "" {
				b.Branch = "main"
			}
			if b.Steps == nil {
				b.Steps = []client.BuildStep{step}
			}
			a := s.do(http.MethodPost, "/api/v1/state/bad/environments/dev/builds/", b)
			if a.status >= 400 && a.status < 500 {
				for _, w := range c.want {
					require.Contains(t, string(a.body), w, "refused when it is made, which is as good")
				}
				return
			}
			require.Less(t, a.status, 300, string(a.body))
			ref, err := s.client.TriggerBuild(t.Context(), "bad", "dev", b.Name)
			require.NoError(t, err)
			e := s.reaches(ref, models.StatusFailed)
			t.Log(e.Reason)
			for _, w := range c.want {
				require.Contains(t, e.Reason, w)
			}
			for _, internal := range []string{"goroutine", ".go:", s.dir, "activity error", "workspace"} {
				require.NotContains(t, e.Reason, internal, "for people")
			}
			logged := s.logText(ref)
			for _, w := range append(c.inLogs, e.Reason) {
				require.Contains(t, logged, w)
			}
			require.Equal(t, 1, strings.Count(logged, e.Reason), "the reason is told once:\n%s", logged)
			noProcessesOf(t, 5*time.Second, ref.ID)
		})
	}
}

const billionLaughs = `a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
name: *g
`

// A script that hangs is ended after its timeout, with what it started.
func TestScriptThatHangs(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, tune: func(c *config.Config) { c.ScriptTimeout, c.ScriptGrace = 500*time.Millisecond, 200*time.Millisecond }})
	p := s.project("hangs")
	p.build("hangs", "trap '' TERM", "sleep 1000 &", "echo hanging", "sleep 1000")
	ref := p.trigger("hangs")
	s.failed(ref, "did not finish within its timeout of 500ms")
	require.Empty(t, processesOf(t, ref.ID))
	require.Contains(t, s.logText(ref), "hanging")
}

// Bytes that are not text reach nobody as they are, and do not break the log.
func TestS16BinaryOutput(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("binary")
	p.build("binary", "head -c 200000 /dev/urandom", `printf 'nul \000 escape \033[2J bell \007 osc \033]8;;http://x\033\\link\033]8;;\033\\ <script>alert(1)</script>\nend\n'`)
	ref := p.trigger("binary")
	s.ok(ref)
	text := s.logText(ref)
	require.Contains(t, text, "end\n")
	require.Contains(t, text, "<script>", "markup is only data")
	require.NotContains(t, text, "\x00")
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\x07")
}

// A server that knows another key.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	testenv.Command(t, "ssh")
	s := newStack(t, stackOptions{sqlite: true})
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(hostKey)
	require.NoError(t, err)
	server := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, os.ErrPermission }}
	server.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _, _, _ = ssh.NewServerConn(conn, server)
			}()
		}
	}()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	private := string(pem.EncodeToMemory(block))
	p := s.project("key")
	p.buildOf(client.Build{Name: "ssh", Repo: fmt.Sprintf("ssh://git@%s/app.git", l.Addr()), Branch: "main", PrivateKey: private, UpdatePrivateKey: true,
		Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true}}})
	ref := p.trigger("ssh")
	e := s.reaches(ref, models.StatusFailed)
	t.Log(e.Reason)
	require.Contains(t, e.Reason, "key")
	for _, line := range strings.Split(strings.TrimSpace(private), "\n") {
		require.NotContains(t, s.logText(ref), line)
	}
}

// S14: names and messages are only ever data.
func TestS14TextIsData(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("data")
	touched := filepath.Join(p.dir, "touched")
	branch := "feat/$(touch${IFS}" + touched + ")'\";&|`id`<>é"
	message := "Title $(touch " + touched + ") `touch " + touched + "` 'single' \"double\"\n\n--upload-pack=touch " + touched + "\n-rf\n\ttab\n"
	p.repo.Git("checkout", "-q", "-b", branch)
	commit := p.repo.Commit(message, map[string]string{"more": "x"})
	step := []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, Variables: map[string]string{
		"script": p.script(`printf 'more=[%s]\n' "$INPUT_more"`), "more": "$(touch " + touched + ") `id` \"'\n-x"}}}
	p.buildOf(client.Build{Name: "odd", Repo: p.repo.Dir, Branch: branch, Steps: step})
	ref := p.trigger("odd")
	s.ok(ref)
	row := s.row(ref)
	require.Equal(t, commit, row.Commit.Revision)
	require.Equal(t, branch, row.Commit.Branch)
	require.Contains(t, row.Commit.Message, "$(touch ")
	require.Contains(t, s.logText(ref), "more=[$(touch "+touched+") `id` \"'\n-x]")
	for _, bad := range []string{"--upload-pack=touch " + touched, "-b", "main --upload-pack=x", "..", "a\nb", "refs/heads/../../x"} {
		name := fmt.Sprintf("bad-%x", bad)
		a := s.do(http.MethodPost, "/api/v1/state/data/environments/dev/builds/", client.Build{Name: name, Repo: p.repo.Dir, Branch: bad, Steps: step})
		if a.status >= 400 && a.status < 500 {
			continue
		}
		require.Less(t, a.status, 300, string(a.body))
		e := s.reaches(p.trigger(name), models.StatusFailed)
		require.NotEmpty(t, e.Reason)
	}
	require.NoFileExists(t, touched)
}

// S13, S14: sources that must not be read.
func TestS13RefusedSources(t *testing.T) {
	t.Parallel()
	// Neither local paths nor private addresses, as it is by default.
	s := newStack(t, stackOptions{sqlite: true, tune: func(c *config.Config) { c.AllowLocalSources, c.AllowPrivateAddresses = false, false }})
	require.NoError(t, s.client.AddProject(t.Context(), client.Project{Name: "refuse"}))
	require.NoError(t, s.client.AddEnvironment(t.Context(), "refuse", "dev"))
	asked := make(chan string, 100)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	victim := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() })}
	go func() { _ = victim.Serve(listener) }()
	t.Cleanup(func() { victim.Close() })
	port := listener.Addr().(*net.TCPAddr).Port
	local := testenv.GitRepo(t, map[string]string{"escape.yml": "name: refuse/app\nversion: 1.0.0\n"})
	for i, source := range []string{
		local.Dir, local.URL(), "git::" + local.URL(), "ext::sh -c touch% /tmp/x", "git::ext::sh -c id", "--upload-pack=id", "-oProxyCommand=id",
		"ssh://-oProxyCommand=id/x", "s3::https://bucket/x", "hg::https://example.com/x", "https://example.com/x.git?ref=main&depth=1",
		fmt.Sprintf("https://127.0.0.1:%d/x.git", port), fmt.Sprintf("https://localhost:%d/x.git", port), fmt.Sprintf("https://[::1]:%d/x.git", port),
		"https://169.254.169.254/latest/meta-data", "https://10.0.0.1/x.git", fmt.Sprintf("https://2130706433:%d/x.git", port), fmt.Sprintf("https://0x7f.1:%d/x.git", port),
		fmt.Sprintf("ssh://git@127.0.0.1:%d/x.git", port), fmt.Sprintf("http://127.0.0.1:%d/x.git", port), "https://[::ffff:169.254.169.254]/x",
	} {
		t.Run(source, func(t *testing.T) {
			name := fmt.Sprintf("source-%d", i)
			a := s.do(http.MethodPost, "/api/v1/state/refuse/environments/dev/builds/", client.Build{Name: name, Repo: source, Branch: "main",
				Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true}}})
			if a.status >= 400 && a.status < 500 {
				return
			}
			require.Less(t, a.status, 300, string(a.body))
			ref, err := s.client.TriggerBuild(t.Context(), "refuse", "dev", name)
			require.NoError(t, err)
			e := s.reaches(ref, models.StatusFailed)
			t.Log(e.Reason)
			require.Regexp(t, "not allowed|not supported|cannot be used", e.Reason)
		})
	}
	select {
	case got := <-asked:
		require.Fail(t, "an inner address was asked", got)
	default:
	}
}
