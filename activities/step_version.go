package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/models"
)

// updateVersion applies a deploy step's update_version to the version that is deployed.
func (a *Executions) updateVersion(ctx context.Context, e *models.Execution, st models.PipelineStep, def *models.DeploymentDefinition) error {
	switch st.UpdateVersion {
	case "latest-version":
		def.Version = "latest"
	case "last-version-in-pipeline":
		v, err := a.lastVersion(ctx, e, def.Release)
		if err != nil {
			return err
		}
		if v != "" {
			def.Version = v
		}
	case "tagged-version":
		def.Version = st.Tag
	case "version-from-deployment-job":
		env, err := a.Store.EnvironmentByName(ctx, e.ProjectID, st.UpdateVersionEnvironment)
		if err == nil {
			var j *models.DeploymentJob
			if j, err = a.Store.DeploymentJobByName(ctx, env.ID, st.UpdateVersionDeployment); err == nil {
				def.Version = j.Version
				return nil
			}
		}
		if errors.Is(err, models.ErrNotFound) {
			return problem.New(problem.NotFound, "there is no deployment job %q in environment %q to take the version from", st.UpdateVersionDeployment, st.UpdateVersionEnvironment)
		}
		return err
	}
	return nil
}

// lastVersion gives the version of an application that this pipeline's builds made last, those that a retry kept
// included; "" where they made none.
func (a *Executions) lastVersion(ctx context.Context, e *models.Execution, application string) (string, error) {
	steps, err := a.Store.StepsOf(ctx, e.ID)
	if err != nil {
		return "", err
	}
	version := ""
	for _, st := range steps {
		if st.Type != models.StepBuild || st.ChildID == "" {
			continue
		}
		child, err := a.Store.ExecutionByID(ctx, st.ChildID)
		if err != nil {
			return "", err
		}
		for _, r := range child.ResultOf().Releases {
			if v, ok := versionOf(r.Release, application); ok {
				version = v
			}
		}
	}
	return version, nil
}

// versionOf takes the version out of a release id of the application given: ns/app-v1.2 of ns/app is 1.2.
func versionOf(release, application string) (string, bool) {
	prefix := application + "-v"
	if len(release) <= len(prefix) || release[:len(prefix)] != prefix {
		return "", false
	}
	return release[len(prefix):], true
}
