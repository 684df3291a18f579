package state

import (
	"maps"
	"regexp"
	"slices"
)

var (
	projectName     = regexp.MustCompile(`^[a-zA-Z0-9]+[a-zA-Z0-9-_]+$`)
	environmentName = regexp.MustCompile(`^[a-z]+[a-z0-9-_]*$`)
	deploymentName  = regexp.MustCompile(`^[a-zA-Z_]+[a-zA-Z0-9-_/]*$`)
)

// maxName bounds names in bytes.
const maxName = 255

// ValidateProjectName checks the name of a project.
func ValidateProjectName(name string) error { return validateName("project", name, projectName) }

// ValidateEnvironmentName checks the name of an environment.
func ValidateEnvironmentName(name string) error {
	return validateName("environment", name, environmentName)
}

// ValidateDeploymentName checks the name of a deployment, which may contain "/".
func ValidateDeploymentName(name string) error {
	return validateName("deployment", name, deploymentName)
}

func validateName(kind, name string, pattern *regexp.Regexp) error {
	if len(name) > maxName || !pattern.MatchString(name) {
		return invalidf("The %s name '%s' is not allowed. Expected a string matching /%s/", kind, name, pattern)
	}
	return nil
}

// ValidateNames checks every name in the project's document, and that the keys of its maps are the names of what they
// hold. Empty names inside are filled in from the keys, and null entries become empty ones.
func (p *Project) ValidateNames() error {
	if err := ValidateProjectName(p.Name); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
		if p.Environments[name] == nil {
			p.Environments[name] = &Environment{}
		}
		environment := p.Environments[name]
		if environment.Name == "" {
			environment.Name = name
		}
		if environment.Name != name {
			return invalidf("The environment '%s' stands under the name '%s'", environment.Name, name)
		}
		if err := environment.ValidateNames(); err != nil {
			return err
		}
	}
	return nil
}

// ValidateNames is Project.ValidateNames for one environment.
func (e *Environment) ValidateNames() error {
	if err := ValidateEnvironmentName(e.Name); err != nil {
		return err
	}
	return validateDeployments(e.Deployments, 1)
}

// ValidateNames is Project.ValidateNames for one deployment.
func (d *Deployment) ValidateNames() error { return d.validateNames(1) }

func (d *Deployment) validateNames(depth int) error {
	if depth > maxDepth {
		return invalidf("The deployments nest deeper than %d", maxDepth)
	}
	if err := ValidateDeploymentName(d.Name); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.Stages)) {
		if name != StageBuild && name != StageDeploy {
			return invalidf("Unknown stage '%s' of the deployment '%s': expected 'build' or 'deploy'", name, d.Name)
		}
		if d.Stages[name] == nil {
			d.Stages[name] = &Stage{}
		}
		if err := validateDeployments(d.Stages[name].Deployments, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func validateDeployments(deployments map[string]*Deployment, depth int) error {
	for _, name := range slices.Sorted(maps.Keys(deployments)) {
		if deployments[name] == nil {
			deployments[name] = &Deployment{}
		}
		deployment := deployments[name]
		if deployment.Name == "" {
			deployment.Name = name
		}
		if deployment.Name != name {
			return invalidf("The deployment '%s' stands under the name '%s'", deployment.Name, name)
		}
		if err := deployment.validateNames(depth); err != nil {
			return err
		}
	}
	return nil
}
