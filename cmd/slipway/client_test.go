package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
	"slipway/models"
)

// output is what a command has printed so far; a test can wait for a part of it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced with every write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the output has a text, and gives all of it.
func (o *output) await(t *testing.T, want string) string {
	t.Helper()
	for {
		o.mu.Lock()
		text, more := o.text.String(), o.more
		o.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-more:
		case <-t.Context().Done():
			require.Fail(t, "the output never had it", "%q in:\n%s", want, text)
		}
	}
}

// cli runs slipway as a user with a configuration folder of its own.
type cli struct{ t *testing.T }

func newCLI(t *testing.T) *cli {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{urlVariable, tokenVariable, contextVariable} {
		t.Setenv(name, "")
	}
	return &cli{t}
}

// start runs a command; the function returned waits for its end.
func (c *cli) start(ctx context.Context, stdin string, out *output, args ...string) (wait func() error) {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(out)
	root.SetErr(out)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	return func() error { return <-done }
}

// try runs a command to its end.
func (c *cli) try(stdin string, args ...string) (string, error) {
	out := newOutput()
	err := c.start(c.t.Context(), stdin, out, args...)()
	return out.String(), err
}

// run runs a command that works.
func (c *cli) run(args ...string) string {
	c.t.Helper()
	out, err := c.try("", args...)
	require.NoError(c.t, err, "%v: %s", args, out)
	return out
}

// fails runs a command that must not work.
func (c *cli) fails(code int, want string, args ...string) {
	c.t.Helper()
	out, err := c.try("", args...)
	require.ErrorContains(c.t, err, want, "%v: %s", args, out)
	require.Equal(c.t, code, exitCode(err), "%v: %s", args, err)
}

// proxy stands between a command and the API, and can take the API away.
type proxy struct {
	t       *testing.T
	address string
	to      string
	mu      sync.Mutex
	l       net.Listener
	open    map[net.Conn]bool
}

func newProxy(t *testing.T, to string) *proxy {
	p := &proxy{t: t, to: to, address: "127.0.0.1:0", open: map[net.Conn]bool{}}
	p.up()
	t.Cleanup(p.down)
	return p
}

func (p *proxy) up() {
	l, err := net.Listen("tcp", p.address)
	require.NoError(p.t, err)
	p.address = l.Addr().String()
	p.mu.Lock()
	p.l = l
	p.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.open[in], p.open[out] = true, true
			p.mu.Unlock()
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				to.Close()
				from.Close()
			}
			go pipe(in, out)
			go pipe(out, in)
		}
	}()
}

func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l.Close()
	for c := range p.open {
		c.Close()
		delete(p.open, c)
	}
}

// shop is a Slipway with a project whose build, deployment job and pipeline do something to look at.
type shop struct {
	*devStack
	gate string // a pipe: the deployment waits until somebody writes to it
}

const shopPlan = `name: shop/web
version: 0.1.@
inputs:
- id: gate
build: {inline: "echo building"}
deploy: deploy.sh
smoke: {inline: "echo smoking"}
destroy: {inline: "exit 9"}
errands:
  greet: {description: Says hello, run: {inline: "echo hello $INPUT_name"}, inputs: [name]}
`

const shopDeploy = `#!/bin/sh
for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done
read x < "$INPUT_gate"
for i in 11 12 13 14 15 16 17 18 19 20; do echo line $i; done
`

func newShop(t *testing.T) *shop {
	t.Helper()
	if _, err := temporaldev.FindCommand(); err != nil {
		testenv.Unavailable(t, "temporal", err.Error())
	}
	t.Setenv("SLIPWAY_DATABASE_URL", "")
	d, err := startDev(context.Background(), devOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.stop()) })
	s := &shop{devStack: d, gate: filepath.Join(t.TempDir(), "gate")}
	require.NoError(t, syscall.Mkfifo(s.gate, 0o600))
	ctx := t.Context()
	api, err := client.New(d.url, d.token, nil)
	require.NoError(t, err)
	repository := testenv.GitRepo(t, map[string]string{"escape.yml": shopPlan, "deploy.sh": shopDeploy})
	require.NoError(t, api.AddProject(ctx, client.Project{Name: "shop"}))
	require.NoError(t, api.AddEnvironment(ctx, "shop", "dev"))
	require.NoError(t, api.AddNamespace(ctx, "shop", "shop"))
	require.NoError(t, api.AddBuild(ctx, "shop", "dev", client.Build{Name: "web", Repo: repository.Dir, Branch: "main",
		Steps: []client.BuildStep{{PlanLocation: "escape.yml", RunBuild: true, PushRelease: true, Variables: map[string]string{"gate": s.gate}}}}))
	require.NoError(t, api.AddDeploymentJob(ctx, "shop", client.DeploymentJob{Name: "web", Environment: "dev", Release: "shop/web", Inputs: map[string]any{"gate": s.gate}}))
	require.NoError(t, api.AddPipeline(ctx, "shop", client.Pipeline{Name: "ship", Phases: []client.PipelinePhase{
		{Name: "build", Steps: []client.PipelineStep{{Name: "build web", Type: client.StepBuild, Environment: "dev", Build: "web"}}},
		{Name: "ask", Steps: []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}}},
		{Name: "deploy", Steps: []client.PipelineStep{{Name: "deploy web", Type: client.StepDeploy, Environment: "dev", Deployment: "web"}}},
	}}))
	return s
}

// pass lets one deployment go on.
func (s *shop) pass(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.gate, []byte("\n"), 0))
}

// idIn is the execution that a command says it has started.
func idIn(text string) string {
	_, rest, _ := strings.Cut(text, "Execution ")
	id, _, _ := strings.Cut(rest, " ")
	return id
}

// deployed are the lines that the deployment prints, with prefix.
func deployed(prefix string) string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "%sline %d\n", prefix, i+1)
	}
	return b.String()
}

// linesWith are the lines of a text that begin in one way.
func linesWith(text, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestClient takes a user through the commands, against a real stack.
func TestClient(t *testing.T) {
	s, c := newShop(t), newCLI(t)
	between := newProxy(t, strings.TrimPrefix(s.url, "http://"))

	c.fails(exitNotAllowed, "you are not logged in: run slipway login URL, or set SLIPWAY_URL and SLIPWAY_TOKEN", "executions")
	out, err := c.try(s.token+"\n", "login", s.url+"/", "--name", "dev", "--token-file", "-")
	require.NoError(t, err)
	require.Equal(t, "Logged in to "+s.url+" as admin. This login is called 'dev'.\n", out)
	require.Equal(t, s.url+": user admin, an administrator\n", c.run("whoami"))
	require.Contains(t, c.run("executions"), "There are no such executions")
	require.Equal(t, "PROJECT  PIPELINE  PHASES  STATUS\nshop     ship      3       new\n", c.run("pipeline", "list"))
	require.Equal(t, c.run("pipeline", "list"), c.run("pipeline", "list", "shop"))
	require.Contains(t, c.run("pipeline", "show", "shop", "ship"), "shop/ship has not run yet.")
	require.Contains(t, c.run("build", "list", "shop"), "shop     dev          web    new     main")
	require.Contains(t, c.run("jobs"), "shop     dev          web  shop/web  latest   new")
	require.Equal(t, "Nothing is deployed that you may see.\n", c.run("deployments"))
	require.Equal(t, "Nothing was deployed there.\n", c.run("history", "shop", "dev"))
	c.fails(exitNotFound, "there is no project 'ghost' that you may see", "deployments", "ghost")
	c.fails(exitNotFound, "the project has no environment 'ghost'", "history", "shop", "ghost")
	c.fails(exitNotFound, "the project has no pipeline 'shpi'", "pipeline", "run", "shop", "shpi")
	c.fails(exitNotFound, "there is no build 'web' in environment 'dev' of project 'ghost' that you may see", "build", "run", "ghost", "dev", "web")

	t.Run("a pipeline is followed through an outage, and approved", func(t *testing.T) {
		c := &cli{t}
		t.Setenv(urlVariable, "http://"+between.address)
		t.Setenv(tokenVariable, s.token)
		followed := newOutput()
		wait := c.start(t.Context(), "", followed, "pipeline", "run", "shop", "ship", "--follow")
		id := idIn(followed.await(t, "of pipeline ship.\n"))
		text := followed.await(t, "slipway pipeline approve "+id)
		require.Contains(t, text, "* go?: a decision is awaited of anybody who may write\n    "+s.url)
		require.Regexp(t, id+` +shop/ship #1 +go\? +anybody who may write .* admin`, c.run("approvals"))
		require.Regexp(t, `2 ask +go\? +confirmation +waiting`, c.run("pipeline", "show", "shop", "ship"))
		c.fails(exitFailed, "no step 'elsewhere' that waits", "pipeline", "approve", id, "--step", "elsewhere")
		require.Equal(t, "You approved 'go?' of shop/ship, execution 1.\n", c.run("pipeline", "approve", id))
		require.Equal(t, "No decision waits for you.\n", c.run("approvals"))
		followed.await(t, "deploy web | line 10\n")
		between.down()
		followed.await(t, "* the server does not answer; execution "+id+" goes on, and it is asked again\n")
		s.pass(t) // more is printed while nobody listens
		between.up()
		require.NoError(t, wait())
		text = followed.String()
		require.Contains(t, text, "* the server answers again\n")
		require.Equal(t, deployed("deploy web | "), linesWith(text, "deploy web | line"), "nothing is missed or repeated")
		require.Equal(t, "build web | building\n", linesWith(text, "build web | building"))
		require.Regexp(t, `\* go\?: ok: approved by admin\n(?s:.*)\* deploy web: ok\n\* ok after [0-9.]+s\n$`, text)
		c.fails(exitFailed, "has ended: ok", "pipeline", "approve", id)

		require.Equal(t, deployed("deploy web | "), linesWith(c.run("logs", id), "deploy web | line"))
		require.Equal(t, "deploy web | line 20\n", linesWith(c.run("logs", id, "--tail", "2"), "deploy web | line"))
		again := c.run("logs", "-f", id)
		require.Equal(t, deployed("deploy web | "), linesWith(again, "deploy web | line"), "one that has ended too")
		require.Regexp(t, `(?s)Execution +`+id+`\nOf +pipeline ship, number 1\n.*Status +ok\n.*build +shop +dev +web`, c.run("executions", "show", id))
		require.Contains(t, c.run("executions", "show", c.only(t, "build")), "Release      shop/web-v0.1.0")
		require.Regexp(t, `(?m)^shop +dev +web +shop/web +0\.1\.0 +ok +just now +admin$`, c.run("deployments"))
		require.Equal(t, c.run("deployments"), c.run("deployments", "shop"))
		require.Regexp(t, `"version": "0\.1\.0",\s+"status": "ok",\s+"changed_at": "20`, c.run("deployments", "shop", "-o", "json"))
		require.Regexp(t, `^WHEN .*\n.* web +deploy +shop/web +0\.1\.0 +ok +admin\n`, c.run("history", "shop", "dev", "web"))
		require.Equal(t, 2, strings.Count(c.run("history", "shop", "dev", "--limit", "1"), "\n"), "the heading and one entry")
	})

	t.Run("Ctrl-C detaches, and cancel cancels", func(t *testing.T) {
		c := &cli{t}
		ctx, interrupt := context.WithCancel(t.Context())
		followed := newOutput()
		wait := c.start(ctx, "", followed, "deploy", "shop", "dev", "web", "-f")
		followed.await(t, "line 10\n")
		interrupt()
		err := wait()
		id := idIn(followed.String())
		require.EqualError(t, err, "execution "+id+" goes on without you. To follow it again: slipway logs -f "+id+"; to end it: slipway cancel "+id)
		require.Equal(t, exitDetached, exitCode(err))
		require.Regexp(t, id+` +deployment +shop +dev +web +2 +running`, c.run("executions", "--status", "open"))

		followed = newOutput()
		wait = c.start(t.Context(), "", followed, "logs", "-f", id)
		followed.await(t, "line 10\n")
		require.Contains(t, c.run("cancel", id), "Execution "+id+" of deployment web was asked to end.")
		err = wait()
		require.EqualError(t, err, "execution "+id+" was cancelled: cancelled by admin")
		require.Equal(t, exitCancelled, exitCode(err))
		c.fails(exitFailed, "has ended already: cancelled", "cancel", id)
		require.Contains(t, c.run("executions", "--status", "cancelled", "--project", "shop", "--kind", "deployment"), id)

		out := newOutput()
		wait = c.start(t.Context(), "", out, "retry", id, "--follow", "-o", "json")
		out.await(t, `"message":"line 10"`)
		s.pass(t)
		require.NoError(t, wait())
		var lines []string
		var last map[string]any
		for line := range strings.Lines(out.String()) {
			last = nil
			require.NoError(t, json.Unmarshal([]byte(line), &last))
			if last["type"] == "log" {
				lines = append(lines, last["line"].(map[string]any)["message"].(string))
			}
		}
		require.Contains(t, lines, "line 20")
		require.Equal(t, "end", last["type"])
		ended := last["execution"].(map[string]any)
		require.Equal(t, []any{"ok", id, "retry"}, []any{ended["outcome"], ended["retry_of"], ended["trigger"].(map[string]any)["type"]})
		c.fails(exitUsage, "--from is for pipelines", "retry", id, "--from", "start")
	})

	t.Run("what fails ends with 1, what is started with an id", func(t *testing.T) {
		c := &cli{t}
		out, err := c.try("", "deploy", "shop", "dev", "web", "--version", "9.9", "--follow")
		require.ErrorContains(t, err, "failed: the release 'shop/web-v9.9' was not found in the inventory")
		require.Equal(t, exitFailed, exitCode(err))
		require.Equal(t, 1, strings.Count(out, "was not found"), "told once: %s", out)
		require.Equal(t, "smoking\n", linesWith(c.run("smoke", "shop", "dev", "web", "-f"), "smok"))
		require.Equal(t, "hello ann\n", linesWith(c.run("errand", "shop", "dev", "web", "greet", "-i", "name=ann", "-f"), "hello"))
		_, err = c.try("", "destroy", "shop", "dev", "web", "-f")
		require.ErrorContains(t, err, "exited with status 9")
		var started map[string]string
		require.NoError(t, json.Unmarshal([]byte(c.run("build", "run", "shop", "dev", "web", "--branch", "main", "-o", "json")), &started))
		c.run("logs", "-f", started["id"])
	})

	t.Run("lists for programs are the API's own", func(t *testing.T) {
		c := &cli{t}
		api, err := client.New(s.url, s.token, nil)
		require.NoError(t, err)
		list, err := api.Executions(t.Context(), client.ExecutionFilter{PageSize: 2})
		require.NoError(t, err)
		require.JSONEq(t, string(list.JSON), c.run("executions", "--limit", "2", "-o", "json"))
		pipelines, err := api.Pipelines(t.Context())
		require.NoError(t, err)
		require.JSONEq(t, string(pipelines.JSON), c.run("pipeline", "list", "-o", "json"))
	})

	t.Run("one of two who approve", func(t *testing.T) {
		c := &cli{t}
		api, err := client.New(s.url, s.token, nil)
		require.NoError(t, err)
		require.NoError(t, api.AddPipeline(t.Context(), "shop", client.Pipeline{Name: "two", Phases: []client.PipelinePhase{
			{Name: "ask", Steps: []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation, Approvals: 2}}},
		}}))
		followed := newOutput()
		wait := c.start(t.Context(), "", followed, "pipeline", "run", "shop", "two", "--follow")
		id := idIn(followed.await(t, "of pipeline two.\n"))
		followed.await(t, "slipway pipeline approve "+id)
		require.Equal(t, "You approved 'go?' of shop/two, execution 1. It still waits: 1 of 2 have approved.\n", c.run("pipeline", "approve", id))
		c.fails(exitFailed, "you have approved", "pipeline", "approve", id)
		var answer map[string]any
		require.NoError(t, json.Unmarshal([]byte(c.run("pipeline", "disapprove", id, "-o", "json")), &answer))
		require.Equal(t, map[string]any{"execution": id, "step": "go?", "decision": "disapproved", "status": "disapproved", "approvals": 1.0, "approvals_needed": 2.0}, answer)
		require.Equal(t, exitFailed, exitCode(wait()))
	})

	t.Run("a search of assets has no log, and is followed", func(t *testing.T) {
		c := &cli{t}
		organization, err := s.app.Store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
		require.NoError(t, err)
		request, err := http.NewRequest(http.MethodPost, s.url+"/tenants/"+organization.ID+"/inventory/assets/searches", strings.NewReader(`{"data":{"type":"searches","attributes":{}}}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Token "+s.token)
		request.Header.Set("Content-Type", "application/vnd.api+json")
		answer, err := http.DefaultTransport.RoundTrip(request) // it is answered with a redirect, which is not followed
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusFound, answer.StatusCode)
		id := c.only(t, "asset-search")
		require.Regexp(t, `(?s)\* ok after [0-9.]+m?s\n$`, c.run("logs", "-f", id))
		require.Contains(t, c.run("logs", "-f", id, "-o", "json"), `{"type":"status","execution_id":"`+id+`","outcome":"ok"}`)
		c.fails(exitFailed, "executions of kind asset-search have no log", "logs", id)
		c.fails(exitFailed, "executions of kind asset-search cannot be cancelled here", "cancel", id)
		c.fails(exitFailed, "executions of kind asset-search cannot be retried here", "retry", id)
	})

	t.Run("completion", func(t *testing.T) {
		c := &cli{t}
		words := func(args ...string) []string {
			out, err := c.try("", append([]string{"__completeNoDesc"}, args...)...)
			require.NoError(t, err)
			return strings.Fields(strings.Split(out, ":4")[0])
		}
		require.Equal(t, []string{"shop"}, words("pipeline", "run", ""))
		require.Equal(t, []string{"ship", "two"}, words("pipeline", "show", "shop", ""))
		require.Equal(t, []string{"shop"}, words("build", "run", ""))
		require.Equal(t, []string{"dev"}, words("build", "run", "shop", ""))
		require.Equal(t, []string{"web"}, words("deploy", "shop", "dev", ""))
		require.Equal(t, []string{"shop"}, words("executions", "--project", ""))
		require.Equal(t, []string{"dev"}, words("whoami", "--context", ""))
		require.Contains(t, words("logs", ""), c.only(t, "pipeline"))
		require.Empty(t, words("deploy", "ghost", ""))
		require.Empty(t, words("deploy", "shop", "dev", "web", ""))
		for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
			require.Contains(t, c.run("completion", shell), "slipway")
		}
	})

	t.Run("as a process", func(t *testing.T) {
		c := &cli{t}
		// The exit statuses, and Ctrl-C as a terminal sends it.
		self, err := os.Executable()
		require.NoError(t, err)
		code := func(args ...string) int {
			cmd := exec.CommandContext(t.Context(), self, args...)
			cmd.Env = append(os.Environ(), runMain+"=1")
			var exit *exec.ExitError
			if err := cmd.Run(); errors.As(err, &exit) {
				return exit.ExitCode()
			} else if err != nil {
				t.Error(err)
			}
			return 0
		}
		require.Equal(t, 0, code("executions"))
		require.Equal(t, exitUsage, code("executions", "--no-such-flag"))
		require.Equal(t, exitNotFound, code("logs", "nothing"))
		cmd := exec.CommandContext(t.Context(), self, "deploy", "shop", "dev", "web", "--follow")
		cmd.Env = append(os.Environ(), runMain+"=1")
		printed := newOutput()
		cmd.Stdout, cmd.Stderr = printed, printed
		require.NoError(t, cmd.Start())
		printed.await(t, "line 10\n")
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit)
		require.Equal(t, exitDetached, exit.ExitCode())
		id := idIn(printed.String())
		require.Contains(t, printed.String(), "slipway: execution "+id+" goes on without you.")
		c.run("cancel", id)
		_, err = c.try("", "logs", "-f", id)
		require.Equal(t, exitCancelled, exitCode(err))
	})
}

// only is the newest execution of a kind.
func (c *cli) only(t *testing.T, kind string) string {
	t.Helper()
	var list []client.AnyExecution
	require.NoError(t, json.Unmarshal([]byte(c.run("executions", "--kind", kind, "--limit", "1", "-o", "json")), &list))
	require.Len(t, list, 1)
	return list[0].ID
}
