package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
)

// version is what a deploy step deploys, after its update_version: the job's own version where it says nothing.
func (s *stepper) version(ctx context.Context, project *models.Project, st models.PipelineStep, j *models.DeploymentJob) (string, error) {
	switch st.UpdateVersion {
	case "latest-version":
		return "latest", nil
	case "last-version-in-pipeline":
		made, err := s.madeHere(ctx)
		if err != nil {
			return "", err
		}
		if list := made.versions(j.Release); len(list) > 0 {
			return list[len(list)-1], nil
		}
	case "tagged-version":
		if st.TagTaggedVersion != "" {
			return st.TagTaggedVersion, nil
		}
		return st.Tag, nil
	case "version-from-deployment-job":
		environment := st.UpdateVersionEnvironment
		if environment == "" {
			environment = st.Environment
		}
		other, err := s.job(ctx, project, environment, st.UpdateVersionDeployment)
		var p *problem.Error
		if errors.As(err, &p) {
			return "", problem.New(p.Kind, "there is nothing to take the version from: %s", p.Message)
		}
		if err != nil {
			return "", err
		}
		return other.Version, nil
	}
	return j.Version, nil
}

// inPipeline is what a pipeline's execution has made and deployed.
type inPipeline struct {
	// releases are project/name-vVERSION, in the order of the steps.
	releases []string
	// idle says that a build found nothing to do.
	idle bool
}

// versions are those of one application (namespace/application), in the order of the steps.
func (m inPipeline) versions(application string) []string {
	var list []string
	for _, r := range m.releases {
		if id, err := release.ParseID(r); err == nil && id.Versionless() == application && id.Version != "" {
			list = append(list, id.Version)
		}
	}
	return list
}

// madeHere gives the releases that this pipeline's builds made, or found made, and its deployments deployed, those of kept
// steps and of the pipelines that it waited for included.
func (s *stepper) madeHere(ctx context.Context) (inPipeline, error) {
	m := inPipeline{releases: []string{}}
	err := s.collect(ctx, s.e.ID, &m, 0)
	return m, err
}

// maxNesting bounds how deep the pipelines that wait for one another are looked into.
const maxNesting = 20

func (s *stepper) collect(ctx context.Context, executionID string, m *inPipeline, depth int) error {
	steps, err := s.Store.StepsOf(ctx, executionID)
	if err != nil {
		return err
	}
	for _, st := range steps {
		if st.ChildID == "" || st.Detached {
			continue
		}
		switch st.Type {
		case models.StepPipeline:
			if depth < maxNesting {
				if err := s.collect(ctx, st.ChildID, m, depth+1); err != nil {
					return err
				}
			}
		case models.StepBuild, models.StepDeploy:
			child, err := s.Store.ExecutionByID(ctx, st.ChildID)
			if err != nil {
				return err
			}
			m.idle = m.idle || child.Kind == models.KindBuild && child.Status == models.StatusSkipped
			if child.Status != models.StatusOK {
				continue
			}
			result := child.ResultOf()
			for _, r := range result.Releases {
				m.releases = append(m.releases, r.Release)
			}
			if result.Release != "" {
				m.releases = append(m.releases, result.Release)
			}
		}
	}
	return nil
}
