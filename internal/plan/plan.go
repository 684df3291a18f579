// Package plan reads release plans (escape.yml) and compiles them: a plan, the files next to it and an inventory of
// other releases become the metadata of a release and the list of the files in its package.
package plan

import "slipway/internal/release"

// DefaultFile is the name of a plan file where none is given.
const DefaultFile = "escape.yml"

// Plan is a plan as it is written. Nothing in it has been looked up yet: versions may be patterns, scripts may be
// missing, and texts may be expressions.
type Plan struct {
	File        string // as it is named in errors
	Project     string // release.DefaultProject if the name has none
	Name        string
	Version     string // fixed ("1.0"), automatic ("@", "1.@", "auto"), or an expression
	Description string
	License     string
	Logo        string // path of an image
	Metadata    map[string]string
	Depends     []Dependency
	Extends     []string // release ids
	Includes    []string // globs
	Generates   []string // globs
	Provides    []string
	Consumes    []release.Consumer
	Inputs      []*release.Variable
	Outputs     []*release.Variable
	Scripts     map[string]*Script // by plan field
	Errands     map[string]*Errand
	Templates   []release.Template
	Downloads   []release.Download

	warnings []string
	lines    map[string]int // by field, or by field and what it holds: "depends", "depends my-app-latest"
}

// Dependency is an item of "depends".
type Dependency struct {
	ReleaseID      string
	Variable       string // alias; "" if none is given
	DeploymentName string
	BuildMapping   map[string]any
	DeployMapping  map[string]any
	Consumes       map[string]string // consumer variable of the dependency to an expression that gives a deployment
	Scopes         []string
}

// Script is what a step runs. Text is the short form, whose meaning depends on the files that are there; otherwise
// Stage holds the long form.
type Script struct {
	Text  string
	Stage release.ExecStage
}

// Errand is an operation that people start by hand.
type Errand struct {
	Description string
	Run         *Script
	Inputs      []*release.Variable
}

// ScriptFields are the plan fields that hold scripts, in the order in which they run.
var ScriptFields = []string{
	"pre_build", "build", "post_build", "test", "pre_deploy", "deploy", "post_deploy", "smoke",
	"pre_destroy", "destroy", "post_destroy", "activate_provider", "deactivate_provider",
}

// Deployment is the name of the deployment that a release run of the plan works on where none is given:
// "project/name". project replaces the plan's own, if it is set.
func (p *Plan) Deployment(project string) string {
	if project == "" {
		project = p.Project
	}
	return release.ID{Project: project, Name: p.Name}.Versionless()
}

// Error makes an error about a field of this plan. detail names the item of the field, if there are several.
func (p *Plan) Error(field, detail, message string) *Error {
	line := p.lines[field+" "+detail]
	if line == 0 {
		line = p.lines[field]
	}
	return &Error{File: p.File, Line: line, Field: field, Message: message}
}
