package state

import (
	"strings"
)

// maxDepth bounds how deep deployments nest.
const maxDepth = 64

// ParsePath splits the path of a deployment, "root:sub:subsub", into its names.
func ParsePath(path string) ([]string, error) {
	if path == "" {
		return nil, invalidf("Missing deployment path")
	}
	names := strings.Split(path, ":")
	if len(names) > maxDepth {
		return nil, invalidf("The deployment path is deeper than %d deployments", maxDepth)
	}
	for _, name := range names {
		if err := ValidateDeploymentName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// FormatPath joins the names of a path.
func FormatPath(names []string) string { return strings.Join(names, ":") }

// CheckRootStage checks the stage of the root below which a path goes on: "" for the root itself, else "build" or
// "deploy".
func CheckRootStage(names []string, rootStage string) error {
	if len(names) > 1 && rootStage != StageBuild && rootStage != StageDeploy {
		return invalidf("Unknown stage '%s': expected 'build' or 'deploy'", rootStage)
	}
	return nil
}

// Put sets the deployment at a path, as a client does after each change. A path of one name replaces that root
// deployment with all that is nested in it. A longer one replaces a nested deployment: the first hop goes through
// rootStage of the root, every further one through the deploy stage. Parents and stages that are missing are made. The
// deployment takes the last name of the path.
func (e *Environment) Put(names []string, rootStage string, d *Deployment) error {
	if len(names) == 0 {
		return invalidf("Missing deployment path")
	}
	if err := CheckRootStage(names, rootStage); err != nil {
		return err
	}
	d.Name = names[len(names)-1]
	if len(names) == 1 {
		if e.Deployments == nil {
			e.Deployments = map[string]*Deployment{}
		}
		e.Deployments[d.Name] = d
		return nil
	}
	parent, stage := e.EnsureDeployment(names[0]), rootStage
	for _, name := range names[1 : len(names)-1] {
		parent, stage = parent.EnsureStage(stage).EnsureDeployment(name), StageDeploy
	}
	children := parent.EnsureStage(stage)
	if children.Deployments == nil {
		children.Deployments = map[string]*Deployment{}
	}
	children.Deployments[d.Name] = d
	return nil
}

// Find returns the deployment at a path, or nil. rootStage is the stage of the root that the second name is in.
func (e *Environment) Find(names []string, rootStage string) *Deployment {
	if len(names) == 0 {
		return nil
	}
	d, stage := e.Deployments[names[0]], rootStage
	for _, name := range names[1:] {
		if d == nil || d.Stages[stage] == nil {
			return nil
		}
		d, stage = d.Stages[stage].Deployments[name], StageDeploy
	}
	return d
}
