// Package demo takes the sample of examples/shop from source to production on a stack of its own, through the documented
// API only, and removes everything again. It is a test of the whole that reads like a story.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/client"
)

// The names that the demo gives.
const (
	project   = "shop"
	namespace = "demo"
	pipeline  = "release"
)

// Options say how the demo runs.
type Options struct {
	// Start starts the stack and returns when it serves: the address of the API, a token that may do everything, and what
	// stops it and waits until it is gone. The stack must allow builds from local repositories and must run scripts as
	// this user with this PATH. Required.
	Start func(ctx context.Context) (apiURL, adminToken string, stop func() error, err error)
	// Out gets the transcript. Required.
	Out io.Writer
	// Dir is the folder for the repository and for what is deployed. Empty: a new temporary folder. It is removed at the end.
	Dir string
	// GoCache is the Go build cache that the builds share. Empty: the one of this user.
	GoCache string
	// Timeout bounds the whole. 0 means five minutes.
	Timeout time.Duration
}

// Run runs the demo. It returns nil when everything happened as it should and nothing is left; in any case it ends
// the processes that it deployed.
func Run(ctx context.Context, options Options) (err error) {
	if options.Timeout == 0 {
		options.Timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, options.Timeout, fmt.Errorf("not done after %s", options.Timeout))
	defer cancel()
	if options.GoCache == "" {
		options.GoCache = goCache(ctx)
	}
	if options.Dir == "" {
		if options.Dir, err = os.MkdirTemp("", "slipway-demo-"); err != nil {
			return err
		}
	} else if err = os.MkdirAll(options.Dir, 0o755); err != nil {
		return err
	}
	// As /proc and the scripts show it.
	if options.Dir, err = filepath.EvalSymlinks(options.Dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(options.Dir)) }()

	d := &demo{Options: options, transcript: newTranscript(options.Out)}
	defer func() {
		if killed := killDeployed(d.runDir("")); killed > 0 {
			err = errors.Join(err, fmt.Errorf("%d deployed processes were still there and are killed", killed))
		}
		d.transcript.end(err)
	}()
	if err := d.story(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return err
	}
	return nil
}

// demo is one run.
type demo struct {
	Options
	transcript *transcript
	client     *client.Client
	repository string // folder of the git repository
	commit     string // the one that is built
	// versions that were built, by application
	versions map[string]string
}

// story is the demo from the start of the stack to its end.
func (d *demo) story(ctx context.Context) (err error) {
	var stop func() error
	before := children()
	err = d.transcript.step("Start the stack", func() (string, error) {
		address, token, stopStack, err := d.Start(ctx)
		if err != nil {
			return "", err
		}
		stop = stopStack
		if d.client, err = client.New(address, token, nil); err != nil {
			return "", err
		}
		return "API at " + address, d.client.Healthy(ctx)
	})
	if stop != nil {
		// Also after a failure: the stack ends before what it deployed is looked at.
		defer func() {
			stopped := d.transcript.step("Stop the stack", func() (string, error) {
				if stopErr := stop(); stopErr != nil || err != nil {
					return "", stopErr // what was deployed before a failure is still there
				}
				return "no process is left", noProcessLeft(d.Dir, before)
			})
			err = errors.Join(err, stopped)
		}()
	}
	if err != nil {
		return err
	}
	for _, chapter := range []struct {
		title string
		do    func(context.Context) (string, error)
	}{
		{"Make a git repository from examples/shop", d.makeRepository},
		{"Define the project, its environments, builds, deployments and the pipeline", d.define},
		{"Run the pipeline", d.runPipeline},
		{"Ask production", d.askProduction},
		{"Check the releases in the inventory", d.checkInventory},
		{"Destroy what was deployed", d.destroy},
	} {
		if err := d.transcript.step(chapter.title, func() (string, error) { return chapter.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(chapter.title[:1])+chapter.title[1:], err)
		}
	}
	return nil
}

// runDir is where an environment's deployments live. It outlives every script.
func (d *demo) runDir(environment string) string { return filepath.Join(d.Dir, "run", environment) }

// goCache is this user's build cache, or "auto" where Go does not say.
func goCache(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if cache := strings.TrimSpace(string(out)); err == nil && filepath.IsAbs(cache) {
		return cache
	}
	return "auto"
}
