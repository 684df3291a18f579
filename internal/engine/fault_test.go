package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

const head = "name: app\nversion: 1.0\n"

// TestFailuresArePlain: what a person reads when something is wrong, and what the state says then.
func TestFailuresArePlain(t *testing.T) {
	hugeInputs := map[string]any{}
	for _, id := range strings.Split("abcdefghi", "") {
		hugeInputs[id] = strings.Repeat("x", 120_000)
	}
	for name, test := range map[string]struct {
		files  map[string]string
		plan   string
		target Target
		want   string
		reason Reason
		code   state.Code // of the build stage; "" where nothing was started
	}{
		"no plan":         {nil, "app/escape.yml", Target{}, "no plan at app/escape.yml", ReasonPlan, ""},
		"default plan":    {nil, "", Target{}, "no plan at escape.yml", ReasonPlan, ""},
		"plan outside":    {nil, "../escape.yml", Target{}, "the plan '../escape.yml' is not in the source", ReasonPlan, ""},
		"plan is folder":  {map[string]string{"escape.yml/x": ""}, "", Target{}, "the plan escape.yml cannot be read", ReasonPlan, ""},
		"not yaml":        {map[string]string{"escape.yml": "name: ["}, "", Target{}, "escape.yml:1: not valid YAML: did not find expected node content", ReasonPlan, ""},
		"in folder":       {map[string]string{"a/b.yml": "name: app\nversion: x"}, "a/b.yml", Target{}, "a/b.yml:2: field 'version': Invalid version string 'x'.", ReasonPlan, ""},
		"missing script":  {map[string]string{"escape.yml": head + "build: build.sh"}, "", Target{}, "escape.yml:3: field 'build': missing script build.sh", ReasonPlan, ""},
		"exit 3":          {map[string]string{"escape.yml": head + "build: build.sh", "build.sh": "exit 3"}, "", Target{}, "script build.sh of app-v1.0 exited with status 3", ReasonScript, state.Failure},
		"inline exit":     {map[string]string{"escape.yml": head + "build: {inline: exit 9}"}, "", Target{}, "the inline script 'build' of app-v1.0 exited with status 9", ReasonScript, state.Failure},
		"command exit":    {map[string]string{"escape.yml": head + "build: 'false'"}, "", Target{}, "command false of app-v1.0 exited with status 1", ReasonScript, state.Failure},
		"no such command": {map[string]string{"escape.yml": head + "build: no-such-command-here"}, "", Target{}, "command no-such-command-here of app-v1.0: there is no such command or file: no-such-command-here", ReasonScript, state.Failure},
		"no such file":    {map[string]string{"escape.yml": head + "build: bin/none"}, "", Target{}, "command bin/none of app-v1.0: there is no such command or file: bin/none", ReasonScript, state.Failure},
		"killed":          {map[string]string{"escape.yml": head + "build: {inline: 'kill -9 $$'}"}, "", Target{}, "the inline script 'build' of app-v1.0: ended by signal: killed", ReasonScript, state.Failure},
		"tests fail":      {map[string]string{"escape.yml": head + "test: {inline: exit 1}"}, "", Target{}, "the inline script 'test' of app-v1.0 exited with status 1", ReasonScript, state.TestFailure},
		"destroy fails":   {map[string]string{"escape.yml": head + "destroy: {inline: exit 1}"}, "", Target{}, "the inline script 'destroy' of app-v1.0 exited with status 1", ReasonScript, state.DestroyFailure},
		"script removed":  {map[string]string{"escape.yml": head + "pre_build: {inline: rm build.sh}\nbuild: build.sh", "build.sh": ""}, "", Target{}, "missing script build.sh of app-v1.0", ReasonMissing, state.Failure},
		"file removed":    {map[string]string{"escape.yml": head + "build: build.sh\ntest: {inline: rm build.sh}", "build.sh": ""}, "", Target{}, "the package of _/app-v1.0: the file 'build.sh' does not exist any more", ReasonPackage, state.Empty},
		"input missing":   {map[string]string{"escape.yml": head + "inputs: [who]"}, "", Target{}, "missing value for the input 'who' of app-v1.0", ReasonInput, state.Failure},
		"input wrong":     {map[string]string{"escape.yml": head + "inputs: [{id: n, type: integer}]"}, "", Target{Variables: map[string]any{"n": "x"}}, "the input 'n' of app-v1.0: the value of the variable 'n' is not a whole number", ReasonInput, state.Failure},
		"input not item":  {map[string]string{"escape.yml": head + "inputs: [{id: n, items: [a, b]}]"}, "", Target{Variables: map[string]any{"n": "c"}}, `the value of 'n' of app-v1.0 is not one of its items: ["a" "b"]`, ReasonInput, state.Failure},
		"input NUL":       {map[string]string{"escape.yml": head + "inputs: [n]"}, "", Target{Variables: map[string]any{"n": "a\x00b"}}, "the input 'n' of app-v1.0: the value of the variable 'n' is not a text without NUL characters", ReasonInput, state.Failure},
		"input magic":     {map[string]string{"escape.yml": head + "inputs: [version]"}, "", Target{Variables: map[string]any{"version": "9"}}, "the input 'version' of app-v1.0 is set by the platform and cannot be given", ReasonInput, state.Failure},
		"input huge":      {map[string]string{"escape.yml": head + "inputs: [n]\nbuild: 'true'"}, "", Target{Variables: map[string]any{"n": strings.Repeat("x", 2<<20)}}, "the value for INPUT_n of app-v1.0 is too large for the environment of a script: 2097152 bytes", ReasonInput, state.Failure},
		"inputs huge":     {map[string]string{"escape.yml": head + "inputs: [a, b, c, d, e, f, g, h, i]\nbuild: 'true'"}, "", Target{Variables: hugeInputs}, "the inputs and outputs of app-v1.0 are too large for the environment of a script", ReasonInput, state.Failure},
		"argument huge":   {map[string]string{"escape.yml": head + "inputs: [n]\nbuild: echo $__concat($this.inputs.n,$this.inputs.n)"}, "", Target{Variables: map[string]any{"n": strings.Repeat("x", 100_000)}}, "an argument of 'build' of app-v1.0 is too large: 200000 bytes", ReasonInput, state.Failure},
		"bad default":     {map[string]string{"escape.yml": head + "inputs: [{id: n, default: $this.inputs.none}]"}, "", Target{}, "the default of the input 'n' of app-v1.0: there is no field 'none' (in \"$this.inputs.none\" at character 13)", ReasonInput, state.Failure},
		"output missing":  {map[string]string{"escape.yml": head + "outputs: [url]\nbuild: 'true'"}, "", Target{}, "missing value for the output 'url' of app-v1.0: the scripts did not write it to .escape/outputs.json and it has no default", ReasonOutput, state.Failure},
		"output number":   {map[string]string{"escape.yml": head + "outputs: [n]\nbuild: {inline: 'echo {\\\"n\\\":1} > .escape/outputs.json'}"}, "", Target{}, "the build script of app-v1.0 wrote the output 'n' with a value that is not a text: outputs are texts in .escape/outputs.json", ReasonOutput, state.Failure},
		"output wrong":    {map[string]string{"escape.yml": head + "outputs: [{id: n, type: integer}]\nbuild: {inline: 'echo {\\\"n\\\":\\\"x\\\"} > .escape/outputs.json'}"}, "", Target{}, "the output 'n' of app-v1.0: the value of the variable 'n' is not a whole number", ReasonOutput, state.Failure},
		"output not JSON": {map[string]string{"escape.yml": head + "build: {inline: 'echo x > .escape/outputs.json'}"}, "", Target{}, "the inline script 'build' of app-v1.0: the outputs file .escape/outputs.json is not a JSON object of texts", ReasonScript, state.Failure},
		"dependency":      {map[string]string{"escape.yml": head + "depends: [ns/gone-latest]"}, "", Target{}, "escape.yml:3: field 'depends': the release 'ns/gone-latest' was not found in the inventory", ReasonPlan, ""},
		"late dependency": {map[string]string{"escape.yml": head + "inputs: [{id: n, default: $this.outputs.x}]"}, "", Target{}, "the default of the input 'n' of app-v1.0: there is no field 'x' (in \"$this.outputs.x\" at character 14)", ReasonInput, state.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, test.files), Plan: test.plan, Steps: AllSteps, Target: test.target})
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), test.want), err.Error())
			var failure *Failure
			require.ErrorAs(t, err, &failure)
			require.Equal(t, test.reason, failure.Reason)
			require.Empty(t, b.inventory.releases)
			if test.code == "" {
				require.Empty(t, b.state.environment.Deployments)
				return
			}
			require.NotNil(t, result)
			stage := b.state.environment.Deployments["_/app"].Stages["build"]
			require.Equal(t, test.code, stage.CodeOf())
			if test.code.Failed() {
				require.Equal(t, err.Error(), stage.Status.Data)
			}
			last := b.log.list[len(b.log.list)-1]
			require.Equal(t, LevelError, last.Level)
			require.True(t, last.Unindent)
			require.Len(t, last.Sections, 1, "every section was closed")
		})
	}
}

// TestDependencyFailureIsSeenInBoth: the nested deployment and the one that needs it say what went wrong.
func TestDependencyFailureIsSeenInBoth(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\ndeploy: {inline: exit 5}\n"})
	b.push(t, map[string]string{"escape.yml": head + "depends: [dep-v1.0 as dep]\n"})
	_, _, err := b.deploy(t, "app-v1.0", Target{Deployment: "app"})
	require.EqualError(t, err, "the inline script 'deploy' of dep-v1.0 exited with status 5")
	var failure *Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 5, failure.ExitCode)
	for _, d := range []*state.Deployment{b.state.environment.Find([]string{"app", "dep"}, "deploy"), b.state.environment.Deployments["app"]} {
		require.Equal(t, state.Failure, d.Stages["deploy"].CodeOf())
		require.Equal(t, err.Error(), d.Stages["deploy"].Status.Data)
	}
}

// TestDestroyAfterADeploymentThatFailedOnTheWay: what was deployed before the failure can be taken down, and is not taken
// down twice.
func TestDestroyAfterADeploymentThatFailedOnTheWay(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: good\nversion: 1.0\ndeploy: {inline: 'echo up'}\ndestroy: {inline: 'echo down'}\n"})
	b.push(t, map[string]string{"escape.yml": "name: bad\nversion: 1.0\ninputs: [{id: n, default: x}]\ndeploy: {inline: exit 1}\ndestroy: {inline: 'echo bad $INPUT_n; exit 1'}\n"})
	b.push(t, map[string]string{"escape.yml": head + "inputs: [{id: n, default: x}]\ndepends: [good-v1.0, bad-v1.0]\ndestroy: {inline: 'echo never'}\n"})
	_, _, err := b.deploy(t, "app-v1.0", Target{Deployment: "app"})
	require.Error(t, err)
	destroy := func() error {
		b.runner.out.Reset()
		_, err := b.Destroy(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "app"}})
		return err
	}
	require.EqualError(t, destroy(), "the inline script 'destroy' of bad-v1.0 exited with status 1")
	require.Equal(t, "bad x\n", b.runner.out.String())
	b.state.environment.Find([]string{"app", "_/bad"}, "deploy").Stages["deploy"].Status.Code = state.Empty
	require.NoError(t, destroy())
	require.Equal(t, "down\n", b.runner.out.String())
	require.Equal(t, state.Empty, b.state.environment.Deployments["app"].Stages["deploy"].CodeOf())
	require.NoError(t, destroy())
	require.Empty(t, b.runner.out.String())
}

func TestReleaseThatExists(t *testing.T) {
	b := newBench(t)
	files := map[string]string{"escape.yml": head + "build: 'true'\n"}
	b.push(t, files)
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps})
	require.EqualError(t, err, "the release _/app-v1.0 is already in the inventory")
	require.Empty(t, b.runner.scripts, "nothing runs for a release that cannot be pushed")
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps, SkipIfExists: true})
	require.NoError(t, err)
	require.True(t, result.Skipped)
	require.Empty(t, b.runner.scripts)
	_, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps, ForceOverwrite: true})
	require.EqualError(t, err, "the release _/app-v1.0 is already in the inventory", "an inventory that cannot replace")
	_, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: ReleaseSteps{Build: true, Package: true}})
	require.NoError(t, err, "without a push it may be there")
	result, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: AllSteps, OverrideNamespace: "other", OverrideVersion: "7"})
	require.NoError(t, err)
	require.Equal(t, "other/app-v7", result.ID.String())
	_, err = b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Steps: ReleaseSteps{Test: true}, OverrideVersion: "8"})
	require.EqualError(t, err, "the tests and the destroy step of _/app-v8 need its build step, which is turned off and has not run before")
}

// record keeps decisions and results of scripts over runs, as a worker's database does.
type record struct {
	*watched
	decisions map[string]string
	results   map[string]Result
	started   map[string]bool
	crashAt   string // key of the script before whose result is recorded the worker dies
}

var errCrash = errors.New("the worker died")

func (r *record) Decide(_ context.Context, key string, decide func() (string, error)) (string, error) {
	if value, ok := r.decisions[key]; ok {
		return value, nil
	}
	value, err := decide()
	if err == nil {
		r.decisions[key] = value
	}
	return value, err
}

func (r *record) RunScript(ctx context.Context, s Script) (Result, error) {
	if !s.Repeatable {
		if result, ok := r.results[s.Key]; ok {
			r.scripts = append(r.scripts, s)
			return result, nil
		}
		if r.started[s.Key] {
			return Result{}, errors.New("was interrupted and is not run again by itself")
		}
	}
	r.started[s.Key] = true
	result, err := r.watched.RunScript(ctx, s)
	if s.Key == r.crashAt {
		r.crashAt = ""
		return Result{}, errCrash
	}
	if err == nil {
		r.results[s.Key] = result
	}
	return result, err
}

// TestR1RepeatedRunAsksForTheSameScripts: a run that was cut off at any script is run again in a fresh folder. Scripts
// that had finished are not run again, and the rest goes on with what they put out.
func TestR1RepeatedRunAsksForTheSameScripts(t *testing.T) {
	first := newBench(t)
	first.release(t, firstApp())
	newer := map[string]string{}
	for name, text := range firstApp() {
		newer[name] = strings.Replace(text, "0.1.@", "0.2.@", 1)
	}
	reference := first.fork(t)
	reference.state.environment = &state.Environment{Name: "dev"}
	_, err := reference.Release(t.Context(), ReleaseRequest{Dir: source(t, secondApp()), Plan: "app/escape.yml", Steps: AllSteps})
	require.NoError(t, err)
	keys := reference.runner.keys()
	delete(reference.inventory.releases, "shop/frontend-v0.1.0")
	delete(reference.inventory.packages, "shop/frontend-v0.1.0")
	require.Len(t, keys, 7)

	for _, at := range keys {
		t.Run(at, func(t *testing.T) {
			b := first.fork(t)
			b.inventory = newMemory()
			for id, m := range first.inventory.releases {
				b.inventory.releases[id], b.inventory.packages[id] = m, first.inventory.packages[id]
			}
			b.Inventory = b.inventory
			b.state.environment = &state.Environment{Name: "dev"}
			r := &record{watched: b.runner, decisions: map[string]string{}, results: map[string]Result{}, started: map[string]bool{}, crashAt: at}
			b.Scripts, b.Decisions = r, r
			request := ReleaseRequest{Dir: source(t, secondApp()), Plan: "app/escape.yml", Steps: AllSteps}
			_, err := b.Release(t.Context(), request)
			require.ErrorIs(t, err, errCrash)

			// Meanwhile a newer release of the dependency appears, which must change nothing.
			newerBench := b.fork(t)
			newerBench.release(t, newer)
			b.runner.scripts = nil
			request.Dir = source(t, secondApp())
			result, err := b.Release(t.Context(), request)
			repeatable := strings.HasSuffix(at, " build") || strings.HasSuffix(at, " test")
			if !repeatable {
				require.ErrorContains(t, err, "was interrupted and is not run again by itself")
				require.Equal(t, strings.Join(keys[:len(b.runner.keys())], ", "), strings.Join(b.runner.keys(), ", "))
				return
			}
			require.NoError(t, err, b.runner.out.String())
			require.Equal(t, keys, b.runner.keys())
			require.Equal(t, "shop/frontend-v0.1.0", result.ID.String())
			require.Equal(t, "shop/backend-v0.1.0", result.Metadata.Depends[0].ReleaseID)
		})
	}
}

// TestR10CancelEndsTheRun: the process group ends, the state says so, and nothing else is run.
func TestR10CancelEndsTheRun(t *testing.T) {
	b := newBench(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	group := make(chan int, 1)
	go func() { // opening the pipe waits for the script, so nothing sleeps here
		data, _ := os.ReadFile(pipe)
		var pid int
		fmt.Sscan(string(data), &pid)
		group <- pid
		cancel()
	}()
	files := map[string]string{"escape.yml": head + "inputs: [pipe]\nbuild: build.sh\npost_build: {inline: 'echo never'}\n",
		"build.sh": "trap '' TERM\nsleep 60 &\necho $$ > \"$INPUT_pipe\"\nwait\nsleep 60\n"}
	_, err := b.Release(ctx, ReleaseRequest{Dir: source(t, files), Steps: AllSteps, Target: Target{Variables: map[string]any{"pipe": pipe}}})
	require.EqualError(t, err, "script build.sh of app-v1.0 was cancelled")
	var failure *Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, ReasonCancelled, failure.Reason)
	require.Equal(t, state.Failure, b.state.environment.Deployments["_/app"].Stages["build"].CodeOf())
	require.Len(t, b.runner.scripts, 1)
	pid := <-group
	require.Eventually(t, func() bool { return !running(pid) }, 5*time.Second, time.Millisecond)
}

// running reports whether a process of the group is left that is not only waiting to be collected.
func running(group int) bool {
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, entry := range entries {
		data, err := os.ReadFile(entry)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 2 && fields[2] == fmt.Sprint(group) && fields[0] != "Z" {
			return true
		}
	}
	return false
}

// TestS9SecretsAreReportedBeforeScripts: every sensitive value is told before a script that could print it.
func TestS9SecretsAreReportedBeforeScripts(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": head + "inputs:\n- {id: key, sensitive: true}\n- {id: list, type: list, sensitive: true, default: [l-one, l-two]}\n- {id: open, default: plain}\n" +
		"- {id: flag, type: bool, sensitive: true, default: true}\noutputs: [{id: token, sensitive: true}, {id: made, sensitive: true, default: $this.inputs.key.upper()}]\n" +
		"deploy: deploy.sh\npost_deploy: 'true'\nsmoke: 'true'\n", "deploy.sh": "printf '{\"token\":\"from-script\"}' > \"$1\"\n"})
	seen := map[string][]string{}
	b.Scripts = hook{b.runner, func(s Script) { seen[s.Step] = append([]string{}, b.secrets...) }}
	_, _, err := b.deploy(t, "app-v1.0", Target{Deployment: "app", Variables: map[string]any{"key": "given"}})
	require.NoError(t, err)
	for _, value := range []string{"given", "l-one", "l-two", `["l-one","l-two"]`} {
		require.Contains(t, seen["deploy"], value)
	}
	require.NotContains(t, seen["deploy"], "from-script")
	require.Contains(t, seen["post_deploy"], "from-script")
	require.Contains(t, b.secrets, "GIVEN")
	require.NotContains(t, b.secrets, "plain")
	require.NotContains(t, b.secrets, "1")

	// A later run knows the values from the state.
	b.secrets = nil
	_, err = b.Smoke(t.Context(), DeployedRequest{Dir: t.TempDir(), Target: Target{Deployment: "app"}})
	require.NoError(t, err)
	for _, value := range []string{"given", "from-script", "GIVEN", "l-one"} {
		require.Contains(t, seen["smoke"], value)
	}
	for _, e := range b.log.list {
		require.NotContains(t, fmt.Sprint(e), "given")
	}
}

type hook struct {
	ScriptRunner
	before func(Script)
}

func (h hook) RunScript(ctx context.Context, s Script) (Result, error) {
	h.before(s)
	return h.ScriptRunner.RunScript(ctx, s)
}

// TestS14ValuesAreOnlyData: values with everything that a shell reads reach scripts unchanged, in the environment and as
// arguments.
func TestS14ValuesAreOnlyData(t *testing.T) {
	nasty := "$(touch hacked) `touch hacked` ; touch hacked & | > hacked 'q' \"q\" \\ \n $this.name -rf *"
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": head + "inputs: [n]\ndeploy: deploy.sh $this.inputs.n\nsmoke: {cmd: printf, args: ['%s', $this.inputs.n]}\n" +
		"post_deploy: {inline: 'printf %s \"$INPUT_n\"'}\n", "deploy.sh": "printf %s \"$1\"\n"})
	_, dir, err := b.deploy(t, "app-v1.0", Target{Deployment: "app", Variables: map[string]any{"n": nasty}})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, nasty+nasty, b.runner.out.String())
	require.NoFileExists(t, filepath.Join(dir, "hacked"))
	b.runner.out.Reset()
	smoke := t.TempDir()
	_, err = b.Smoke(t.Context(), DeployedRequest{Dir: smoke, Target: Target{Deployment: "app"}})
	require.NoError(t, err)
	require.Equal(t, nasty, b.runner.out.String())
	require.NoFileExists(t, filepath.Join(smoke, "hacked"))
}

// TestS15LinksInTheFolderLeadNowhere: a repository or a script that puts links in the engine's way cannot make it read or
// write outside of the folder.
func TestS15LinksInTheFolderLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	for name, test := range map[string]struct{ plan, link, to string }{
		"platform folder": {head + "build: {inline: 'true'}\n", ".escape", outside},
		"outputs":         {head + "build: {inline: 'rm -f .escape/outputs.json; ln -s " + outside + "/secret .escape/outputs.json'}\n", "x", "y"},
		"template":        {head + "templates: [{file: t.tpl, target: link/made}]\nbuild: 'true'\n", "link", outside},
		"dependencies":    {head + "depends: [dep-v1.0]\n", "deps", outside},
		"include":         {head + "includes: [link]\n", "link", outside + "/secret"},
		"logo":            {head + "logo: link\n", "link", outside + "/secret"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\n"})
			dir := source(t, map[string]string{"escape.yml": test.plan, "t.tpl": "x"})
			require.NoError(t, os.Symlink(test.to, filepath.Join(dir, test.link)))
			_, err := b.Release(t.Context(), ReleaseRequest{Dir: dir, Steps: AllSteps})
			require.Error(t, err)
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			for _, d := range b.state.environment.Deployments {
				require.NotContains(t, fmt.Sprint(d.Stages["build"].CalculatedOutputs), "secret")
			}
		})
	}
}

func TestReadOutputs(t *testing.T) {
	dir := t.TempDir()
	outputs, err := ReadOutputs(dir, "o.json")
	require.NoError(t, err)
	require.Empty(t, outputs)
	for content, want := range map[string]string{
		"":                         "",
		" \n":                      "",
		`{"a":"b","n":1}`:          "",
		"null":                     "is not a JSON object of texts",
		"[]":                       "is not a JSON object of texts",
		"{":                        "is not a JSON object of texts",
		strings.Repeat(" ", 1<<21): "is over the limit of 1048576 bytes",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "o.json"), []byte(content), 0o600))
		_, err := ReadOutputs(dir, "o.json")
		if want == "" {
			require.NoError(t, err, content)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err = ReadOutputs(dir, "pipe")
	require.ErrorContains(t, err, "it is not a regular file")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	_, err = ReadOutputs(dir, "link")
	require.ErrorContains(t, err, "cannot be read")
	_, err = ReadOutputs(filepath.Join(dir, "gone"), "x")
	require.ErrorContains(t, err, "the folder of the script is gone")
}

func TestOutputsOfScripts(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": head + "outputs: [{id: list, type: list}, {id: n, type: integer}, {id: later}, {id: fixed, default: d}, version]\n" +
		"deploy: {inline: 'echo \"{\\\"list\\\":\\\"[1,2]\\\",\\\"n\\\":\\\"5\\\",\\\"extra\\\":\\\"x\\\"}\" > .escape/outputs.json'}\n" +
		"post_deploy: post.sh\n",
		"post.sh": "grep -q '\"n\":\"5\"' \"$1\" && test \"$OUTPUT_n\" = 5 && echo '{\"later\":\"l\"}' > \"$1\"\n"})
	result, _, err := b.deploy(t, "app-v1.0", Target{})
	require.NoError(t, err, b.runner.out.String())
	require.Equal(t, map[string]any{"list": []any{int64(1), int64(2)}, "n": int64(5), "later": "l", "fixed": "d", "version": "1.0"}, result.Outputs)
	var warned bool
	for _, e := range b.log.list {
		warned = warned || e.Level == LevelWarn && strings.Contains(e.Message, "'extra'")
	}
	require.True(t, warned)
}

func TestStateThatCannotBeSavedEndsTheRun(t *testing.T) {
	b := newBench(t)
	b.state.fail = errors.New("disk full")
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, firstApp()), Steps: AllSteps})
	require.EqualError(t, err, "save the state of shop/backend: disk full")
	require.Empty(t, b.runner.scripts)
}

func TestPackageThatIsNotSound(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": head})
	b.inventory.packages["_/app-v1.0"] = []byte("not an archive")
	_, _, err := b.deploy(t, "app-v1.0", Target{})
	require.EqualError(t, err, "the package of _/app-v1.0 is not sound: The package is not a gzipped tar archive: gzip: invalid header")
	delete(b.inventory.packages, "_/app-v1.0")
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.EqualError(t, err, "the inventory has no package of _/app-v1.0")
	_, _, err = b.deploy(t, "nope-latest", Target{})
	require.EqualError(t, err, "the release '_/nope-latest' was not found in the inventory")
}

func TestFilesOfThePlanAreNotOverwrittenByPackages(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\n"})
	dir := source(t, map[string]string{"escape.yml": head + "depends: [dep-v1.0]\n", "deps/_/dep/mine.txt": "mine"})
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: dir, Steps: AllSteps})
	require.EqualError(t, err, "the folder deps/_/dep is needed for a package, but there are other files in it")
	require.FileExists(t, filepath.Join(dir, "deps/_/dep/mine.txt"))
}

func TestOwnerIsToldWhatTheEngineMakes(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: dep\nversion: 1.0\nincludes: [a]\n", "a/b": ""})
	owned := map[string]bool{}
	b.Owner = func(path string) error { owned[path] = true; return nil }
	dir := source(t, map[string]string{"escape.yml": head + "depends: [dep-v1.0]\ntemplates: [a.tpl]\nbuild: {inline: 'true'}\n", "a.tpl": "x"})
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: dir, Steps: AllSteps})
	require.NoError(t, err)
	for _, name := range []string{".escape", ".escape/outputs.json", ".escape/inline-build.sh", "a", "deps", "deps/_", "deps/_/dep", "deps/_/dep/a/b", "deps/_/dep/release.json"} {
		require.True(t, owned[filepath.Join(dir, name)], name)
	}
}

func TestLocalState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "escape_state.json")
	store, err := NewLocalState(file, "proj", "dev")
	require.NoError(t, err)
	b := newBench(t)
	b.State = store
	b.release(t, firstApp())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	project, err := state.DecodeProject(data)
	require.NoError(t, err)
	require.Equal(t, "proj", project.Name)
	require.Equal(t, "0.1.0", project.Environments["dev"].Deployments["shop/backend"].Stages["deploy"].Version)
	other, err := NewLocalState(file, "proj", "prod")
	require.NoError(t, err)
	environment, err := other.Environment(t.Context())
	require.NoError(t, err)
	require.Equal(t, "prod", environment.Name)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds inputs")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = store.Environment(t.Context())
	require.ErrorContains(t, err, "Invalid JSON")
	_, err = NewLocalState(file, "proj", "Dev")
	require.ErrorContains(t, err, "The environment name 'Dev' is not allowed")
}

func TestCacheServesPackages(t *testing.T) {
	b := newBench(t)
	b.CacheDir = t.TempDir()
	b.release(t, firstApp())
	require.FileExists(t, filepath.Join(b.CacheDir, "shop/backend-v0.1.0.tgz"))
	b.inventory.packages = map[string][]byte{}
	_, _, err := b.deploy(t, "shop/backend-v0.1.0", Target{})
	require.NoError(t, err)
}

// TestS21CacheCannotBePoisoned: a run may cache, without pushing, a package under the name of somebody else's release.
func TestS21CacheCannotBePoisoned(t *testing.T) {
	b := newBench(t)
	b.push(t, map[string]string{"escape.yml": "name: theirs/app\nversion: 1.0\ndeploy: run.sh\n", "run.sh": "echo honest"})
	b.CacheDir = t.TempDir()
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, map[string]string{"escape.yml": "name: theirs/app\nversion: 1.0\ndeploy: run.sh\nincludes: [more]\n",
		"run.sh": "echo evil", "more": ""}), Steps: ReleaseSteps{Package: true, Cache: true}})
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(b.CacheDir, "theirs/app-v1.0.tgz"))
	_, dir, err := b.deploy(t, "theirs/app-v1.0", Target{})
	require.NoError(t, err)
	require.Equal(t, "honest\n", b.runner.out.String())
	require.NoFileExists(t, filepath.Join(dir, "more"))
	b.push(t, map[string]string{"escape.yml": head + "depends: [theirs/app-v1.0]\n"})
	b.runner.out.Reset()
	_, _, err = b.deploy(t, "app-v1.0", Target{})
	require.NoError(t, err)
	require.Equal(t, "honest\n", b.runner.out.String())
	// What the inventory does not know, or not any more, does not come from the cache.
	b.inventory.releases, b.inventory.packages = map[string]*release.Metadata{}, map[string][]byte{}
	_, _, err = b.deploy(t, "theirs/app-v1.0", Target{})
	require.ErrorIs(t, err, ErrNotFound)
}

func TestKeyPrefixSeparatesRunsThatShareARecord(t *testing.T) {
	b := newBench(t)
	r := &record{watched: b.runner, decisions: map[string]string{}, results: map[string]Result{}, started: map[string]bool{}}
	b.Scripts, b.Decisions = r, r
	files := map[string]string{"escape.yml": "name: app\nversion: '@'\ndeploy: {inline: echo deployed}\n"}
	for step, want := range []string{"0", "1"} {
		b.KeyPrefix = fmt.Sprintf("step %d ", step+1)
		require.Equal(t, want, b.release(t, files).ID.Version)
	}
	require.Equal(t, "deployed\ndeployed\n", b.runner.out.String())
	require.Equal(t, []string{"step 1 deploy _/app deploy", "step 2 deploy _/app deploy"}, b.runner.keys())
}

func TestSourceIsInTheMetadata(t *testing.T) {
	b := newBench(t)
	message := "Fix $(rm -rf /) \"quotes\"\nand lines"
	result, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, map[string]string{"escape.yml": head}), Steps: quick,
		Source: plan.Source{Repository: "https://x", Branch: "--upload-pack=x", Revision: "abc", Message: message, Author: "A <a@b>"}})
	require.NoError(t, err)
	require.Equal(t, message, result.Metadata.RevisionMessage)
	require.Equal(t, "--upload-pack=x", b.inventory.releases["_/app-v1.0"].Branch)
}

// The text of a failure is told once, in the innermost section; those around it end as failed.
func TestAFailureIsToldOnce(t *testing.T) {
	b := newBench(t)
	b.release(t, firstApp())
	b = b.fork(t)
	files := secondApp()
	files["app/cc.sh"] = "#!/bin/sh\nexit 7\n"
	_, err := b.Release(t.Context(), ReleaseRequest{Dir: source(t, files), Plan: "app/escape.yml", Steps: AllSteps})
	require.EqualError(t, err, "script cc.sh of frontend-v0.1.0 exited with status 7")
	var told []string
	for _, e := range b.log.list {
		if e.Level == LevelError {
			told = append(told, e.Message)
		}
	}
	require.Equal(t, []string{"script cc.sh of frontend-v0.1.0 exited with status 7", "Release frontend failed."}, told)
}
