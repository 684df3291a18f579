package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/engine"
	"slipway/internal/fetch"
	"slipway/internal/logs"
	"slipway/internal/netguard"
	"slipway/internal/runner"
	"slipway/internal/state"
)

// defaultState is where the state of runs is kept.
const defaultState = "escape_state.json"

// planRun is one `slipway plan run`.
type planRun struct {
	*planCommands
	steps                     stepFlags
	stateFile, environment    string
	project                   string
	variables, providers      pairs
	push, skipIfExists, force bool
}

func (p *planCommands) runCommand() *cobra.Command {
	r := &planRun{planCommands: p}
	c := &cobra.Command{
		Use: "run", Short: "Run a plan on this machine", Args: cobra.NoArgs,
		Long: `Run a plan on this machine as a build would: build, test, destroy what the build deployed, deploy, run the smoke tests, destroy,
and pack; --only and --skip choose. With --push the release goes into the inventory, where deployments find it.

Scripts run as you, with your environment, in the plan's folder. What is deployed where stands in the state file, which is
replaced as a whole with each change; two runs must not use one file at once. Values of inputs and outputs that the plan
calls sensitive are masked in what is printed; in the state file they stand as they are.

Ctrl-C ends the script that runs with all that it started: SIGTERM, and two seconds later SIGKILL. Providers that were
activated are deactivated all the same; a second Ctrl-C ends that too. A terminal that closes does what Ctrl-C does.
The command ends with 1 where a step fails and with 3 where it was cut off.`,
		Example: "  slipway plan run\n  slipway plan run --only deploy,smoke -v greeting=hello -e local\n  slipway plan run --skip deploy,smoke,destroy --push --remote",
	}
	r.steps.flags(c)
	f := c.Flags()
	f.StringVarP(&r.stateFile, "state", "s", defaultState, "file that the state is kept in")
	f.StringVarP(&r.environment, "environment", "e", "dev", "environment to work in")
	f.StringVar(&r.project, "project", "local", "project of a new state file, for variables of type project")
	f.VarP(&r.variables, "variable", "v", "an input (repeatable)")
	f.VarP(&r.providers, "extra-provider", "p", "the deployment that provides an interface (repeatable)")
	f.BoolVar(&r.push, "push", false, "put the release and its package into the inventory")
	f.BoolVar(&r.skipIfExists, "skip-if-exists", false, "do nothing where the inventory has the release already")
	f.BoolVar(&r.force, "force", false, "replace a release that the inventory has already (not with --remote)")
	c.RunE = r.run
	return c
}

func (r *planRun) run(c *cobra.Command, _ []string) error {
	steps, err := r.steps.steps(r.push)
	if err != nil {
		return err
	}
	if r.force && r.remote {
		return usageErrorf("--force is not for --remote: releases that others may use already stay as they are")
	}
	inventory, where, err := r.open()
	if err != nil {
		return err
	}
	if err := state.ValidateProjectName(r.project); err != nil {
		return usageErrorf("--project: %w", err)
	}
	kept, err := engine.NewLocalState(r.stateFile, r.project, r.environment)
	if err != nil {
		return usageErrorf("--environment: %w", err)
	}
	if _, err := kept.Environment(c.Context()); err != nil {
		return err
	}
	out := c.OutOrStdout()
	if r.output == "json" {
		out = c.ErrOrStderr() // what is printed on the way is for people
	}
	ctx, stopNow := r.interruptible(c.Context())
	defer stopNow()
	secrets := logs.NewSecrets()
	fetcher := &localDownloads{}
	defer fetcher.close()
	e := &engine.Engine{
		Inventory: inventory, State: kept, Log: &planLog{out: out, secrets: secrets}, Downloads: fetcher, Client: clientVersion(), User: operator(), Env: environment(),
		Scripts: &maskedRunner{out: out, err: c.ErrOrStderr(), secrets: secrets, now: ctx.now},
		Secret:  func(value string) { secrets.Add(value) },
	}
	if cache, err := os.UserCacheDir(); err == nil && r.remote {
		e.CacheDir = filepath.Join(cache, "slipway", "packages")
	}
	if _, err := r.read(); err != nil { // with the plan's path as it was given
		return err
	}
	dir := filepath.Dir(r.file)
	variables := map[string]any{}
	for name, value := range r.variables {
		variables[name] = value
	}
	result, err := e.Release(ctx, engine.ReleaseRequest{
		Target: engine.Target{Project: r.project, Environment: r.environment, Deployment: r.steps.deployment, Variables: variables, Providers: r.providers},
		Dir:    dir, Plan: filepath.Base(r.file), Steps: steps, SkipIfExists: r.skipIfExists, ForceOverwrite: r.force,
		OverrideNamespace: r.namespace, OverrideVersion: r.version, Source: sourceOf(c.Context(), dir),
	})
	return r.end(c, where, secrets, result, err)
}

// end tells what came of a run.
func (r *planRun) end(c *cobra.Command, where string, secrets *logs.Secrets, result *engine.ReleaseResult, err error) error {
	text := ""
	var failure *engine.Failure
	if errors.As(err, &failure) {
		text = secrets.Mask(failure.Message)
	}
	if r.output == "json" {
		answer := struct {
			OK       bool   `json:"ok"`
			Release  string `json:"release,omitempty"`
			Package  string `json:"package,omitempty"`
			Pushed   bool   `json:"pushed"`
			Skipped  bool   `json:"skipped"`
			Reason   string `json:"reason,omitempty"`
			Message  string `json:"message,omitempty"`
			ExitCode int    `json:"exit_code,omitempty"`
		}{OK: err == nil, Message: text}
		if result != nil {
			answer.Release, answer.Package, answer.Skipped = result.ID.String(), result.Package, result.Skipped
			answer.Pushed = r.push && err == nil && !result.Skipped
		}
		if failure != nil {
			answer.Reason, answer.ExitCode = string(failure.Reason), failure.ExitCode
		}
		if perr := printLine(c.OutOrStdout(), answer); perr != nil {
			return perr
		}
	}
	switch {
	case failure != nil && failure.Reason == engine.ReasonCancelled:
		return &exitError{exitCancelled, errors.New(text)}
	case failure != nil && failure.Reason == engine.ReasonInternal:
		return explain(where, failure.Err)
	case failure != nil:
		return errors.New(text)
	case err != nil:
		return err
	case r.output != "json" && result.Package != "" && !result.Skipped:
		_, err = fmt.Fprintf(c.OutOrStdout(), "The package is %s\n", result.Package)
	}
	return err
}

// interruption is the context of a run, with the channel that says that somebody cannot wait for its end.
type interruption struct {
	context.Context
	now chan struct{}
}

// interruptible makes a second Ctrl-C end the scripts that run after the first one. While the run lasts no signal ends the
// process at once: its scripts, which are process groups of their own, would go on alone. That goes for SIGQUIT (Ctrl-\) too,
// with which other commands print their goroutines. A second SIGHUP is no second Ctrl-C: see main.
func (r *planRun) interruptible(ctx context.Context) (interruption, func()) {
	ctx, cancel := context.WithCancel(ctx)
	i := interruption{ctx, make(chan struct{})}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(endSignals(), syscall.SIGQUIT)...)
	ended := make(chan struct{})
	go func() {
		var once sync.Once
		for count := 1; ; count++ {
			select {
			case s := <-signals:
				cancel()
				if count > 1 && s != syscall.SIGHUP {
					once.Do(func() { close(i.now) })
				}
			case <-ended:
				return
			}
		}
	}()
	return i, func() { signal.Stop(signals); close(ended); cancel() }
}

// maskedRunner runs scripts on this machine and masks what they print.
type maskedRunner struct {
	out, err io.Writer
	secrets  *logs.Secrets
	now      chan struct{}
}

// RunScript implements engine.ScriptRunner.
func (m *maskedRunner) RunScript(ctx context.Context, s engine.Script) (engine.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-m.now:
			cancel()
		case <-ctx.Done():
		}
	}()
	out, stderr := m.secrets.Masker(m.out), m.secrets.Masker(m.err)
	local := &engine.LocalRunner{Stdout: out, Stderr: stderr, Bin: ownPrograms()}
	result, err := local.RunScript(ctx, s)
	return result, errors.Join(err, out.Close(), stderr.Close())
}

// ownPrograms is a folder that stands in front of the PATH of scripts: as for the original client, .bin in the folder of the
// configuration.
func ownPrograms() string {
	config, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(config, "slipway", ".bin")
}

// planLog prints what the engine says, indented by its sections.
type planLog struct {
	out     io.Writer
	secrets *logs.Secrets
}

// Log implements engine.Logger.
func (l *planLog) Log(e engine.Entry) {
	if e.Level == engine.LevelDebug {
		return
	}
	mark := ""
	switch e.Level {
	case engine.LevelWarn:
		mark = "Warning: "
	case engine.LevelError:
		mark = "Error: "
	}
	fmt.Fprintf(l.out, "%s%s%s\n", strings.Repeat("  ", max(0, len(e.Sections)-1)), mark, oneLine(l.secrets.Mask(e.Message)))
}

// localDownloads fetches the downloads of plans as workers do, in a child process; it is started by the first one. On a
// laptop private addresses and plain http are as good as any.
type localDownloads struct {
	supervisor *runner.Supervisor
	spaces     *runner.Workspaces
	space      *runner.Workspace
	fetcher    *fetch.Fetcher
	dir        string
}

func (d *localDownloads) start() (err error) {
	if d.fetcher != nil {
		return nil
	}
	if d.dir, err = os.MkdirTemp("", "slipway-downloads-"); err != nil {
		return err
	}
	if d.supervisor, err = runner.Start(runner.Options{}); err != nil {
		return err
	}
	if d.spaces, err = runner.OpenWorkspaces(d.dir, runner.UserRange{}); err != nil {
		return err
	}
	if d.space, err = d.spaces.Make(); err != nil {
		return err
	}
	d.fetcher = fetch.New(fetch.Options{Runner: d.supervisor, Workspaces: d.spaces, KnownHosts: filepath.Join(d.dir, "known_hosts"),
		Policy: fetch.Policy{AllowHTTP: true, Network: netguard.Policy{AllowPrivate: true}, MaxBytes: 2 << 30, Timeout: 10 * time.Minute}})
	return nil
}

// Download implements engine.Downloader.
func (d *localDownloads) Download(ctx context.Context, url, file string) error {
	if err := d.start(); err != nil {
		return err
	}
	const name = "download"
	fetched := filepath.Join(d.space.Source, name)
	defer os.Remove(fetched)
	if err := d.fetcher.Download(ctx, d.space, fetch.Download{URL: url, File: name}); err != nil {
		return err
	}
	from, err := os.Open(fetched)
	if err != nil {
		return err
	}
	defer from.Close()
	// Copied, since the folders may be on different file systems.
	to, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func (d *localDownloads) close() {
	if d.spaces != nil {
		_ = d.spaces.Close()
	}
	if d.supervisor != nil {
		_ = d.supervisor.Close()
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
}
