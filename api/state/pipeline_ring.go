package state

import (
	"errors"
	"slices"
	"strings"

	"slipway/models"
)

// maxRingSearch is how many pipelines the search for a ring looks at. One that is larger is stopped when it runs.
const maxRingSearch = 500

// ring refuses pipelines that would trigger each other round and round, whether by steps that trigger one or by pipelines
// that listen to a build or a deployment. A pipeline that listens to what it runs itself is no ring: it is not started by
// that.
func (c *phaseCheck) ring(phases []models.PipelinePhase) error {
	r := &ringSearch{c: c, own: projectID(c.ctx) + "/" + c.pipeline, seen: map[string]bool{}}
	for _, ph := range phases {
		for _, st := range ph.Steps {
			if kind, name := st.ListensTo(); kind != "" {
				project, err := c.project(st)
				if err != nil {
					return err
				}
				r.heard = append(r.heard, heard{kind, project, st.Environment, name})
			}
		}
	}
	for i, ph := range phases {
		for j, st := range ph.Steps {
			next, err := r.starts(projectID(c.ctx), st, r.own)
			if err != nil {
				return err
			}
			for _, n := range next {
				path, err := r.follow(n, []string{c.pipeline})
				if err != nil {
					return err
				}
				if path != nil {
					c.locate(i, j, st)
					return c.bad(ringMember(st), "the pipelines would trigger each other in a ring: %s", strings.Join(path, " -> "))
				}
			}
		}
	}
	return nil
}

func ringMember(st models.PipelineStep) string {
	switch st.Type {
	case models.StepPipeline:
		return "pipeline"
	case models.StepBuild:
		return "build"
	}
	return "deployment"
}

// heard is a build or deployment job that a pipeline listens to.
type heard struct{ kind, project, environment, name string }

// ringSearch follows what pipelines start, from the one that is saved.
type ringSearch struct {
	c     *phaseCheck
	own   string // the pipeline that is saved, as project id/name
	heard []heard
	seen  map[string]bool
}

// next is a pipeline that a step starts.
type next struct{ project, name string }

func (n next) key() string { return n.project + "/" + n.name }

// starts gives the pipelines that a step of a pipeline starts. The one that is saved listens to what its new steps say.
func (r *ringSearch) starts(own string, st models.PipelineStep, of string) ([]next, error) {
	project := own
	if st.Project != "" {
		p, err := r.c.s.Scopes.Project(r.c.ctx, st.Project)
		if errors.Is(err, models.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		project = p.ID
	}
	var what heard
	switch st.Type {
	case models.StepPipeline:
		return []next{{project, st.Pipeline}}, nil
	case models.StepBuild:
		what = heard{models.KindBuild, project, st.Environment, st.Build}
	case models.StepDeploy:
		what = heard{models.KindDeployment, project, st.Environment, st.Deployment}
	default:
		return nil, nil
	}
	var out []next
	if of != r.own && slices.Contains(r.heard, what) {
		out = append(out, next{projectID(r.c.ctx), r.c.pipeline})
	}
	list, err := r.c.s.Store.ListenersTo(r.c.ctx, what.kind, what.project, what.environment, what.name)
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		p, err := r.c.s.Store.PipelineByID(r.c.ctx, l.PipelineID)
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n := next{p.ProjectID, p.Name}
		if n.key() != of && n.key() != r.own { // what the saved one listened to until now counts no more
			out = append(out, n)
		}
	}
	return out, nil
}

// follow gives the way that leads back to the pipeline that is saved, nil where there is none.
func (r *ringSearch) follow(at next, path []string) ([]string, error) {
	path = append(slices.Clone(path), at.name)
	if at.key() == r.own {
		return path, nil
	}
	if r.seen[at.key()] || len(r.seen) >= maxRingSearch {
		return nil, nil
	}
	r.seen[at.key()] = true
	p, err := r.c.s.Store.PipelineByName(r.c.ctx, at.project, at.name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil // not ours to complain about: it was deleted since
	}
	if err != nil {
		return nil, err
	}
	for _, ph := range p.Phases {
		for _, st := range ph.Steps {
			list, err := r.starts(p.ProjectID, st, at.key())
			if err != nil {
				return nil, err
			}
			for _, n := range list {
				if found, err := r.follow(n, path); found != nil || err != nil {
					return found, err
				}
			}
		}
	}
	return nil, nil
}
