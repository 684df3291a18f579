package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/models"
)

const greeterPlan = `name: team/greeter
version: 0.1.@
description: Greets
includes: [conf]
inputs:
- {id: greeting, default: hello}
- {id: password, sensitive: true, default: hunter22}
outputs:
- {id: url, scopes: [deploy]}
build: build.sh
test: {inline: "test -f built"}
deploy: deploy.sh
smoke: {inline: "echo $OUTPUT_url"}
destroy: {inline: "echo gone"}
`

// greeter writes a plan with its scripts into a folder and makes that the current one.
func greeter(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"escape.yml": greeterPlan, "conf/a.conf": "a=1\n", "build.sh": "#!/bin/sh\ntouch built\necho \"building $INPUT_greeting\"\n",
		"deploy.sh": "#!/bin/sh\necho \"with $INPUT_password\" >&2\necho \"{\\\"url\\\":\\\"http://$INPUT_greeting\\\"}\" > $1\n"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	t.Chdir(dir)
	return dir
}

func TestPlanCheck(t *testing.T) {
	dir, c := greeter(t), newCLI(t)
	require.Equal(t, "escape.yml is sound: it would make team/greeter-v0.1.0.\n", c.run("plan", "check"))
	require.JSONEq(t, `{"ok":true,"release":"team/greeter-v0.1.0","warnings":[],"errors":[]}`, c.run("plan", "check", "-o", "json"))
	require.Contains(t, c.run("plan", "check", "--override-version", "3.0", "--override-namespace", "other"), "other/greeter-v3.0")
	require.NoFileExists(t, filepath.Join(dir, defaultState), "nothing is run")
	for text, want := range map[string]string{
		"name: team/greeter\nversion: 1.@\nbuild: ./nothere.sh\n":            "bad.yml:3: field 'build': ",
		"name: team/greeter\nversion: one\n":                                 "bad.yml:2: field 'version': Invalid version string 'one'.",
		"name: team/greeter\nversion: '1'\ndepends:\n- team/none-latest\n":   "bad.yml:4: field 'depends': the release 'team/none-latest' was not found in the inventory",
		"name: team/greeter\nversion: '1'\nmetadata: {a: '$this.nothing'}\n": "field 'metadata'",
		"name: [unclosed\n": "bad.yml",
		"version: '1'\n":    "name",
		"name: team/greeter\nversion: '1'\ninputs: [{id: a, type: colour}]\n":        "field 'inputs'",
		"name: team/greeter\nversion: '1'\nbuild_inputs: [{id: 1x, type: string}]\n": "field 'build_inputs'",
	} {
		require.NoError(t, os.WriteFile("bad.yml", []byte(text), 0o600))
		c.fails(exitFailed, want, "plan", "check", "--plan", "bad.yml")
		out, err := c.try("", "plan", "check", "--plan", "bad.yml", "-o", "json")
		require.Error(t, err)
		var answer struct {
			OK     bool        `json:"ok"`
			Errors []planFault `json:"errors"`
		}
		require.NoError(t, json.Unmarshal([]byte(out), &answer))
		require.False(t, answer.OK)
		require.Len(t, answer.Errors, 1)
		require.Equal(t, "bad.yml", answer.Errors[0].File)
	}
	c.fails(exitFailed, "none.yml: the plan cannot be read: no such file or directory", "plan", "check", "--plan", "none.yml")
	c.fails(exitUsage, "do not go together", "plan", "check", "--inventory", "x", "--remote")
	c.fails(exitNotAllowed, "you are not logged in", "plan", "check", "--remote")
	t.Setenv(urlVariable, "http://127.0.0.1:1")
	c.fails(exitUnreachable, "http://127.0.0.1:1 cannot be reached", "plan", "check", "--remote")
}

// Everything that is wrong is told at once, a line each, as editors read it.
func TestPlanCheckTellsEverything(t *testing.T) {
	c := newCLI(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("escape.yml", []byte("name: Greeter\nversion: '1'\nbuild: ./nothere.sh\ninputs: [1x, {id: a, type: colour}]\n"), 0o600))
	want := "slipway: escape.yml:1: field 'name': Invalid name 'Greeter'\nslipway: escape.yml:3: field 'build': missing script ./nothere.sh\n" +
		"slipway: escape.yml:4: field 'inputs': Invalid variable id '1x': expected letters, then letters, digits, '-' and '_'\nslipway: escape.yml:4: field 'inputs': Unknown variable type 'colour'\n"
	cmd := program(t.Context(), nil, "plan", "check", "--inventory", t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Equal(t, want, stderr.String())
	out, err := c.try("", "plan", "check", "-o", "json", "--inventory", t.TempDir())
	require.Error(t, err)
	var answer struct {
		OK     bool        `json:"ok"`
		Errors []planFault `json:"errors"`
	}
	first, _, _ := strings.Cut(out, "\n")
	require.NoError(t, json.Unmarshal([]byte(first), &answer), out)
	require.False(t, answer.OK)
	require.Len(t, answer.Errors, 4)
	require.Equal(t, planFault{"escape.yml", 3, "build", "missing script ./nothere.sh"}, answer.Errors[1])
}

func TestPlanPreview(t *testing.T) {
	greeter(t)
	c := newCLI(t)
	text := c.run("plan", "preview")
	for _, want := range []string{"team/greeter-v0.1.0\n", "greeting  string  build,deploy  hello\n", "password  string  build,deploy  ***\n", "conf/a.conf",
		"1  build    team/greeter-v0.1.0  team/greeter  build.sh\n", "6  destroy  team/greeter-v0.1.0  team/greeter  echo gone\n"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hunter22")
	require.NotContains(t, c.run("plan", "preview", "--skip", "destroy,destroy-build"), "echo gone")
	var answer struct {
		Metadata json.RawMessage `json:"metadata"`
		Files    []string        `json:"files"`
		Scripts  []struct{ Step, Release, Deployment, Runs string }
	}
	require.NoError(t, json.Unmarshal([]byte(c.run("plan", "preview", "-o", "json", "-d", "mine", "--only", "deploy")), &answer))
	require.Equal(t, []string{"build.sh", "conf/a.conf", "deploy.sh"}, answer.Files)
	require.Equal(t, []struct{ Step, Release, Deployment, Runs string }{{"deploy", "team/greeter-v0.1.0", "mine", "deploy.sh"}}, answer.Scripts)
	m, err := release.Decode(answer.Metadata)
	require.NoError(t, err)
	require.Equal(t, "team/greeter-v0.1.0", m.ID().String())
	require.NoFileExists(t, defaultState)
	require.NoFileExists(t, "built")
}

// What people put into their configuration folder is found before all other programs, by scripts and as a command.
func TestPlanRunFindsOwnPrograms(t *testing.T) {
	c := newCLI(t)
	t.Chdir(t.TempDir())
	config, err := os.UserConfigDir()
	require.NoError(t, err)
	bin := filepath.Join(config, "slipway", ".bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	for _, name := range []string{"true", "slipway-test-own-program"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho own $1\n"), 0o755))
	}
	require.NoError(t, os.WriteFile("escape.yml", []byte("name: team/own\nversion: '1'\npre_build: {cmd: 'true', args: [command]}\nbuild: {inline: slipway-test-own-program script}\n"), 0o600))
	out := c.run("plan", "run", "--only", "build")
	require.Contains(t, out, "own command\n")
	require.Contains(t, out, "own script\n")
}

// check and preview change nothing: they warn of scripts that a run makes executable.
func TestPlanCheckLeavesModes(t *testing.T) {
	greeter(t)
	c := newCLI(t)
	mode := func() os.FileMode {
		info, err := os.Stat("build.sh")
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.NoError(t, os.Chmod("build.sh", 0o644))
	const warning = "the script build.sh is not executable; a run makes it so"
	require.JSONEq(t, `{"ok":true,"release":"team/greeter-v0.1.0","warnings":["`+warning+`"],"errors":[]}`, c.run("plan", "check", "-o", "json"))
	require.Contains(t, c.run("plan", "preview", "-o", "json"), warning)
	require.Equal(t, os.FileMode(0o644), mode())
	c.run("plan", "run", "--only", "build")
	require.Equal(t, os.FileMode(0o755), mode())
}

func TestPlanRun(t *testing.T) {
	dir, c := greeter(t), newCLI(t)
	text := c.run("plan", "run", "-v", "greeting=a,b=c")
	for _, want := range []string{"building a,b=c\n", "with ***\n", "http://a,b=c\n", "Packaged team/greeter-v0.1.0: 3 files.\n", "The package is " + filepath.Join(dir, ".escape/target/greeter-v0.1.0.tgz") + "\n"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hunter22")
	archive, err := os.Open(".escape/target/greeter-v0.1.0.tgz")
	require.NoError(t, err)
	defer archive.Close()
	_, err = release.CheckArchive(archive, release.ID{Project: "team", Name: "greeter", Version: "0.1.0"}, release.DefaultLimits)
	require.NoError(t, err)

	// What is deployed stands in the state file, in the shape of the client's; it holds secrets.
	out, err := c.try("", "plan", "run", "--only", "build,deploy", "--push", "-o", "json", "-d", "mine", "--project", "shop")
	require.NoError(t, err)
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	require.JSONEq(t, `{"ok":true,"release":"team/greeter-v0.1.0","package":"`+filepath.Join(dir, ".escape/target/greeter-v0.1.0.tgz")+`","pushed":true,"skipped":false}`, last)
	data, err := os.ReadFile(defaultState)
	require.NoError(t, err)
	project, err := state.DecodeProject(data)
	require.NoError(t, err)
	require.Equal(t, "local", project.Name, "the name counts for a new file only")
	stage := project.Environments["dev"].Deployments["mine"].Stages[state.StageDeploy]
	require.Equal(t, []any{state.OK, "0.1.0", "http://hello", "hunter22"}, []any{stage.CodeOf(), stage.Version, stage.CalculatedOutputs["url"], stage.CalculatedInputs["password"]})
	info, err := os.Stat(defaultState)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// The release is in the inventory: the next one follows it, and others can depend on it.
	require.Contains(t, c.run("plan", "check"), "team/greeter-v0.1.1")
	require.Contains(t, c.run("plan", "run", "--skip-if-exists", "--override-version", "0.1.0"), "there is nothing to do")
	c.fails(exitFailed, "the release team/greeter-v0.1.0 is already in the inventory", "plan", "run", "--push", "--override-version", "0.1.0")
	require.Contains(t, c.run("plan", "run", "--push", "--force", "--only", "build", "--override-version", "0.1.0"), "Pushed team/greeter-v0.1.0 in the place of")
	require.NoError(t, os.WriteFile("other.yml", []byte("name: team/other\nversion: '1'\ndepends: [team/greeter-latest as g]\ndeploy: {inline: 'ls deps/team/greeter/deploy.sh'}\n"), 0o600))
	require.Contains(t, c.run("plan", "preview", "--plan", "other.yml"), "team/greeter-v0.1.0  depends  g")
	require.Contains(t, c.run("plan", "run", "--plan", "other.yml", "--only", "deploy"), "deps/team/greeter/deploy.sh\n")
	require.Contains(t, c.run("plan", "run", "--only", "destroy", "-d", "mine", "--override-version", "0.1.0"), "gone\n")

	// Failures.
	require.NoError(t, os.WriteFile("deploy.sh", []byte("#!/bin/sh\necho $INPUT_password\nexit 7\n"), 0o755))
	out, err = c.try("", "plan", "run", "--only", "deploy", "-o", "json")
	require.EqualError(t, err, "script deploy.sh of greeter-v0.1.1 exited with status 7")
	require.Equal(t, exitFailed, exitCode(err))
	require.Contains(t, out, `"ok":false,"release":"team/greeter-v0.1.1","pushed":false,"skipped":false,"reason":"script","message":"script deploy.sh of greeter-v0.1.1 exited with status 7","exit_code":7}`)
	require.Equal(t, 1, strings.Count(strings.Split(out, `{"ok"`)[0], "exited with status 7"), "told once: %s", out)
	require.NoError(t, os.WriteFile(defaultState, []byte("{"), 0o600))
	c.fails(exitFailed, "the state file escape_state.json: Invalid JSON", "plan", "run")
	for _, args := range [][]string{{"--only", "bulid"}, {"--only", "build", "--skip", "test"}, {"-e", "No"}, {"--project", "-"}, {"-v", "x"}, {"--force", "--remote"}, {"-o", "yaml"}, {"extra"}} {
		out, err := c.try("", append([]string{"plan", "run"}, args...)...)
		require.Error(t, err, "%v: %s", args, out)
		require.Equal(t, exitUsage, exitCode(err), "%v: %s", args, err)
	}
}

// Downloads go through the same child process as on workers.
func TestPlanRunDownloads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fetched\n")) }))
	defer server.Close()
	t.Chdir(t.TempDir())
	c := newCLI(t)
	require.NoError(t, os.WriteFile("escape.yml", []byte("name: team/dl\nversion: '1'\ndownloads: [{url: '"+server.URL+"/f', dest: sub/f.txt}]\nbuild: {inline: 'cat sub/f.txt'}\n"), 0o600))
	require.Contains(t, c.run("plan", "run", "--only", "build"), "fetched\n")
	server.Close()
	require.NoError(t, os.Remove("sub/f.txt"))
	c.fails(exitFailed, "the download of "+server.URL+"/f for dl-v1: ", "plan", "run", "--only", "build")
}

// slowPlan starts a run whose script, with a child that ignores SIGTERM, does not end. wrapper, if any, is a shell command that
// becomes the run. It gives the run, what it prints and its script's child.
func slowPlan(t *testing.T, wrapper string) (*exec.Cmd, *output, int) {
	t.Helper()
	t.Chdir(t.TempDir())
	newCLI(t)
	require.NoError(t, os.WriteFile("escape.yml", []byte("name: team/slow\nversion: '1'\ndeploy: deploy.sh\n"), 0o600))
	require.NoError(t, os.WriteFile("deploy.sh", []byte("#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$ > child; mkfifo never; echo started; read x < never' &\nwait\n"), 0o755))
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "plan", "run", "--only", "deploy")
	if wrapper != "" {
		cmd = exec.CommandContext(t.Context(), "sh", "-c", wrapper+` exec "$0" plan run --only deploy`, self)
	}
	cmd.Env = append(os.Environ(), runMain+"=1")
	printed := newOutput()
	cmd.Stdout, cmd.Stderr = printed, printed
	require.NoError(t, cmd.Start())
	printed.await(t, "started\n")
	data, err := os.ReadFile("child")
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	require.NoError(t, err)
	t.Cleanup(func() {
		if !gone(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return cmd, printed, pid
}

// requireCutOff waits for the end of a slowPlan that got a signal: its script is gone and the state says what happened.
func requireCutOff(t *testing.T, cmd *exec.Cmd, printed *output, child int) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, exitCancelled, exit.ExitCode(), printed.String())
	require.Contains(t, printed.String(), "slipway: script deploy.sh of slow-v1 was cancelled\n")
	require.Eventually(t, func() bool { return gone(child) }, 5*time.Second, 5*time.Millisecond, "process %d goes on", child)
	kept, err := os.ReadFile(defaultState)
	require.NoError(t, err)
	project, err := state.DecodeProject(kept)
	require.NoError(t, err)
	require.Equal(t, state.Failure, project.Environments["dev"].Deployments["team/slow"].Stages[state.StageDeploy].CodeOf())
}

// Ctrl-C ends the script with all that it started, also what ignores SIGTERM; the state says what happened. So do the other
// signals of a terminal, and a terminal that closes sends SIGHUP twice: from the system and from the shell.
func TestPlanRunInterrupted(t *testing.T) {
	for name, signals := range map[string][]os.Signal{"SIGINT": {os.Interrupt}, "SIGTERM": {syscall.SIGTERM}, "SIGHUP": {syscall.SIGHUP, syscall.SIGHUP}, "SIGQUIT": {syscall.SIGQUIT}} {
		t.Run(name, func(t *testing.T) {
			cmd, printed, child := slowPlan(t, "")
			for _, s := range signals {
				require.NoError(t, cmd.Process.Signal(s))
			}
			requireCutOff(t, cmd, printed, child)
		})
	}
}

// Under nohup a run outlives its terminal.
func TestPlanRunUnderNohup(t *testing.T) {
	cmd, printed, child := slowPlan(t, "trap '' HUP;")
	status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skip("needs /proc")
	}
	_, mask, _ := strings.Cut(string(status), "SigIgn:\t")
	mask, _, _ = strings.Cut(mask, "\n")
	ignored, err := strconv.ParseUint(mask, 16, 64)
	require.NoError(t, err)
	require.NotZero(t, ignored&(1<<(uint(syscall.SIGHUP)-1)), "SIGHUP stays ignored")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	requireCutOff(t, cmd, printed, child)
}

// gone says whether a process has ended; one that nobody has waited for has ended too.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// TestPlanAgainstASlipway: what is packed on a laptop is deployed by a Slipway, and what that has built is used on a laptop.
func TestPlanAgainstASlipway(t *testing.T) {
	s, c := newShop(t), newCLI(t)
	_, err := c.try(s.token, "login", s.url, "--token-file", "-")
	require.NoError(t, err)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("escape.yml", []byte("name: shop/local\nversion: 1.@\nincludes: [data]\ninputs: [{id: where, default: here}]\ndeploy: {inline: 'echo deployed $INPUT_where; ls data'}\n"), 0o600))
	require.NoError(t, os.Mkdir("data", 0o755))
	require.NoError(t, os.WriteFile("data/file.txt", bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600))
	out := c.run("plan", "run", "--remote", "--push", "--only", "package")
	require.Contains(t, out, "Pushed shop/local-v1.0.\n")
	require.Contains(t, c.run("plan", "check", "--remote"), "shop/local-v1.1", "the server counts")
	c.fails(exitFailed, "the release shop/local-v1.0 is already in the inventory", "plan", "run", "--remote", "--push", "--only", "package", "--override-version", "1.0")
	api, err := client.New(s.url, s.token, nil)
	require.NoError(t, err)
	require.NoError(t, api.AddDeploymentJob(t.Context(), "shop", client.DeploymentJob{Name: "local", Environment: "dev", Release: "shop/local", Inputs: map[string]any{"where": "there"}}))
	out = c.run("deploy", "shop", "dev", "local", "-f")
	require.Contains(t, out, "deployed there\nfile.txt\n")

	c.run("build", "run", "shop", "dev", "web", "-f")
	require.NoError(t, os.WriteFile("user.yml", []byte("name: shop/user\nversion: '1'\ndepends: [{release_id: shop/web-latest as web, scopes: [deploy], mapping: {gate: /dev/null}}]\ndeploy: {inline: 'ls deps/shop/web'}\n"), 0o600))
	out = c.run("plan", "run", "--remote", "--plan", "user.yml", "--only", "deploy")
	require.Contains(t, out, "line 20\n", "its dependency is deployed here")
	require.Contains(t, out, "deploy.sh\n")
	c.fails(exitFailed, "the release 'shop/none-latest' was not found", "plan", "check", "--remote", "--plan", planWith(t, dir, "depends: [shop/none-latest]\n"))

	// Without the right to it, nothing is registered.
	admin, err := s.app.Store.UserByName(t.Context(), "admin")
	require.NoError(t, err)
	token, err := s.app.Store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: admin.ID, Role: "read"})
	require.NoError(t, err)
	t.Setenv(tokenVariable, token)
	c.fails(exitNotAllowed, "does not allow it", "plan", "run", "--remote", "--push", "--only", "package")
}

// planWith writes a plan with something in it.
func planWith(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "with.yml")
	require.NoError(t, os.WriteFile(file, []byte("name: shop/with\nversion: '1'\n"+text), 0o600))
	return file
}
