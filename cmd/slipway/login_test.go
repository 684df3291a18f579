package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/app"
	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/password"
	"slipway/internal/testenv"
	"slipway/models"
)

// apiOnly is a Slipway that serves its API and runs nothing.
func apiOnly(t *testing.T, auth string) (*app.App, http.Handler) {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Defaults()
	cfg.DataDir, cfg.DatabaseURL, cfg.Auth, cfg.LogLevel = dir, config.Secret("sqlite:"+filepath.Join(dir, "slipway.db")), auth, "error"
	require.NoError(t, cfg.Check())
	a, err := app.Open(t.Context(), cfg, app.Options{Migrate: true, Process: "api"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	handler, err := a.API()
	require.NoError(t, err)
	return a, handler
}

func TestLogin(t *testing.T) {
	a, handler := apiOnly(t, "token")
	server := httptest.NewServer(handler)
	defer server.Close()
	hash, err := password.Hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	require.NoError(t, a.Store.CreateUser(t.Context(), &models.User{Name: "ann", PasswordHash: hash}))
	c := newCLI(t)

	// With a password: the server makes a token, and a logout ends it.
	out, err := c.try("correct horse battery\n", "login", server.URL, "--name", "here", "--user", "ann", "--password-stdin")
	require.NoError(t, err)
	require.Equal(t, "Logged in to "+server.URL+" as ann. This login is called 'here'.\n", out)
	file, err := client.ContextsFile()
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	folder, err := os.Stat(filepath.Dir(file))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), folder.Mode().Perm())
	kept, err := client.OpenContexts(file)
	require.NoError(t, err)
	token := kept.Contexts["here"].Token
	require.NotEmpty(t, token)
	require.NotContains(t, c.run("context", "list", "-o", "json")+c.run("context", "list")+c.run("whoami", "-o", "json"), token)
	require.Equal(t, server.URL+": user ann\n", c.run("whoami"))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(data), "horse", "the password is not kept")

	// With a token, by file, by standard input and by the environment, under other names; the last login is the current one.
	ann, err := a.Store.UserByName(t.Context(), "ann")
	require.NoError(t, err)
	own, err := a.Store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: ann.ID, Role: "read"})
	require.NoError(t, err)
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(own+"\n"), 0o600))
	c.run("login", server.URL, "--token-file", tokenFile)
	byHost := strings.ReplaceAll(strings.TrimPrefix(server.URL, "http://"), ":", "-")
	require.Contains(t, c.run("context", "list"), "*  "+byHost+"  ann   "+server.URL)
	require.Equal(t, server.URL+": user ann, with a token that can read\n", c.run("whoami"))
	require.Equal(t, server.URL+": user ann\n", c.run("whoami", "--context", "here"))
	require.Contains(t, c.run("context", "use", "here"), "The current login is 'here'")
	require.Equal(t, server.URL+": user ann\n", c.run("whoami"))
	t.Setenv(contextVariable, byHost)
	require.Contains(t, c.run("whoami"), "can read")
	t.Setenv(contextVariable, "")
	t.Setenv(tokenVariable, own)
	require.Contains(t, c.run("whoami"), "can read", "SLIPWAY_TOKEN wins over the login's")
	require.NotContains(t, c.run("whoami", "--context", "here"), "can read", "but not over --context")
	c.run("login", server.URL, "--name", "env")
	t.Setenv(urlVariable, "http://127.0.0.1:1")
	c.fails(exitUnreachable, "http://127.0.0.1:1 cannot be reached", "whoami")
	t.Setenv(tokenVariable, "")
	t.Setenv(urlVariable, server.URL)
	require.Contains(t, c.run("whoami"), "user ann", "a login to the same server will do")
	t.Setenv(urlVariable, "")

	// A logout ends what a password made, and nothing else.
	require.Contains(t, c.run("logout", "--context", "here"), "Forgot the login 'here'")
	t.Setenv(urlVariable, server.URL)
	t.Setenv(tokenVariable, token)
	require.Eventually(t, func() bool { _, err := c.try("", "whoami"); return err != nil }, 5*time.Second, 20*time.Millisecond, "the token has ended")
	c.fails(exitNotAllowed, "Run slipway login, or set SLIPWAY_TOKEN", "whoami")
	t.Setenv(tokenVariable, own)
	c.run("logout", "--context", "env")
	require.Contains(t, c.run("whoami"), "user ann")
	t.Setenv(urlVariable, "")
	t.Setenv(tokenVariable, "")
	c.fails(exitUsage, "there is no login 'here', which --context names", "whoami", "--context", "here")
	c.fails(exitUsage, "there is no login 'here'", "context", "use", "here")

	// What is wrong, and never the secret.
	for _, bad := range []struct {
		code        int
		stdin, want string
		args        []string
	}{
		{exitNotAllowed, "wrong password\n", "does not know a user 'ann' with that password", []string{server.URL, "-u", "ann", "--password-stdin"}},
		{exitNotAllowed, "slw_wrong-secret\n", "does not accept this token", []string{server.URL, "--token-file", "-"}},
		{exitUsage, "\n", "the token is empty", []string{server.URL, "--token-file", "-"}},
		{exitUsage, "", "there is no terminal to ask on", []string{server.URL}},
		{exitUsage, "", "--password-stdin needs --user", []string{server.URL, "--password-stdin"}},
		{exitUsage, "", "do not go together", []string{server.URL, "--user", "ann", "--token-file", "-"}},
		{exitUsage, "", "is no address", []string{"localhost:7770", "--token-file", "-"}},
		{exitUsage, "", "is no name for a context", []string{server.URL, "--name", "../x"}},
		{exitUsage, "", "is not the address of a server", []string{"ftp://host", "--token-file", "-"}},
		{exitUsage, "", "accepts 1 arg(s), received 0", nil},
		{exitUnreachable, "x\n", "cannot be reached", []string{"http://127.0.0.1:1", "--token-file", "-"}},
	} {
		out, err := c.try(bad.stdin, append([]string{"login"}, bad.args...)...)
		require.ErrorContains(t, err, bad.want)
		require.Equal(t, bad.code, exitCode(err), err.Error())
		if secret := strings.TrimSpace(bad.stdin); secret != "" && secret != "x" {
			require.NotContains(t, out+err.Error(), secret)
		}
	}
	require.NoError(t, os.Chmod(file, 0o644))
	c.fails(exitFailed, "others can read "+file, "context", "list")
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	c.fails(exitFailed, "cannot be read", "context", "list")
}

// pemOf is the certificate of a server, for --ca-cert.
func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// A certificate that nobody vouches for is refused unless the user says otherwise, and says so each time.
func TestLoginOverTLS(t *testing.T) {
	_, handler := apiOnly(t, "none")
	server := httptest.NewTLSServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client that does not trust it
	defer server.Close()
	c := newCLI(t)
	c.fails(exitUnreachable, "is not trusted", "login", server.URL)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pemOf(server), 0o600))
	out := c.run("login", server.URL, "--ca-cert", ca)
	require.Contains(t, out, "The server asks for no login: everybody who reaches it is an administrator.")
	require.NotContains(t, out, "Warning")
	c.run("pipeline", "list")
	out = c.run("login", server.URL, "--insecure")
	require.Contains(t, out, "Warning: the certificate of "+server.URL+" is not checked.")
	c.run("pipeline", "list")
	c.fails(exitFailed, "holds no certificate", "login", server.URL, "--ca-cert", os.Args[0])
	out, err := c.try("x", "login", "http://slipway.invalid", "--token-file", "-")
	require.Error(t, err)
	require.Contains(t, out, "Warning: http://slipway.invalid is not encrypted.")
}

// Redirects are not followed: they would turn a trigger into a read, and the token is for one server.
func TestClientFollowsNoRedirect(t *testing.T) {
	var seen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.URL.Path) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusMovedPermanently))
	defer server.Close()
	c := newCLI(t)
	t.Setenv(urlVariable, server.URL)
	t.Setenv(tokenVariable, "secret")
	c.fails(exitFailed, "sends elsewhere (status 301): log in with the address that it really has", "pipeline", "run", "a", "b")
	require.Empty(t, seen)
}

// What a server answers is said in its words, with what the process ends with.
func TestClientExplainsAnswers(t *testing.T) {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "r1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c := newCLI(t)
	t.Setenv(urlVariable, server.URL)
	t.Setenv(tokenVariable, "very-secret-token")
	for _, answer := range []struct {
		status int
		body   string
		code   int
		want   string
	}{
		{400, "bad thing", exitFailed, "bad thing"},
		{401, "", exitNotAllowed, "the token is missing, wrong, or has ended"},
		{403, "you may only read", exitNotAllowed, "does not allow it: you may only read"},
		{404, "", exitNotFound, "there is no pipeline 'p' in project 'shop' that you may see"},
		{409, "the pipeline 'p' is disabled", exitFailed, "the pipeline 'p' is disabled"},
		{409, `{"error":{"kind":"conflict","message":"it is busy","fields":[{"name":"x","message":"more"}]}}`, exitFailed, "it is busy; x: more"},
		{500, "", exitFailed, "request r1: look into its log"},
		{503, "Temporal is away", exitUnreachable, "is not ready: Temporal is away"},
		{200, "<html>", exitFailed, "not what was expected"},
	} {
		status, body = answer.status, answer.body
		out, err := c.try("", "pipeline", "run", "shop", "p")
		require.ErrorContains(t, err, answer.want)
		require.Equal(t, answer.code, exitCode(err), err.Error())
		require.NotContains(t, out+err.Error(), "very-secret")
	}
}

// Commands that there are not, and flags that there are not, are mistakes of usage; a group alone shows its help.
func TestGoldenUsage(t *testing.T) {
	c := newCLI(t)
	c.fails(exitUsage, "slipway has no command 'pipline'; did you mean pipeline?", "pipline")
	c.fails(exitUsage, "slipway pipeline has no command 'rnu'", "pipeline", "rnu")
	c.fails(exitUsage, "unknown flag: --nope; see slipway executions --help", "executions", "--nope")
	c.fails(exitUsage, "accepts 2 arg(s), received 1: slipway pipeline run PROJECT PIPELINE", "pipeline", "run", "shop")
	c.fails(exitUsage, "expected table or json", "executions", "-o", "yaml")
	t.Setenv(urlVariable, "http://127.0.0.1:1")
	c.fails(exitUsage, "expected 1 to 1000", "executions", "--limit", "0")
	require.Contains(t, c.run("pipeline"), "Available Commands:")
	testenv.Golden(t, "testdata/help.txt", []byte(c.run("--help")))
}

// TestGoldenTables: what people see, at two widths.
func TestGoldenTables(t *testing.T) {
	now := time.Now()
	var list []client.AnyExecution
	require.NoError(t, json.Unmarshal([]byte(`[
		{"id":"01a20265-faf2-71b7-bf9d-128464e7caaa","kind":"pipeline","project":"shop","subject":"ship","number":12,"outcome":"waiting","trigger":{"subject_name":"ann"}},
		{"id":"01a20265-fb0d-783e-9121-ec2417d0ac90","kind":"build","project":"shop","environment":"dev","subject":"web","number":7,"outcome":"failed","reason":"script build.sh of web-v0.1.0\nexited with status 3","trigger":{"subject_name":"ann"}}]`), &list))
	for i := range list {
		started := now.Add(-90 * time.Second)
		finished := started.Add(12 * time.Second)
		list[i].CreatedAt, list[i].StartedAt, list[i].FinishedAt = started, &started, &finished
	}
	var b strings.Builder
	for _, width := range []int{0, 100, 80} {
		b.WriteString(strings.Repeat("-", width) + "\n")
		t1 := executionTable(list)
		require.NoError(t, t1.print(&b, "", width))
	}
	testenv.Golden(t, "testdata/executions.txt", []byte(b.String()))
	for d, want := range map[time.Duration]string{0: "0s", 1500 * time.Millisecond: "1.5s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 26 * time.Hour: "26h00m", 72 * time.Hour: "3d", -time.Second: "0s"} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "just now", ago(now.Add(time.Hour), now))
}

// A wrong port is the likeliest mistake: what answers there must not be taken for a Slipway that asks for no login.
func TestLoginAtSomethingElse(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("slw_x\n"), 0o600))
	for name, handler := range map[string]http.HandlerFunc{
		"JSON": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code": 5, "message": "Not Found"}`, http.StatusNotFound)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><title>Hello</title>")
		},
		"text": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t)
			server := httptest.NewServer(handler)
			defer server.Close()
			c.fails(exitUnreachable, "does not answer as a Slipway does: is that the right address?", "login", server.URL, "--token-file", token)
			require.Equal(t, "You are not logged in anywhere.\n", c.run("context", "list"))
		})
	}
	c := newCLI(t)
	t.Setenv(urlVariable, "127.0.0.1:7770")
	c.fails(exitUsage, "'127.0.0.1:7770' is not the address of a server: expected one such as http://127.0.0.1:7770", "executions")
}
