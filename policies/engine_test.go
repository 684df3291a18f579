package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func reader(scope string) Subject {
	return Subject{Kind: KindUser, ID: "u", Name: "ann", Grants: []Grant{{Scope: scope, Role: RoleRead}}}
}

func allowed(t *testing.T, e *Engine, s Subject, action string, scopes ...string) bool {
	t.Helper()
	ok, err := e.Allow(t.Context(), s, action, Resource{Kind: "thing", ID: "x", Scopes: scopes})
	require.NoError(t, err)
	return ok
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

const readersTrigger = `{"slipway":{"actions":{"build:trigger":"read"}}}`

func TestS7UnknownActionIsDeniedToEverybody(t *testing.T) {
	e, err := New(Options{})
	require.NoError(t, err)
	require.False(t, allowed(t, e, Subject{Kind: KindUser, ID: "root", Admin: true}, "build:explode", "p"))
	require.False(t, e.Known("build:explode"))
	require.True(t, e.Known("build:read"))
	require.Contains(t, e.Actions(), "log:write")
}

func TestS7DataAloneChangesTheRoles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "data.json", readersTrigger)
	e, err := New(Options{Path: dir})
	require.NoError(t, err)
	require.True(t, allowed(t, e, reader("p"), "build:trigger", "p"))
	require.False(t, allowed(t, e, reader("p"), "build:create", "p"), "the embedded data must stay below the operator's")
}

func TestS7DataInFoldersAndYAML(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "slipway/actions/data.yaml", "build:trigger: read\n")
	e, err := New(Options{Path: dir})
	require.NoError(t, err)
	require.True(t, allowed(t, e, reader("p"), "build:trigger", "p"))
}

func TestS7Bundle(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range map[string]string{"/data.json": readersTrigger, "/authz.rego": embeddedPolicy} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	e, err := New(Options{Path: path})
	require.NoError(t, err)
	require.True(t, allowed(t, e, reader("p"), "build:trigger", "p"))
}

// A mounted ConfigMap is links all the way: the folder's files point into a hidden folder.
func TestS7FolderOfLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "real/..v1/data.json", readersTrigger)
	require.NoError(t, os.Symlink("..v1/data.json", filepath.Join(dir, "real", "data.json")))
	require.NoError(t, os.Symlink("real", filepath.Join(dir, "mounted")))
	e, err := New(Options{Path: filepath.Join(dir, "mounted")})
	require.NoError(t, err)
	require.True(t, allowed(t, e, reader("p"), "build:trigger", "p"))
}

func TestS7BadSourcesAreRefused(t *testing.T) {
	const head = "package slipway.authz\n"
	for name, c := range map[string]struct{ file, content, want string }{
		"syntax":             {"a.rego", head + "allow if {", "rego_parse_error"},
		"undefined function": {"a.rego", head + "default allow := false\nvisible := nope(1)", "undefined function"},
		"no entry point":     {"a.rego", head + "default allow := false", "no rule visible"},
		"other package":      {"a.rego", "package mine\ndefault allow := false", "no rule allow"},
		"reaches out":        {"a.rego", head + "allow if http.send({\"method\":\"get\",\"url\":\"http://127.0.0.1\"}).status_code == 200\nvisible := {\"all\":false,\"scopes\":[]}", "undefined function http.send"},
		"reads environment":  {"a.rego", head + "allow if opa.runtime().env.HOME == \"\"\nvisible := {\"all\":false,\"scopes\":[]}", "undefined function opa.runtime"},
		"allows everything":  {"a.rego", head + "allow := true\nvisible := {\"all\":true,\"scopes\":[]}", "does not deny by default"},
		"wrong shape":        {"a.rego", head + "default allow := false\nvisible := [\"p1\"]", "no object"},
		"wrong list":         {"a.rego", head + "default allow := false\nvisible := {\"all\":false,\"scopes\":[1]}", "no list of ids"},
		"no boolean":         {"a.rego", head + "default allow := false\nvisible := {\"scopes\":[]}", "no boolean"},
		"conflict":           {"a.rego", head + "default allow := false\nvisible := {\"all\":true,\"scopes\":[]} if true\nvisible := {\"all\":false,\"scopes\":[]} if true", "conflict"},
		"misspelt role":      {"data.json", `{"slipway":{"actions":{"build:read":"raed"}}}`, "raed"},
		"misspelt limit":     {"data.json", `{"slipway":{"token_roles":{"token:create":"any"}}}`, "token_roles"},
		"not JSON":           {"data.json", `{"slipway":`, "data.json"},
		"nothing":            {"readme.txt", "hello", "neither rules"},
		"not data":           {"settings.json", "{}", "neither rules"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.file, c.content)
			_, err := New(Options{Path: dir})
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := New(Options{Path: filepath.Join(t.TempDir(), "missing")})
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(t.TempDir(), "policy.zip")
	require.NoError(t, os.WriteFile(file, []byte("PK"), 0o600))
	_, err = New(Options{Path: file})
	require.ErrorContains(t, err, "neither a folder of policies nor a bundle")
}

// S7: a bad bundle keeps the old one, and is reported once, not at every look.
func TestS7BadChangeKeepsTheOldPolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "data.json", readersTrigger)
	e, err := New(Options{Path: dir})
	require.NoError(t, err)

	changed, err := e.Reload(t.Context())
	require.NoError(t, err)
	require.False(t, changed, "nothing changed")

	write(t, dir, "data.json", `{"slipway":`)
	_, err = e.Reload(t.Context())
	require.Error(t, err)
	_, err = e.Reload(t.Context())
	require.NoError(t, err, "the same mistake is reported once")
	require.True(t, allowed(t, e, reader("p"), "build:trigger", "p"), "the old policy must stay")

	write(t, dir, "data.json", `{"slipway":{"actions":{"build:trigger":"write"}}}`)
	changed, err = e.Reload(t.Context())
	require.NoError(t, err)
	require.True(t, changed)
	require.False(t, allowed(t, e, reader("p"), "build:trigger", "p"))

	require.NoError(t, os.RemoveAll(dir))
	_, err = e.Reload(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = e.Reload(t.Context())
	require.NoError(t, err)
	require.True(t, allowed(t, e, reader("p"), "build:read", "p"), "the last good policy must stay")
}

// seen is a log that tells when a line arrived.
type seen struct {
	lines chan string
}

func (s seen) Write(p []byte) (int, error) {
	select {
	case s.lines <- string(p):
	default:
	}
	return len(p), nil
}

func TestS7WatchReplacesThePolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "data.json", readersTrigger)
	log := seen{lines: make(chan string, 10)}
	e, err := New(Options{Path: dir, Poll: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.Watch(ctx) }()
	write(t, dir, "data.json", `{"slipway":{"actions":{"build:trigger":"owner"}}}`)
	for !strings.Contains(<-log.lines, "policy replaced") {
		// A poll may have met the half-written file first; it says so and goes on.
		continue
	}
	require.False(t, allowed(t, e, reader("p"), "build:trigger", "p"))
	cancel()
	<-done
}

// S7, S9: the decision log names the subject and the decision, and holds nothing that opens a door.
func TestS7DecisionLogHasNoSecrets(t *testing.T) {
	var b bytes.Buffer
	e, err := New(Options{Log: slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	s := reader("p1")
	s.Token = Token{ID: "token-id", Role: RoleRead}
	require.True(t, allowed(t, e, s, "build:read", "p1"))
	_, err = e.Visible(t.Context(), s, "build:read")
	require.NoError(t, err)
	require.Contains(t, b.String(), `"allow":true`)
	require.Contains(t, b.String(), `"token":"token-id"`)
	require.NotContains(t, b.String(), "grants")

	quiet, err := New(Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	require.NoError(t, err)
	require.True(t, allowed(t, quiet, s, "build:read", "p1"))
}

func TestPreparedSubjectFollowsItsFields(t *testing.T) {
	e, err := New(Options{})
	require.NoError(t, err)
	s := reader("p").Prepare()
	require.True(t, allowed(t, e, s, "build:read", "p"))
	s.Grants = []Grant{{Scope: "q", Role: RoleRead}}
	require.False(t, allowed(t, e, s, "build:read", "p"), "new grants must not meet the old input")
	s = Subject{Kind: KindUser, ID: "u", Admin: true}.Prepare()
	s.Admin = false
	require.False(t, allowed(t, e, s, "build:read", "p"))
	s = reader("p").Prepare()
	s.Token.Scopes = []string{"q"}
	require.False(t, allowed(t, e, s, "build:read", "p"))
	s = reader("p").Prepare()
	s.Kind = KindConsumer
	require.False(t, allowed(t, e, s, "build:read", "p"))
}

func TestEndedContextIsAnErrorAndADenial(t *testing.T) {
	e, err := New(Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ok, _ := e.Allow(ctx, Subject{Kind: KindAnonymous}, "build:read", Resource{Scopes: []string{"p"}})
	require.False(t, ok)
}

func TestS6MayGrant(t *testing.T) {
	e, err := New(Options{})
	require.NoError(t, err)
	scope := Resource{Kind: "project", ID: "p", Scopes: []string{"p", "org"}}
	may := func(s Subject, role string) bool {
		ok, err := e.MayGrant(t.Context(), s, role, scope)
		require.NoError(t, err)
		return ok
	}
	with := func(role string) Subject {
		return Subject{Kind: KindUser, ID: "u", Grants: []Grant{{Scope: "p", Role: role}}}
	}
	admin := Subject{Kind: KindUser, ID: "root", Admin: true}
	for _, role := range GrantableRoles {
		require.True(t, may(with(RoleOwner), role))
		require.True(t, may(admin, role))
		require.False(t, may(with(RoleWrite), role))
		require.False(t, may(with(RoleRead), role))
	}
	for _, role := range []string{RoleAdmin, "", "superuser"} {
		require.False(t, may(admin, role), "%q is not grantable", role)
	}
	limited := with(RoleOwner)
	limited.Token.Role = RoleWrite
	require.False(t, may(limited, RoleRead), "a limited token must not grant")
}

// S6: a limited token makes no wider one.
func TestS6TokenMayIssue(t *testing.T) {
	full, read, p := Token{}, Token{Role: RoleRead}, Token{Scopes: []string{"p"}}
	require.True(t, full.MayIssue(full))
	require.True(t, full.MayIssue(read))
	require.True(t, read.MayIssue(read))
	require.False(t, read.MayIssue(full))
	require.False(t, read.MayIssue(Token{Role: RoleWrite}))
	require.True(t, p.MayIssue(Token{Role: RoleRead, Scopes: []string{"p"}}))
	require.False(t, p.MayIssue(full))
	require.False(t, p.MayIssue(Token{Scopes: []string{"p", "q"}}))
}
