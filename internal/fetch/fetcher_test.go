package fetch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/knownhosts"

	"slipway/internal/netguard"
	"slipway/internal/runner"
)

// open is a policy for the servers of these tests.
var open = Policy{AllowHTTP: true, AllowLocal: true, Network: netguard.Policy{AllowPrivate: true}, Timeout: time.Minute}

type bench struct {
	*Fetcher
	spaces *runner.Workspaces
	hosts  string
}

func newBench(t testing.TB, policy Policy, users runner.UserRange) bench {
	t.Helper()
	s, err := runner.Start(runner.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	root, err := os.MkdirTemp("", "workspaces")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	spaces, err := runner.OpenWorkspaces(root, users)
	require.NoError(t, err)
	t.Cleanup(func() { spaces.Close() })
	hosts := filepath.Join(t.TempDir(), "known_hosts")
	return bench{New(Options{Runner: s, Workspaces: spaces, Policy: policy, KnownHosts: hosts}), spaces, hosts}
}

// fetch fetches into a new workspace.
func (b bench) fetch(t testing.TB, r Request) (Result, error) {
	t.Helper()
	space, err := b.spaces.Make()
	require.NoError(t, err)
	result, err := b.Fetch(t.Context(), space, r)
	left, globErr := filepath.Glob(filepath.Join(space.Temp, "*"))
	require.NoError(t, globErr)
	require.Empty(t, left, "nothing of the fetch is left but the source")
	return result, err
}

func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// failsWith checks the kind and text of an error.
func failsWith(t testing.TB, err error, kind Kind, text string) {
	t.Helper()
	var known *Error
	require.ErrorAs(t, err, &known)
	require.Equal(t, kind, known.Kind, known.Message)
	require.Contains(t, known.Message, text)
}

// contents checks that a result holds the named version of the plan.
func contents(t testing.TB, result Result, want string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(result.Dir, "escape.yml"))
	require.NoError(t, err)
	require.Equal(t, want, string(data))
}

func TestFetchOverEveryTransport(t *testing.T) {
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	key, signer := newKey(t, "ed25519")
	_, host := newKey(t, "ed25519")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	b := newBench(t, open, runner.UserRange{})
	for name, r := range map[string]Request{
		"path":  {URL: f.path},
		"file":  {URL: "file://" + escaped(f.path)},
		"http":  {URL: web.URL + "/my%20repo.git"},
		"http2": {URL: "git::" + web.URL + "//my%20repo.git/.git"},
		"ssh":   {URL: "ssh://deploy@" + shell.address + "/my%20repo.git", PrivateKey: key},
	} {
		t.Run(name, func(t *testing.T) {
			fetch := func(change func(*Request)) (Result, error) {
				r := r
				change(&r)
				return b.fetch(t, r)
			}
			result, err := fetch(func(*Request) {})
			require.NoError(t, err)
			require.Equal(t, Commit{Revision: f.second, Branch: "main", Message: "second", Author: "Ada $(id) <ada@example.com>"}, result.Commit)
			contents(t, result, "name: two\n")
			require.Empty(t, result.Warnings)
			require.Equal(t, "1", gitRun(t, result.Dir, "-c", "safe.directory=*", "rev-list", "--count", "HEAD"))

			if name == "file" || name == "http2" {
				return // the same as path and http from here on
			}
			result, err = fetch(func(r *Request) { r.FullHistory = true })
			require.NoError(t, err)
			require.Equal(t, "2", gitRun(t, result.Dir, "-c", "safe.directory=*", "rev-list", "--count", "HEAD"))

			result, err = fetch(func(r *Request) { r.Branch = oddBranch })
			require.NoError(t, err)
			require.Equal(t, Commit{Revision: f.odd, Branch: oddBranch, Message: oddMessage, Author: "Ada $(id) <ada@example.com>"}, result.Commit)
			require.NoFileExists(t, filepath.Join(result.Dir, "pwned"))

			result, err = fetch(func(r *Request) { r.Branch = "v1.0" })
			require.NoError(t, err)
			require.Equal(t, f.first, result.Commit.Revision)
			require.Equal(t, "v1.0", result.Commit.Branch)

			for _, id := range []string{f.first, strings.ToUpper(f.first[:8])} {
				result, err = fetch(func(r *Request) { r.Commit = id })
				require.NoError(t, err)
				require.Equal(t, f.first, result.Commit.Revision)
				require.Empty(t, result.Commit.Branch)
				contents(t, result, "name: one\n")
			}
			result, err = fetch(func(r *Request) { r.Branch, r.Commit = "main", f.second })
			require.NoError(t, err)
			require.Equal(t, "main", result.Commit.Branch)
			require.Equal(t, f.second, result.Commit.Revision)

			r.Branch = oddBranch
			commit, err := b.Resolve(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, f.odd, commit)
			r.Branch = "v1.0"
			commit, err = b.Resolve(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, f.first, commit)
			r.Branch = ""

			_, err = fetch(func(r *Request) { r.Branch = "nowhere" })
			failsWith(t, err, KindBranch, `the branch "nowhere" does not exist in `)
			_, err = fetch(func(r *Request) { r.Commit = strings.Repeat("12345678", 5) })
			failsWith(t, err, KindCommit, "the commit 1234567812345678123456781234567812345678 does not exist in ")
			_, err = fetch(func(r *Request) { r.URL = strings.ReplaceAll(strings.TrimSuffix(r.URL, "/.git"), "my", "no") })
			failsWith(t, err, KindNotFound, "does not exist")
		})
	}
	for _, user := range shell.users {
		require.Equal(t, "deploy", user)
	}
}

// A worker that runs as root fetches as the workspace's user, also over ssh and from folders of others.
func TestFetchAsTheWorkspacesUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	key, signer := newKey(t, "rsa")
	_, host := newKey(t, "rsa")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	b := newBench(t, open, runner.UserRange{First: 27210, Last: 27230})
	for name, address := range map[string]string{
		"local": f.path, "http": web.URL + "/my%20repo.git", "ssh": "ssh://" + shell.address + "/my%20repo.git",
	} {
		t.Run(name, func(t *testing.T) {
			space, err := b.spaces.Make()
			require.NoError(t, err)
			result, err := b.Fetch(t.Context(), space, Request{URL: address, PrivateKey: key})
			require.NoError(t, err)
			contents(t, result, "name: two\n")
			command := space.Command("/bin/sh", "-c", "echo x >>escape.yml && test -O .git/HEAD")
			exit, err := b.options.Runner.Run(t.Context(), command, runner.Output{})
			require.NoError(t, err)
			require.True(t, exit.OK(), exit.Reason())
			require.NoError(t, space.Wipe())
		})
	}
}

func TestHTTPCredentials(t *testing.T) {
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	b := newBench(t, open, runner.UserRange{})
	address := web.URL + "/private/my%20repo.git"
	_, err := b.fetch(t, Request{URL: address})
	failsWith(t, err, KindCredentials, "does not exist, or it needs credentials")
	_, err = b.fetch(t, Request{URL: address, Username: "ada", Password: "wrong"})
	failsWith(t, err, KindCredentials, "credentials")
	require.NotContains(t, err.Error(), "wrong")

	for _, r := range []Request{
		{URL: address, Username: "ada", Password: "pass word"},
		{URL: address, Password: "token"},
		{URL: strings.Replace(address, "http://", "http://ada:pass%20word@", 1)},
	} {
		result, err := b.fetch(t, r)
		require.NoError(t, err)
		config, err := os.ReadFile(filepath.Join(result.Dir, ".git", "config"))
		require.NoError(t, err)
		require.NotContains(t, string(config), "pass")
		require.NotContains(t, string(config), "token")
	}
}

func TestSSHKeys(t *testing.T) {
	f := newFixture(t)
	key, signer := newKey(t, "ed25519")
	other, _ := newKey(t, "ed25519")
	_, host := newKey(t, "ed25519")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	b := newBench(t, open, runner.UserRange{})
	address := "ssh://" + shell.address + "/my%20repo.git"

	result, err := b.fetch(t, Request{URL: address, PrivateKey: strings.ReplaceAll(key, "\n", "\r\n")})
	require.NoError(t, err)
	contents(t, result, "name: two\n")
	require.Equal(t, "git", shell.users[0], "the user where the URL names none")
	_, err = b.fetch(t, Request{URL: address, PrivateKey: other})
	failsWith(t, err, KindCredentials, "127.0.0.1 did not accept the private key")
	_, err = b.fetch(t, Request{URL: address})
	failsWith(t, err, KindCredentials, "asks for a private key, and none is given")
	_, err = b.fetch(t, Request{URL: address, PrivateKey: "-----BEGIN nonsense"})
	failsWith(t, err, KindCredentials, "the private key cannot be read")
	locked := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	_, err = b.fetch(t, Request{URL: address, PrivateKey: locked})
	failsWith(t, err, KindCredentials, "passphrase")
}

func TestSSHHostKeys(t *testing.T) {
	f := newFixture(t)
	key, signer := newKey(t, "ed25519")
	_, host := newKey(t, "ed25519")
	_, second := newKey(t, "rsa")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	b := newBench(t, open, runner.UserRange{})
	r := Request{URL: "ssh://" + shell.address + "/my%20repo.git", PrivateKey: key}

	strict := b.Fetcher.options
	strict.Policy.StrictHostKeys = true
	careful := bench{New(strict), b.spaces, b.hosts}
	_, err := careful.fetch(t, r)
	failsWith(t, err, KindHostKey, "is not among the known hosts")
	require.NoFileExists(t, b.hosts)

	_, err = b.fetch(t, r) // remembers
	require.NoError(t, err)
	known, err := os.ReadFile(b.hosts)
	require.NoError(t, err)
	require.Equal(t, knownhosts.Line([]string{knownhosts.Normalize(shell.address)}, host.PublicKey())+"\n", string(known))
	info, err := os.Stat(b.hosts)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = careful.fetch(t, r)
	require.NoError(t, err)
	_, err = b.Resolve(t.Context(), r)
	require.NoError(t, err)
	again, err := os.ReadFile(b.hosts)
	require.NoError(t, err)
	require.Equal(t, string(known), string(again))

	// A host that is known by one of its keys may offer others.
	several := serveSSH(t, f.root, "127.0.0.1:0", signer.PublicKey(), second, host)
	line := knownhosts.Line([]string{knownhosts.Normalize(several.address)}, second.PublicKey()) + "\n"
	require.NoError(t, os.WriteFile(b.hosts, []byte(line), 0o600))
	_, err = careful.fetch(t, Request{URL: "ssh://" + several.address + "/my%20repo.git", PrivateKey: key})
	require.NoError(t, err)

	// A changed key is refused in any case.
	_, other := newKey(t, "ed25519")
	line = knownhosts.Line([]string{knownhosts.Normalize(shell.address)}, other.PublicKey()) + "\n"
	require.NoError(t, os.WriteFile(b.hosts, []byte(line), 0o600))
	_, err = b.fetch(t, r)
	failsWith(t, err, KindHostKey, "has changed")
}

// S14: what begins with a dash, or is no name, is refused before anything is started; see also TestURLs.
func TestS14OptionsCannotBeInjected(t *testing.T) {
	f := newFixture(t)
	b := newBench(t, open, runner.UserRange{})
	marker := filepath.Join(t.TempDir(), "pwned")
	for _, branch := range []string{
		"-dash", "--upload-pack=touch " + marker, "--upload-pack=touch${IFS}" + marker, "main --depth=1", "a\nb", "a\x00b", "main~1", "main^{commit}",
		"main:escape.yml", "@{-1}", "HEAD", "@", "refs/../x", "a//b", "a.lock", ".a", "a/", "\xff", strings.Repeat("a", 251), "*", ":/second",
	} {
		_, err := b.fetch(t, Request{URL: f.path, Branch: branch})
		failsWith(t, err, KindBranch, "the branch name cannot be used")
		_, err = b.Resolve(t.Context(), Request{URL: f.path, Branch: branch})
		failsWith(t, err, KindBranch, "the branch name cannot be used")
	}
	for _, commit := range []string{"main", "-f", "123456", "HEAD~1", "1234567 ", strings.Repeat("a", 65)} {
		_, err := b.fetch(t, Request{URL: f.path, Commit: commit})
		failsWith(t, err, KindCommit, "hexadecimal digits")
	}
	require.NoFileExists(t, marker)
}

// S13, S14: forms of URLs, good and bad.
func TestS13S14URLs(t *testing.T) {
	closed := Policy{}
	for _, test := range []struct{ raw, want string }{
		{"https://example.com/a/b.git", "https://example.com/a/b.git"},
		{" git::https://example.com/a/b.git ", "https://example.com/a/b.git"},
		{"https://user:secret@example.com:8443//a//b/", "https://example.com:8443/a/b"},
		{"HTTPS://example.com/a", "https://example.com/a"},
		{"ssh://git@example.com:2222/a/b", "ssh://git@example.com:2222/a/b"},
		{"git@github.com:org/repo.git", "ssh://git@github.com/org/repo.git"},
		{"example.com:org/repo", "ssh://example.com/org/repo"},
		{"github.com/org/repo", "https://github.com/org/repo"},
		{"https://[2606:2800:220:1::1]/a", "https://[2606:2800:220:1::1]/a"},
		{"https://example.com/$(id)'", "https://example.com/$(id)'"},
	} {
		s, err := parseSource(test.raw, closed)
		require.NoError(t, err, test.raw)
		require.Equal(t, test.want, s.String())
	}
	for _, test := range []struct {
		raw  string
		kind Kind
		text string
	}{
		{"", KindURL, "empty"},
		{"file:///etc", KindURL, "local paths are not allowed"},
		{"/etc", KindURL, "local paths are not allowed"},
		{"git::file:///etc", KindURL, "local paths are not allowed"},
		{"git::/etc", KindURL, "local paths are not allowed"},
		{"./here", KindURL, "none of"},
		{"../here", KindURL, "none of"},
		{"~/here", KindURL, "none of"},
		{"http://example.com/a", KindURL, "not encrypted"},
		{"git://example.com/a", KindURL, "is not supported"},
		{"ftp://example.com/a", KindURL, "is not supported"},
		{"ext::sh -c touch% pwned", KindURL, "white space"},
		{"ext::sh", KindURL, `the transport "ext" is not supported`},
		{"git::ext::sh", KindURL, `the transport "ext" is not supported`},
		{"hg::https://example.com/a", KindURL, "is not supported"},
		{"s3::https://example.com/a", KindURL, "is not supported"},
		{"fd::17", KindURL, "is not supported"},
		{"--upload-pack=touch", KindURL, "begins with a dash"},
		{"git::--upload-pack=touch", KindURL, "begins with a dash"},
		{"-oProxyCommand=touch:x", KindURL, "begins with a dash"},
		{"ssh://-oProxyCommand=touch/x", KindURL, "is not a host name"},
		{"ssh://-oProxyCommand=touch@example.com/x", KindURL, "user name"},
		{"ssh://a$(id)@example.com/x", KindURL, "user name"},
		{"ssh://git:secret@example.com/x", KindURL, "private key"},
		{"git@-host:x", KindURL, "is not a host name"},
		{"git@exa`id`mple.com:x", KindURL, "is not a host name"},
		{"https://exa$mple.com/x", KindURL, "is not a host name"},
		{"https://example.com/a?ref=x", KindURL, "query"},
		{"https://example.com/a?sshkey=x", KindURL, "query"},
		{"https://example.com/a?", KindURL, "query"},
		{"https://example.com/a#x", KindURL, "query or a fragment"},
		{"https://example.com/a%0ab", KindURL, "control characters"},
		{"https://example.com/a\nb", KindURL, "white space or control characters"},
		{"https://example.com/a%00b", KindURL, "control characters"},
		{"https://example.com", KindURL, "names no repository"},
		{"https:///a", KindURL, "is not a host name"},
		{"https://example.com:0/a", KindURL, "is not a port"},
		{"https://example.com:99999/a", KindURL, "is not a port"},
		{"https://" + strings.Repeat("a", 3000), KindURL, "longer"},
		{"https://127.0.0.1/a", KindRefused, "connecting to 127.0.0.1 is not allowed: it is a loopback address"},
		{"https://[::1]/a", KindRefused, "loopback"},
		{"https://[::ffff:127.0.0.1]/a", KindRefused, "loopback"},
		{"https://[fe80::1%25eth0]/a", KindRefused, "link-local"},
		{"ssh://10.0.0.1/a", KindRefused, "private"},
		{"https://169.254.169.254/latest/meta-data", KindRefused, "metadata"},
	} {
		_, err := parseSource(test.raw, closed)
		failsWith(t, err, test.kind, test.text)
		require.NotContains(t, err.Error(), "secret")
		require.Error(t, CheckURL(test.raw, closed))
	}
	_, err := parseSource("file://host/etc", open)
	failsWith(t, err, KindURL, "has no host")
	_, err = parseSource("https://169.254.169.254/x", open)
	failsWith(t, err, KindRefused, "metadata")
}

// S13: names are checked when they are dialled, over http and over ssh, and metadata stays closed whatever is allowed.
func TestS13AddressesAreCheckedWhenDialled(t *testing.T) {
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	key, signer := newKey(t, "ed25519")
	_, host := newKey(t, "ed25519")
	shell := serveSSH(t, f.root, "", signer.PublicKey(), host)
	b := newBench(t, Policy{AllowHTTP: true}, runner.UserRange{})
	named := strings.Replace(web.URL, "127.0.0.1", "localhost", 1)
	for _, address := range []string{named + "/my%20repo.git", strings.Replace(named, "http:", "https:", 1) + "/my%20repo.git"} {
		_, err := b.fetch(t, Request{URL: address})
		failsWith(t, err, KindRefused, "connecting to localhost is not allowed: it is a loopback address")
		_, err = b.Resolve(t.Context(), Request{URL: address})
		failsWith(t, err, KindRefused, "localhost")
	}
	_, port, err := net.SplitHostPort(shell.address)
	require.NoError(t, err)
	_, err = b.fetch(t, Request{URL: "ssh://localhost:" + port + "/my%20repo.git", PrivateKey: key})
	failsWith(t, err, KindRefused, "connecting to localhost is not allowed")
	require.Empty(t, shell.users)
}

// S13: a redirect leads nowhere that the URL itself could not.
func TestS13Redirects(t *testing.T) {
	f := newFixture(t)
	inner := serveHTTP(t, f.root)
	reached := make(chan string, 100)
	secret := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	secret.Listener.Close()
	secret.Listener = listener
	secret.Start()
	defer secret.Close()
	redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		target := map[string]string{
			"good": inner.URL + "/" + escaped(rest), "inner": secret.URL + "/" + rest, "metadata": "http://169.254.169.254/" + rest,
			"file": "file://" + f.path, "loop": "/loop/" + rest,
		}[kind]
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
	}))
	defer redirects.Close()
	policy := Policy{AllowHTTP: true, Network: netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
	b := newBench(t, policy, runner.UserRange{})

	result, err := b.fetch(t, Request{URL: redirects.URL + "/good/my%20repo.git"})
	require.NoError(t, err)
	contents(t, result, "name: two\n")
	_, err = b.fetch(t, Request{URL: redirects.URL + "/inner/my%20repo.git"})
	failsWith(t, err, KindRefused, "connecting to 127.0.0.2 is not allowed")
	_, err = b.fetch(t, Request{URL: redirects.URL + "/metadata/my%20repo.git"})
	failsWith(t, err, KindRefused, "metadata")
	for _, kind := range []string{"file", "loop"} {
		_, err = b.fetch(t, Request{URL: redirects.URL + "/" + kind + "/my%20repo.git"})
		require.Error(t, err)
	}
	require.Empty(t, reached)
}

// S14: submodules, hooks and filters of a repository do nothing.
func TestS14SubmodulesAndHooksAreNotRun(t *testing.T) {
	f := newFixture(t)
	marker := filepath.Join(f.root, "pwned")
	gitRun(t, f.path, "checkout", "-q", "-b", "modules")
	require.NoError(t, os.WriteFile(filepath.Join(f.path, ".gitmodules"), []byte("[submodule \"x\"]\n\tpath = x\n\turl = "+f.path+
		"\n[submodule \"y\"]\n\tpath = y\n\turl = ext::touch "+marker+"\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(f.path, ".gitattributes"), []byte("* filter=evil\n"), 0o644))
	gitRun(t, f.path, "update-index", "--add", "--cacheinfo", "160000,"+f.first+",x")
	gitRun(t, f.path, "update-index", "--add", "--cacheinfo", "160000,"+f.first+",y")
	gitRun(t, f.path, "add", ".gitmodules", ".gitattributes")
	gitRun(t, f.path, "commit", "-q", "-m", "submodules")
	gitRun(t, f.path, "config", "uploadpack.packObjectsHook", "touch "+marker)
	for _, hook := range []string{"post-checkout", "post-upload-pack", "reference-transaction"} {
		require.NoError(t, os.WriteFile(filepath.Join(f.path, ".git", "hooks", hook), []byte("#!/bin/sh\ntouch "+marker+"\n"), 0o755))
	}
	b := newBench(t, open, runner.UserRange{})
	for _, depth := range []bool{true, false} {
		result, err := b.fetch(t, Request{URL: f.path, Branch: "modules", FullHistory: depth})
		require.NoError(t, err)
		require.Equal(t, []string{"the repository has submodules; they are not fetched"}, result.Warnings)
		entries, err := os.ReadDir(filepath.Join(result.Dir, "x"))
		require.NoError(t, err)
		require.Empty(t, entries)
		hooks, err := filepath.Glob(filepath.Join(result.Dir, ".git", "hooks", "*"))
		require.NoError(t, err)
		require.Empty(t, hooks)
		require.NoDirExists(t, filepath.Join(result.Dir, ".git", "modules"))
	}
	require.NoFileExists(t, marker)
	require.NoError(t, os.RemoveAll(filepath.Join(f.path, ".git", "hooks"))) // else the commit below would run them
	require.NoError(t, os.WriteFile(filepath.Join(f.path, ".gitmodules"), []byte("[submodule \"x\"]\n\tpath = x\n\turl = "+f.path+"\n\tupdate = !touch "+marker+"\n"), 0o644))
	gitRun(t, f.path, "add", ".gitmodules")
	gitRun(t, f.path, "commit", "-q", "-m", "command")
	_, err := b.fetch(t, Request{URL: f.path, Branch: "modules"})
	require.ErrorContains(t, err, "invalid value for 'submodule.x.update'")
	require.NoFileExists(t, marker)
}

// The machine's own git configuration and credentials are out of reach.
func TestConfigurationOfTheMachineIsNotUsed(t *testing.T) {
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[url \"http://nowhere.invalid/\"]\n\tinsteadOf = http://\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".netrc"), []byte("machine 127.0.0.1 login ada password pass\\ word\n"), 0o600))
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "url.http://nowhere.invalid/.insteadOf")
	t.Setenv("GIT_CONFIG_VALUE_0", "http://")
	t.Setenv("http_proxy", "http://nowhere.invalid")
	b := newBench(t, open, runner.UserRange{})
	_, err := b.fetch(t, Request{URL: web.URL + "/my%20repo.git"})
	require.NoError(t, err)
}

func TestLimitsOfSize(t *testing.T) {
	f := newFixture(t)
	web := serveHTTP(t, f.root)
	gitRun(t, f.path, "checkout", "-q", "-b", "large")
	noise := make([]byte, 3<<20)
	for i, x := 0, uint64(1); i < len(noise); i++ { // xorshift: nothing that zlib could shrink
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		noise[i] = byte(x)
	}
	require.NoError(t, os.WriteFile(filepath.Join(f.path, "noise"), noise, 0o644))
	gitRun(t, f.path, "add", "-A")
	gitRun(t, f.path, "commit", "-q", "-m", "large")
	gitRun(t, f.path, "checkout", "-q", "-b", "bomb", "main")
	for _, name := range []string{"a", "b", "c", "d"} { // one object, transferred in a few bytes
		require.NoError(t, os.WriteFile(filepath.Join(f.path, name), make([]byte, 900<<10), 0o644))
	}
	gitRun(t, f.path, "add", "-A")
	gitRun(t, f.path, "commit", "-q", "-m", "bomb")

	policy := open
	policy.MaxBytes = 2 << 20
	b := newBench(t, policy, runner.UserRange{})
	for _, address := range []string{f.path, web.URL + "/my%20repo.git"} {
		for _, branch := range []string{"large", "bomb"} {
			_, err := b.fetch(t, Request{URL: address, Branch: branch})
			failsWith(t, err, KindTooLarge, "the source is larger than the allowed 2 MiB")
		}
		_, err := b.fetch(t, Request{URL: address, Branch: "main"})
		require.NoError(t, err)
	}
	policy.MaxFiles = 10
	b = newBench(t, policy, runner.UserRange{})
	_, err := b.fetch(t, Request{URL: f.path, Branch: "main"})
	failsWith(t, err, KindTooLarge, "")
}

// hanging is a server that never answers.
func hanging(t testing.TB) (address string, connected <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	c := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			c <- struct{}{}
		}
	}()
	return "http://" + listener.Addr().String(), c
}

func TestTimeoutAndCancel(t *testing.T) {
	address, connected := hanging(t)
	policy := open
	policy.Timeout = 700 * time.Millisecond
	b := newBench(t, policy, runner.UserRange{})
	_, err := b.Resolve(t.Context(), Request{URL: address + "/x"})
	failsWith(t, err, KindTimeout, "the source could not be fetched within 700ms")
	<-connected

	b = newBench(t, open, runner.UserRange{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-connected; cancel() }()
	_, err = b.Resolve(ctx, Request{URL: address + "/x"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	listener.Close()
	b := newBench(t, open, runner.UserRange{})
	for _, scheme := range []string{"http", "https", "ssh"} {
		_, err = b.Resolve(t.Context(), Request{URL: scheme + "://" + address + "/x"})
		failsWith(t, err, KindUnreachable, "could not connect to 127.0.0.1: connection refused")
	}
	_, err = b.Resolve(t.Context(), Request{URL: "https://" + strings.TrimPrefix(serveHTTP(t, t.TempDir()).URL, "http://") + "/x"})
	failsWith(t, err, KindUnreachable, "127.0.0.1")
	empty := t.TempDir()
	gitRun(t, empty, "init", "-q", "--bare", ".")
	_, err = b.Resolve(t.Context(), Request{URL: empty})
	failsWith(t, err, KindBranch, "is empty")
}

func TestFolderMustBeEmpty(t *testing.T) {
	f := newFixture(t)
	b := newBench(t, open, runner.UserRange{})
	space, err := b.spaces.Make()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(space.Source, "mine"), nil, 0o600))
	_, err = b.Fetch(t.Context(), space, Request{URL: f.path})
	require.ErrorContains(t, err, "is not empty")
	require.FileExists(t, filepath.Join(space.Source, "mine"))
}

func TestCommandsAreNotForPeople(t *testing.T) {
	s, err := runner.Start(runner.Options{})
	require.NoError(t, err)
	defer s.Close()
	for _, argument := range []string{"fetch", "fetch-dial"} {
		exit, err := s.Run(t.Context(), runner.Command{Argv: []string{"/proc/self/exe", argument}, Dir: t.TempDir()}, runner.Output{})
		require.NoError(t, err)
		require.NotZero(t, exit.Code)
	}
}

func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{"https://example.com/a", "git@host:a/b", "ext::sh", "ssh://-o@h/x", "/etc", "a.b/c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := parseSource(raw, Policy{})
		if err != nil {
			var known *Error
			require.True(t, errors.As(err, &known))
			return
		}
		text := s.String()
		require.True(t, strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "ssh://"), text)
		require.False(t, strings.HasPrefix(s.Host, "-") || strings.ContainsAny(text, "\n\x00 ?#"), text)
		again, err := parseSource(text, Policy{})
		require.NoError(t, err, text)
		require.Equal(t, text, again.String())
	})
}
