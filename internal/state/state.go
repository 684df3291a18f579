// Package state holds the state document of a project: what runs in which environment, with which inputs, outputs and
// providers. It is the format of the client's state file and of its remote state.
package state

import "time"

// Stages of a deployment. Nested deployments only use StageDeploy.
const (
	StageBuild  = "build"
	StageDeploy = "deploy"
)

// Project is a state file: the environments of one project.
type Project struct {
	Name         string                  `json:"name"`
	Environments map[string]*Environment `json:"environments"`
}

// Environment is a place to deploy to. Its inputs are the defaults of everything deployed there.
type Environment struct {
	Name        string                 `json:"name"`
	Inputs      map[string]any         `json:"inputs,omitempty"`
	Deployments map[string]*Deployment `json:"deployments,omitempty"`
}

// Deployment is a release in an environment, or below another deployment that depends on it.
type Deployment struct {
	Name    string            `json:"name"`
	Release string            `json:"release,omitempty"` // "project/name"; the version stands in the stage
	Inputs  map[string]any    `json:"inputs,omitempty"`
	Stages  map[string]*Stage `json:"stages,omitempty"`
}

// Stage is one side of a deployment: what its build needed, or what is deployed.
type Stage struct {
	Inputs            map[string]any         `json:"inputs,omitempty"`             // as given by users and parents
	CalculatedInputs  map[string]any         `json:"calculated_inputs,omitempty"`  // as the scripts saw them
	CalculatedOutputs map[string]any         `json:"calculated_outputs,omitempty"` // as the scripts left them
	Providers         map[string]string      `json:"providers,omitempty"`          // consumer variable to deployment path
	Provides          []string               `json:"provides,omitempty"`
	Version           string                 `json:"version,omitempty"`
	Status            *Status                `json:"status,omitempty"`
	Deployments       map[string]*Deployment `json:"deployments,omitempty"`
}

// Status says how far a stage is.
type Status struct {
	Code       Code       `json:"status"`
	UpdatedAt  time.Time  `json:"updated_at"`
	UpdatedBy  string     `json:"updated_by,omitempty"`
	Data       any        `json:"data,omitempty"` // the text of the error, on a failure
	TryAgainAt *time.Time `json:"try_again_at,omitempty"`
	Tried      int        `json:"tried,omitempty"`
}

// Code is the code of a status. Clients may write them in any order.
type Code string

const (
	Empty                   Code = "empty"
	Pending                 Code = "pending"
	RunningPreStep          Code = "running_pre_step"
	RunningMainStep         Code = "running_main_step"
	RunningPostStep         Code = "running_post_step"
	OK                      Code = "ok"
	Failure                 Code = "failure"
	TestPending             Code = "test_pending"
	RunningTestStep         Code = "running_test_step"
	TestFailure             Code = "test_failure"
	DestroyPending          Code = "destroy_pending"
	DestroyAndDeletePending Code = "destroy_and_delete_pending"
	RunningPreDestroyStep   Code = "running_pre_destroy_step"
	RunningMainDestroyStep  Code = "running_main_destroy_step"
	RunningPostDestroyStep  Code = "running_post_destroy_step"
	DestroyFailure          Code = "destroy_failure"
)

// Failed reports whether a step of the stage has failed.
func (c Code) Failed() bool { return c == Failure || c == TestFailure || c == DestroyFailure }

// Running reports whether a step of the stage is at work.
func (c Code) Running() bool {
	switch c {
	case RunningPreStep, RunningMainStep, RunningPostStep, RunningTestStep,
		RunningPreDestroyStep, RunningMainDestroyStep, RunningPostDestroyStep:
		return true
	}
	return false
}

// CodeOf returns the code of a stage. Where none is written, a stage without a version is empty and another one is ok.
func (s *Stage) CodeOf() Code {
	switch {
	case s == nil:
		return Empty
	case s.Status != nil && s.Status.Code != "":
		return s.Status.Code
	case s.Version == "":
		return Empty
	}
	return OK
}

// ReleaseID returns the id of the release in a stage, "project/name-v1.0", or "" if nothing is there.
func (d *Deployment) ReleaseID(stage string) string {
	s := d.Stages[stage]
	if s == nil || s.Version == "" {
		return ""
	}
	release := d.Release
	if release == "" {
		release = d.Name
	}
	return release + "-v" + s.Version
}

// EnsureStage returns a stage of the deployment, made if it was not there.
func (d *Deployment) EnsureStage(stage string) *Stage {
	if d.Stages == nil {
		d.Stages = map[string]*Stage{}
	}
	if d.Stages[stage] == nil {
		d.Stages[stage] = &Stage{}
	}
	return d.Stages[stage]
}

// EnsureDeployment returns a deployment below the stage, made if it was not there.
func (s *Stage) EnsureDeployment(name string) *Deployment {
	if s.Deployments == nil {
		s.Deployments = map[string]*Deployment{}
	}
	if s.Deployments[name] == nil {
		s.Deployments[name] = &Deployment{Name: name}
	}
	return s.Deployments[name]
}

// EnsureDeployment returns a root deployment of the environment, made if it was not there.
func (e *Environment) EnsureDeployment(name string) *Deployment {
	if e.Deployments == nil {
		e.Deployments = map[string]*Deployment{}
	}
	if e.Deployments[name] == nil {
		e.Deployments[name] = &Deployment{Name: name}
	}
	return e.Deployments[name]
}
