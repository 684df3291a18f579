package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/internal/version"
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
		return s.deployed(ctx, other)
	}
	return j.Version, nil
}

// deployed is the version of a deployment job: its own where that is exact, else what it stands for now, which is what is
// deployed there. What the query or the tag would find by the time of the deployment may be another release, which nobody
// has tried there.
func (s *stepper) deployed(ctx context.Context, j *models.DeploymentJob) (string, error) {
	if q, err := version.ParseQuery(j.Version); err == nil && q.Kind == version.Exact {
		return j.Version, nil
	}
	d, err := s.Store.DeploymentState(ctx, j.EnvironmentID, j.Definition(models.ActionDeploy).Deployment)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return "", err
	}
	if err == nil && d.Release == j.Release {
		if stage := d.Stages[state.StageDeploy]; stage.CodeOf() == state.OK && stage.Version != "" {
			return stage.Version, nil
		}
	}
	return "", problem.New(problem.Conflict, "there is nothing to take the version from: %s is not deployed well by deployment job %s in environment %s", j.Release, j.Name, j.EnvironmentName)
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
// steps and of the pipelines that it waited for included. It asks once for all steps of the phase: each of fifty webhooks
// would ask for the same.
func (s *stepper) madeHere(ctx context.Context) (inPipeline, error) {
	if s.made != nil {
		return *s.made, nil
	}
	made := map[string][]models.StepMade{}
	for level, depth := []string{s.e.ID}, 0; len(level) > 0 && depth <= maxNesting; depth++ {
		found, err := s.Store.MadeBySteps(ctx, level)
		if err != nil {
			return inPipeline{}, err
		}
		level = nil
		for id, steps := range found {
			made[id] = steps
			for _, st := range steps {
				if st.Type == models.StepPipeline {
					level = append(level, st.ChildID)
				}
			}
		}
	}
	m := inPipeline{releases: []string{}}
	m.collect(s.e.ID, made, 0)
	s.made = &m
	return m, nil
}

// maxNesting bounds how deep the pipelines that wait for one another are looked into.
const maxNesting = 20

// collect adds what the steps of a pipeline's execution made.
func (m *inPipeline) collect(executionID string, made map[string][]models.StepMade, depth int) {
	for _, st := range made[executionID] {
		if st.Type == models.StepPipeline {
			if depth < maxNesting {
				m.collect(st.ChildID, made, depth+1)
			}
			continue
		}
		m.idle = m.idle || st.Type == models.StepBuild && st.Status == models.StatusSkipped
		if st.Status != models.StatusOK {
			continue
		}
		result := (&models.Execution{Result: st.Result}).ResultOf()
		for _, r := range result.Releases {
			m.releases = append(m.releases, r.Release)
		}
		if result.Release != "" {
			m.releases = append(m.releases, result.Release)
		}
	}
}
