package activities

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"

	"slipway/internal/problem"
	"slipway/models"
)

// stepsFile is where a repository defines the steps of its build itself.
const stepsFile = "escapekit.yml"

// repositorySteps is the shape of stepsFile, as it stands in the repositories of the original:
// {escapekit_version: 1, build: {steps: [{escape_plan_location: escape.yml}]}}.
type repositorySteps struct {
	Version int `yaml:"escapekit_version"`
	Build   struct {
		Steps []struct {
			PlanLocation string `yaml:"escape_plan_location"`
		} `yaml:"steps"`
	} `yaml:"build"`
}

// readSteps reads stepsFile. A step there says only where its plan is: everything that makes a release is done.
func readSteps(b []byte) ([]models.BuildStep, error) {
	if len(b) > 64<<10 {
		return nil, problem.New(problem.Unprocessable, "%s is larger than 64 KiB", stepsFile)
	}
	var f repositorySteps
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&f); err != nil {
		return nil, problem.Wrap(problem.Unprocessable, err, "%s: %v", stepsFile, err)
	}
	if f.Version != 1 {
		return nil, problem.New(problem.Unprocessable, "%s: escapekit_version is %d, expected 1", stepsFile, f.Version)
	}
	if len(f.Build.Steps) == 0 || len(f.Build.Steps) > 100 {
		return nil, problem.New(problem.Unprocessable, "%s: expected 1 to 100 steps in build.steps, got %d", stepsFile, len(f.Build.Steps))
	}
	var steps []models.BuildStep
	for i, s := range f.Build.Steps {
		if s.PlanLocation == "" {
			return nil, problem.New(problem.Unprocessable, "%s: %s", stepsFile, fmt.Sprintf("build.steps[%d]: escape_plan_location is missing", i))
		}
		steps = append(steps, models.BuildStep{PlanLocation: s.PlanLocation, RunBuild: true, RunTests: true, RunDestroyBuild: true, RunDeploy: true, RunSmoke: true,
			RunDestroyDeploy: true, CacheRelease: true, PushRelease: true})
	}
	return steps, nil
}
