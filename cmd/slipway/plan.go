package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/buildinfo"
	"slipway/internal/client"
	"slipway/internal/engine"
	"slipway/internal/plan"
)

// planCommands is what the commands below `slipway plan` share: they work on a plan in a folder of this machine, with the
// engine that builds use.
type planCommands struct {
	clientCommands
	file, inventory, version, namespace string
	remote                              bool
}

func newPlanCommand() *cobra.Command {
	p := &planCommands{}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Check release plans, look at what they would do, and run them on this machine",
		Long: `Check release plans, look at what they would do, and run them on this machine, by the same engine that builds use.

Releases that a plan depends on are looked up in a folder, --inventory, or with --remote in the Slipway that you are logged
in to.`,
	}
	p.flags(c)
	f := c.PersistentFlags()
	f.StringVar(&p.file, "plan", plan.DefaultFile, "the plan; its scripts run in its folder")
	f.StringVar(&p.inventory, "inventory", "", "folder with releases (default: inventory in the folder slipway of your configuration)")
	f.BoolVar(&p.remote, "remote", false, "take and put releases at the Slipway that you are logged in to")
	f.StringVar(&p.version, "override-version", "", "version of the release instead of the plan's")
	f.StringVar(&p.namespace, "override-namespace", "", "namespace of the release instead of the plan's")
	_ = c.MarkPersistentFlagFilename("plan", "yml", "yaml")
	_ = c.MarkPersistentFlagDirname("inventory")
	c.AddCommand(p.checkCommand(), p.previewCommand(), p.runCommand())
	return c
}

// open opens the inventory that is meant. where is what people know it by.
func (p *planCommands) open() (found engine.Inventory, where string, err error) {
	if p.output != "table" && p.output != "json" {
		return nil, "", usageErrorf("--output is %q, expected table or json", p.output)
	}
	if p.remote && p.inventory != "" {
		return nil, "", usageErrorf("--inventory and --remote do not go together")
	}
	if p.remote {
		api, err := p.connect()
		if err != nil {
			return nil, "", err
		}
		return client.RemoteInventory{Client: api}, api.Server(), nil
	}
	dir := p.inventory
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, "", fmt.Errorf("find your configuration folder: %w", err)
		}
		dir = filepath.Join(config, "slipway", "inventory")
	}
	return engine.NewLocalInventory(dir), dir, nil
}

// maxPlan bounds a plan in bytes.
const maxPlan = 2 << 20

// text reads the plan.
func (p *planCommands) text() ([]byte, error) {
	file, err := os.Open(p.file)
	if err != nil {
		return nil, &plan.Error{File: p.file, Message: "the plan cannot be read: " + cause(err)}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPlan))
	if err != nil {
		return nil, &plan.Error{File: p.file, Message: "the plan cannot be read: " + cause(err)}
	}
	return text, nil
}

// read reads and parses the plan.
func (p *planCommands) read() (*plan.Plan, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	return plan.Parse(p.file, text)
}

// cause is an error of the file system without the operation and the path, which are said already.
func cause(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// compile reads and compiles the plan, and changes nothing.
func (p *planCommands) compile(ctx context.Context, inventory plan.Inventory) (*plan.Compiled, error) {
	parsed, err := p.read()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(p.file))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return plan.Compile(ctx, parsed, root, inventory, p.options(ctx))
}

// options are those of compiling without changing anything.
func (p *planCommands) options(ctx context.Context) plan.Options {
	return plan.Options{Project: p.namespace, Version: p.version, Client: clientVersion(), Source: sourceOf(ctx, filepath.Dir(p.file)), Env: environment(), ReadOnly: true}
}

// check reads and compiles the plan, and gives everything that is wrong with it.
func (p *planCommands) check(ctx context.Context, inventory plan.Inventory) (*plan.Compiled, []error) {
	text, err := p.text()
	if err != nil {
		return nil, []error{err}
	}
	root, err := os.OpenRoot(filepath.Dir(p.file))
	if err != nil {
		return nil, []error{err}
	}
	defer root.Close()
	compiled, faults, err := plan.Check(ctx, p.file, text, root, inventory, p.options(ctx))
	if err != nil {
		return nil, []error{err}
	}
	var list []error
	for _, fault := range faults {
		list = append(list, fault)
	}
	return compiled, list
}

// clientVersion stands in releases as the version that they were built with.
func clientVersion() string { return strings.TrimPrefix(buildinfo.Version, "v") }

// environment is what env_lookup sees: on a laptop, all that the user has set.
func environment() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// planFault is what is wrong with a plan, as programs see it.
type planFault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func faultOf(err error) planFault {
	var wrong *plan.Error
	if errors.As(err, &wrong) {
		return planFault{wrong.File, wrong.Line, wrong.Field, wrong.Message}
	}
	return planFault{Message: err.Error()}
}

func (p *planCommands) checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Check a plan", Args: cobra.NoArgs,
		Long: `Check a plan: whether it can be read, whether its scripts and files are there, whether the releases that it names exist, and
whether its expressions can be evaluated. Nothing is run or changed. Everything that is wrong is said with file, line and field,
in the order of the plan, and the command ends with 1.`,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		inventory, where, err := p.open()
		if err != nil {
			return err
		}
		compiled, faults := p.check(c.Context(), inventory)
		if p.output == "json" {
			answer := struct {
				OK       bool        `json:"ok"`
				Release  string      `json:"release,omitempty"`
				Warnings []string    `json:"warnings"`
				Errors   []planFault `json:"errors"`
			}{OK: len(faults) == 0, Warnings: []string{}, Errors: []planFault{}}
			for _, fault := range faults {
				answer.Errors = append(answer.Errors, faultOf(fault))
			}
			if compiled != nil {
				answer.Release = compiled.Metadata.ID().String()
				answer.Warnings = append(answer.Warnings, compiled.Warnings...)
			}
			if err := printLine(c.OutOrStdout(), answer); err != nil {
				return err
			}
		}
		// The last one is the command's own error, which is printed like the others.
		for len(faults) > 0 {
			if len(faults) == 1 {
				return explain(where, faults[0])
			}
			fmt.Fprintln(c.ErrOrStderr(), "slipway:", faults[0])
			faults = faults[1:]
		}
		if p.output == "json" {
			return nil
		}
		for _, warning := range compiled.Warnings {
			fmt.Fprintln(c.ErrOrStderr(), "Warning:", warning)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is sound: it would make %s.\n", p.file, compiled.Metadata.ID())
		return err
	}
	return c
}

// stepFlags choose the steps of a release run.
type stepFlags struct {
	only, skip []string
	deployment string
}

// stepNames are the steps as flags name them, in their order.
var stepNames = []string{"build", "test", "destroy-build", "deploy", "smoke", "destroy", "package"}

func (s *stepFlags) flags(c *cobra.Command) {
	names := strings.Join(stepNames, ", ")
	c.Flags().StringSliceVar(&s.only, "only", nil, "do only these steps: "+names)
	c.Flags().StringSliceVar(&s.skip, "skip", nil, "leave out these steps")
	c.Flags().StringVarP(&s.deployment, "deployment", "d", "", "name of the deployment to work on (default: the release's, without the version)")
	for _, flag := range []string{"only", "skip"} {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(stepNames, cobra.ShellCompDirectiveNoFileComp))
	}
}

// steps are the chosen ones.
func (s *stepFlags) steps(push bool) (engine.ReleaseSteps, error) {
	if len(s.only) > 0 && len(s.skip) > 0 {
		return engine.ReleaseSteps{}, usageErrorf("--only and --skip do not go together")
	}
	for _, name := range append(slices.Clone(s.only), s.skip...) {
		if !slices.Contains(stepNames, name) {
			return engine.ReleaseSteps{}, usageErrorf("there is no step '%s': expected some of %s", name, strings.Join(stepNames, ", "))
		}
	}
	does := func(name string) bool {
		if len(s.only) > 0 {
			return slices.Contains(s.only, name)
		}
		return !slices.Contains(s.skip, name)
	}
	return engine.ReleaseSteps{Build: does("build"), Test: does("test"), DestroyBuild: does("destroy-build"), Deploy: does("deploy"), Smoke: does("smoke"),
		DestroyDeploy: does("destroy"), Package: does("package") || push, Cache: push, Push: push}, nil
}
