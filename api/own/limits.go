package own

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Limits bound the executions of a build, a deployment job or a pipeline. Absent members bound nothing.
type Limits struct {
	// MaxParallel is how many executions may run side by side, 1 to 1000; 0 is any number.
	MaxParallel int `json:"max_parallel" validate:"min=0,max=1000"`
	// WhenBusy is what becomes of an execution that is triggered while as many run: queue (the default), skip or
	// cancel_older.
	WhenBusy string `json:"when_busy,omitempty" validate:"omitempty,oneof=queue skip cancel_older"`
	// TimeLimit is how long an execution may run, from 1s to 720h, as in 90s, 10m or 1h30m. Waiting for its turn and for
	// deployments is not counted.
	TimeLimit string `json:"time_limit,omitempty" validate:"max=20"`
}

func (s *surface) limitRows() []api.Row {
	const project = base + "projects/{project}/"
	const environment = project + "environments/{environment}/"
	read, update := api.Permission{Action: "limit:read", On: s.onProject}, api.Permission{Action: "limit:update", On: s.onProject}
	return []api.Row{
		{Method: http.MethodGet, Path: project + "pipelines/{pipeline}/limits", Operation: "getPipelineLimits", Summary: "Get the limits of a pipeline's executions.",
			Permission: read, Handler: api.Handle(getLimits[pipelinePath](s))},
		{Method: http.MethodPut, Path: project + "pipelines/{pipeline}/limits", Operation: "setPipelineLimits", Summary: "Set the limits of a pipeline's executions. They hold at once.",
			Permission: update, Handler: api.Handle(func(ctx context.Context, r *pipelineLimits) (*Limits, error) {
				return s.setLimits(ctx, &r.pipelinePath, r.Body)
			})},
		{Method: http.MethodGet, Path: environment + "builds/{build}/limits", Operation: "getBuildLimits", Summary: "Get the limits of a build's executions.",
			Permission: read, Handler: api.Handle(getLimits[buildPath](s))},
		{Method: http.MethodPut, Path: environment + "builds/{build}/limits", Operation: "setBuildLimits", Summary: "Set the limits of a build's executions. They hold at once.",
			Permission: update, Handler: api.Handle(func(ctx context.Context, r *buildLimits) (*Limits, error) {
				return s.setLimits(ctx, &r.buildPath, r.Body)
			})},
		{Method: http.MethodGet, Path: environment + "deployment-jobs/{deployment}/limits", Operation: "getDeploymentJobLimits", Summary: "Get the limits of a deployment job's executions.",
			Permission: read, Handler: api.Handle(getLimits[jobPath](s))},
		{Method: http.MethodPut, Path: environment + "deployment-jobs/{deployment}/limits", Operation: "setDeploymentJobLimits", Summary: "Set the limits of a deployment job's executions. They hold at once.",
			Permission: update, Handler: api.Handle(func(ctx context.Context, r *jobLimits) (*Limits, error) { return s.setLimits(ctx, &r.jobPath, r.Body) })},
	}
}

// subject is what a path names and executions are of.
type subject struct {
	kind, id, name string
	limits         models.Limits
}

// named finds what a path names in the project that the row's resolver found.
type named interface {
	find(ctx context.Context, s *surface) (subject, error)
}

type pipelinePath struct {
	Project  string `path:"project" validate:"max=200"`
	Pipeline string `path:"pipeline" validate:"max=300"`
}

func (p *pipelinePath) find(ctx context.Context, s *surface) (subject, error) {
	v, err := s.Store.PipelineByName(ctx, projectID(ctx), p.Pipeline)
	if err != nil {
		return subject{}, absent(err, "the project has no pipeline '%s'", p.Pipeline)
	}
	return subject{models.KindPipeline, v.ID, v.Name, v.Limits}, nil
}

type buildPath struct {
	Project     string `path:"project" validate:"max=200"`
	Environment string `path:"environment" validate:"max=300"`
	Build       string `path:"build" validate:"max=300"`
}

func (p *buildPath) find(ctx context.Context, s *surface) (subject, error) {
	e, err := s.environmentNamed(ctx, p.Environment)
	if err != nil {
		return subject{}, err
	}
	v, err := s.Store.BuildByName(ctx, e.ID, p.Build)
	if err != nil {
		return subject{}, absent(err, "the environment has no build '%s'", p.Build)
	}
	return subject{models.KindBuild, v.ID, e.Name + "/" + v.Name, v.Limits}, nil
}

type jobPath struct {
	Project     string `path:"project" validate:"max=200"`
	Environment string `path:"environment" validate:"max=300"`
	Deployment  string `path:"deployment" validate:"max=600"`
}

func (p *jobPath) find(ctx context.Context, s *surface) (subject, error) {
	e, err := s.environmentNamed(ctx, p.Environment)
	if err != nil {
		return subject{}, err
	}
	v, err := s.Store.DeploymentJobByName(ctx, e.ID, p.Deployment)
	if err != nil {
		return subject{}, absent(err, "the environment has no deployment job '%s'", p.Deployment)
	}
	return subject{models.KindDeployment, v.ID, e.Name + "/" + v.Name, v.Limits}, nil
}

func (s *surface) environmentNamed(ctx context.Context, name string) (*models.Environment, error) {
	e, err := s.Store.EnvironmentByName(ctx, projectID(ctx), name)
	return e, absent(err, "the project has no environment '%s'", name)
}

// absent gives ErrNotFound a text that says what is missing; the caller may read the project, so it may know.
func absent(err error, format string, args ...any) error {
	if isNotFound(err) {
		return problem.Wrap(problem.NotFound, err, format, args...)
	}
	return err
}

type (
	pipelineLimits struct {
		pipelinePath
		Body Limits `body:"json"`
	}
	buildLimits struct {
		buildPath
		Body Limits `body:"json"`
	}
	jobLimits struct {
		jobPath
		Body Limits `body:"json"`
	}
)

// getLimits makes the handler that reads the limits of what a path names.
func getLimits[P any, R interface {
	*P
	named
}](s *surface) func(ctx context.Context, r *P) (*Limits, error) {
	return func(ctx context.Context, r *P) (*Limits, error) {
		v, err := R(r).find(ctx, s)
		if err != nil {
			return nil, err
		}
		return showLimits(v.limits), nil
	}
}

func showLimits(l models.Limits) *Limits {
	out := &Limits{MaxParallel: l.MaxParallel, WhenBusy: l.WhenBusy}
	if l.TimeLimit > 0 {
		out.TimeLimit = models.ShowDuration(l.TimeLimit)
	}
	return out
}

func (s *surface) setLimits(ctx context.Context, path named, body Limits) (*Limits, error) {
	v, err := path.find(ctx, s)
	if err != nil {
		return nil, err
	}
	l := models.Limits{MaxParallel: body.MaxParallel, WhenBusy: body.WhenBusy}
	if l.TimeLimit, err = models.ParseTimeLimit(body.TimeLimit); err != nil {
		return nil, problem.BadField("time_limit", "%s", err.Error())
	}
	switch {
	case l.MaxParallel > 0 && l.WhenBusy == "":
		l.WhenBusy = models.BusyQueue
	case l.MaxParallel == 0 && l.WhenBusy != "":
		return nil, problem.BadField("when_busy", "says nothing without max_parallel")
	}
	var next []string
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		if next, err = tx.SetLimits(ctx, v.kind, v.id, l); err != nil {
			return err
		}
		entry := models.AuditEntry{Action: "limit:update", ResourceKind: v.kind, ResourceID: v.id, ResourceName: v.name, ProjectID: projectID(ctx),
			Detail: map[string]any{"max_parallel": l.MaxParallel, "when_busy": l.WhenBusy, "time_limit": l.TimeLimit.String()}}
		return tx.Audit(ctx, entry.ActorOf(api.SubjectOf(ctx)))
	})
	if err != nil {
		return nil, err
	}
	s.Executions.SignalLocks(ctx, next)
	return showLimits(l), nil
}
