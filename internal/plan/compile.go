package plan

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"slipway/internal/expr"
	"slipway/internal/release"
	"slipway/internal/version"
)

// Options are what compiling takes from outside of the plan.
type Options struct {
	Project string            // replaces the project of the plan, if set
	Version string            // replaces the version of the plan, if set; has to be resolved
	Client  string            // stands in built_with_escape_version
	Source  Source            // where the plan comes from
	Env     map[string]string // what env_lookup sees; not the process's environment
	Now     time.Time         // the time of timestamp(); the current one if zero
	// ReadOnly leaves the plan's folder as it is: scripts that are not executable are warned of.
	ReadOnly bool
}

// Source says which revision of a repository the plan is from. Empty fields are not known.
type Source struct {
	Repository string
	Branch     string
	Revision   string
	Message    string
	Author     string // "Name <mail>"
}

// Compiled is a plan with everything looked up.
type Compiled struct {
	Metadata *release.Metadata
	// Releases are the releases that the metadata depends on or extends, by their id with project and version.
	Releases map[string]*release.Metadata
	// Warnings are sentences for the log.
	Warnings []string

	includes []string // globs
	required []string // files that have to be in the package: scripts and templates
}

// Compile makes the metadata of a release from a plan, the files in its folder (root) and the releases that it refers
// to. Scripts that are not executable are made so, unless options say otherwise. Errors about the plan are *Error.
func Compile(ctx context.Context, p *Plan, root *os.Root, inventory Inventory, options Options) (*Compiled, error) {
	return newCompiler(p, root, inventory, options).compile(ctx)
}

type compiler struct {
	plan      *Plan
	root      *os.Root
	inventory Inventory
	options   Options
	scope     *expr.Scope
	m         *release.Metadata
	result    *Compiled
	faults    *faults // nil: the first fault ends compiling
}

func newCompiler(p *Plan, root *os.Root, inventory Inventory, options Options) *compiler {
	if options.Now.IsZero() {
		options.Now = time.Now()
	}
	c := &compiler{
		plan: p, root: root, inventory: inventory, options: options,
		scope:  &expr.Scope{Variables: map[string]any{}, Root: root, Env: options.Env, Now: options.Now},
		result: &Compiled{Releases: map[string]*release.Metadata{}, Warnings: slices.Clone(p.warnings)},
		m: &release.Metadata{
			APIVersion: release.APIVersion, BuiltWithCoreVersion: release.CoreVersion, BuiltWithEscapeVersion: options.Client,
			Project: p.Project, Name: p.Name, Description: p.Description, License: p.License,
			Repository: options.Source.Repository, Branch: options.Source.Branch, Revision: options.Source.Revision,
			RevisionMessage: options.Source.Message, RevisionAuthor: options.Source.Author,
			Metadata: map[string]string{}, Stages: map[string]*release.ExecStage{}, Errands: map[string]*release.Errand{},
		},
	}
	c.result.Metadata = c.m
	return c
}

func (c *compiler) compile(ctx context.Context) (*Compiled, error) {
	if c.options.Project != "" {
		if err := release.ValidateNamespace(c.options.Project); err != nil {
			if err := c.report(c.plan.Error("name", "", err.Error())); err != nil {
				return nil, err
			}
		}
		c.m.Project = c.options.Project
	}
	// The order matters: the version may be an expression over a dependency, and what is inherited must be there before
	// the plan's own definitions replace it.
	for _, step := range []func(context.Context) error{
		c.depends, c.extends, c.version, c.logo, c.metadata, c.own, c.scripts, c.errands, c.downloads, c.mapDependencies, c.templates,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c.result.includes = append(append([]string{}, c.plan.Includes...), c.m.Generates...)
	if err := c.result.collectFiles(c.root, func(err error) error { return c.report(c.packageError(err)) }); err != nil {
		return nil, err
	}
	if c.faults.any() {
		return c.result, nil // what is missing is told already
	}
	c.m.Normalise()
	if err := c.m.Validate(); err != nil {
		if err := c.report(&Error{File: c.plan.File, Message: err.Error()}); err != nil {
			return nil, err
		}
	}
	return c.result, nil
}

// report gives an error back, or notes it if all faults of the plan are asked for: then compiling goes on.
func (c *compiler) report(err error) error {
	var fault *Error
	if c.faults == nil || !errors.As(err, &fault) {
		return err
	}
	c.faults.add(fault)
	return nil
}

func (c *compiler) warn(format string, args ...any) {
	c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(format, args...))
}

// lookup finds a release that a field of the plan names and pins its version.
func (c *compiler) lookup(ctx context.Context, field, text string) (release.ID, *release.Metadata, error) {
	id, err := release.ParseID(text)
	if err != nil {
		return release.ID{}, nil, c.plan.Error(field, text, err.Error())
	}
	m, err := c.inventory.Release(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return release.ID{}, nil, c.plan.Error(field, text, fmt.Sprintf("the release '%s' was not found in the inventory", id))
	}
	if err != nil {
		return release.ID{}, nil, fmt.Errorf("look up the release %s: %w", id, err)
	}
	// The project is the one that was asked for: old releases do not always carry theirs.
	pinned := release.ID{Project: id.Project, Name: id.Name, Version: m.Version}
	if pinned.Project == c.m.Project && pinned.Name == c.m.Name && field == "extends" {
		return release.ID{}, nil, c.plan.Error(field, text, "a release cannot extend itself")
	}
	c.result.Releases[pinned.String()] = m
	return pinned, m, nil
}

func (c *compiler) depends(ctx context.Context) error {
	for _, d := range c.plan.Depends {
		pinned, m, err := c.lookup(ctx, "depends", d.ReleaseID)
		if err != nil {
			c.faults.missing(d)
			if err := c.report(err); err != nil {
				return err
			}
			continue
		}
		compiled := release.Dependency{
			ReleaseID: pinned.String(), Mapping: map[string]any{}, BuildMapping: maps.Clone(d.BuildMapping), DeployMapping: maps.Clone(d.DeployMapping),
			Consumes: maps.Clone(d.Consumes), DeploymentName: d.DeploymentName, Variable: d.Variable, Scopes: d.Scopes,
		}
		if len(compiled.Scopes) == 0 {
			compiled.Scopes = []string{release.ScopeBuild, release.ScopeDeploy}
		}
		if compiled.Variable == "" {
			compiled.Variable = pinned.Versionless()
		}
		if compiled.DeploymentName == "" {
			compiled.DeploymentName = compiled.Variable
		}
		if slices.ContainsFunc(c.m.Depends, func(other release.Dependency) bool {
			return other.Variable == compiled.Variable || other.DeploymentName == compiled.DeploymentName
		}) {
			if err := c.report(c.plan.Error("depends", d.ReleaseID, fmt.Sprintf(
				"two dependencies are called '%s': give them names with 'as' or 'deployment_name'", compiled.DeploymentName))); err != nil {
				return err
			}
			continue
		}
		c.m.Depends = append(c.m.Depends, compiled)
		c.scope.Variables[compiled.Variable] = dependencyVariables(pinned, m)
	}
	return nil
}

// dependencyVariables are the fields of a dependency that are known before it is deployed.
func dependencyVariables(id release.ID, m *release.Metadata) map[string]any {
	copied := *m
	copied.Project = id.Project
	variables := ReleaseVariables(&copied)
	for _, later := range []string{"inputs", "outputs", "deployment"} {
		variables[later] = func() (any, error) {
			return nil, fmt.Errorf("'%s' of a dependency are not known before it is deployed", later)
		}
	}
	return variables
}

func (c *compiler) version(ctx context.Context) error {
	err := c.findVersion(ctx)
	if err != nil && c.faults.follows(c.plan.Version, c.scope) {
		err = nil
	}
	c.scope.Variables["this"] = ReleaseVariables(c.m)
	return c.report(err)
}

func (c *compiler) findVersion(ctx context.Context) error {
	text := c.plan.Version
	if c.options.Version != "" {
		text = strings.TrimPrefix(c.options.Version, "v")
		if !version.Valid(text) {
			return c.plan.Error("version", "", fmt.Sprintf("the version '%s' that replaces the plan's is not a version", c.options.Version))
		}
	}
	c.scope.Variables["this"] = ReleaseVariables(c.m)
	if expr.IsExpression(text) {
		evaluated, err := expr.EvaluateString(text, c.scope)
		if err != nil {
			return c.plan.Error("version", "", err.Error())
		}
		text = evaluated
	}
	if text == "auto" {
		text = "@"
	}
	if c.faults.in("version") && c.options.Version == "" || c.m.Name == "" {
		return nil
	}
	if prefix, ok := strings.CutSuffix(text, "@"); ok && (prefix == "" || version.Unresolved(text)) {
		next, err := c.inventory.NextVersion(ctx, c.m.Project, c.m.Name, prefix)
		if err != nil {
			return fmt.Errorf("ask for the next version of %s: %w", c.m.ID().Versionless(), err)
		}
		text = next
	}
	if !version.Valid(text) {
		return c.plan.Error("version", "", fmt.Sprintf("Invalid version string '%s'.", text))
	}
	c.m.Version = text
	return nil
}

const maxLogo = 1 << 20

func (c *compiler) logo(context.Context) error {
	if c.plan.Logo == "" {
		return nil
	}
	file, err := c.root.Open(c.plan.Logo)
	if err != nil {
		return c.report(c.plan.Error("logo", "", fmt.Sprintf("the file '%s' cannot be read", c.plan.Logo)))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxLogo+1))
	if err != nil || len(data) > maxLogo {
		return c.report(c.plan.Error("logo", "", fmt.Sprintf("the file '%s' cannot be read or is over %d bytes", c.plan.Logo, maxLogo)))
	}
	c.m.Logo = base64.StdEncoding.EncodeToString(data)
	return nil
}

func (c *compiler) metadata(context.Context) error {
	for _, key := range slices.Sorted(maps.Keys(c.plan.Metadata)) {
		value, err := expr.EvaluateString(c.plan.Metadata[key], c.scope)
		if err != nil && !c.faults.follows(c.plan.Metadata[key], c.scope) {
			if err := c.report(c.plan.Error("metadata", key, err.Error())); err != nil {
				return err
			}
		}
		c.m.Metadata[key] = value
	}
	c.scope.Variables["this"] = ReleaseVariables(c.m)
	return nil
}

// own adds what the plan itself defines to what it inherits. What the plan defines wins.
func (c *compiler) own(context.Context) error {
	c.m.Generates = union(c.m.Generates, c.plan.Generates)
	for _, name := range c.plan.Provides {
		if !c.m.Provide(name) {
			c.m.Provides = append(c.m.Provides, release.Provider{Name: name})
		}
	}
	for _, consumer := range c.plan.Consumes {
		c.m.Consumes = slices.DeleteFunc(c.m.Consumes, func(other release.Consumer) bool { return other.Variable == consumer.Variable })
		c.m.Consumes = append(c.m.Consumes, consumer)
	}
	c.m.Inputs = replaceVariables(c.m.Inputs, c.plan.Inputs)
	c.m.Outputs = replaceVariables(c.m.Outputs, c.plan.Outputs)
	return nil
}

// replaceVariables puts own variables behind inherited ones, without those that they replace.
func replaceVariables(inherited, own []*release.Variable) []*release.Variable {
	kept := slices.DeleteFunc(inherited, func(v *release.Variable) bool {
		return slices.ContainsFunc(own, func(o *release.Variable) bool { return o.ID == v.ID })
	})
	return append(kept, own...)
}

func (c *compiler) scripts(context.Context) error {
	for _, field := range ScriptFields {
		if script := c.plan.Scripts[field]; script != nil {
			stage, err := c.stage(field, "", script)
			if err := c.report(err); err != nil {
				return err
			}
			c.m.Stages[field] = stage
		}
	}
	return nil
}

func (c *compiler) errands(context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(c.plan.Errands)) {
		errand := c.plan.Errands[name]
		if errand.Run == nil {
			if err := c.report(c.plan.Error("errands", name, fmt.Sprintf("the errand '%s' has nothing to run", name))); err != nil {
				return err
			}
			continue
		}
		stage, err := c.stage("errands", name, errand.Run)
		if err := c.report(err); err != nil {
			return err
		}
		c.m.Errands[name] = &release.Errand{Name: name, Description: errand.Description, ExecStage: stage, Inputs: errand.Inputs}
	}
	return nil
}

func (c *compiler) downloads(context.Context) error {
	c.m.Downloads = append(c.m.Downloads, c.plan.Downloads...)
	return nil
}

func (c *compiler) packageError(err error) error {
	var wrong *FileError
	if errors.As(err, &wrong) {
		return c.plan.Error("includes", "", wrong.Message)
	}
	return err
}
