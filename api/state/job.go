package state

import (
	"context"
	"net/http"
	"strings"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/state"
	"slipway/models"
)

// DeploymentJob deploys a release to an environment, for reading and for writing. id, project and status are read-only.
type DeploymentJob struct {
	ID          string `json:"id"`
	Name        string `json:"name" validate:"max=500"`
	Project     string `json:"project" validate:"max=200"`
	Environment string `json:"environment" validate:"max=300"`
	// Deployment is the root deployment in the environment's state; the job's name where it is left out.
	Deployment string `json:"deployment" validate:"max=500"`
	// Release is namespace/application. A version may follow, as in namespace/application-v1.0 or namespace/application:tag;
	// it then stands in Version.
	Release string `json:"release" validate:"max=300"`
	// Version is exact, a query (latest, 1.@) or a tag. It is kept as given and looked up by each execution.
	Version string `json:"version" validate:"max=100"`
	// Inputs may be secret: they are shown to those who may trigger the job.
	Inputs                map[string]any    `json:"inputs,omitempty" validate:"max=1000"`
	Providers             map[string]string `json:"providers" validate:"max=200,dive,keys,max=200,endkeys,max=500"`
	Disabled              bool              `json:"disabled"`
	Status                string            `json:"status" validate:"max=100"`
	ServiceAccountName    string            `json:"service_account_name" validate:"max=200"`
	ServiceAccountTeam    string            `json:"service_account_team" validate:"max=200"`
	RemoteEscapeWorkerURL string            `json:"remote_escape_worker_url" validate:"max=2000"`
}

// DeploymentJobs are keyed like builds: by name, by environment, by project.
type (
	DeploymentJobs        map[string]DeploymentJob
	ProjectDeploymentJobs map[string]DeploymentJobs
	UserDeploymentJobs    map[string]ProjectDeploymentJobs
)

const (
	jobsPath          = "/api/v1/deployment-jobs/"
	jobsOfProject     = jobsPath + "by-project/{project}/"
	jobsOfEnvironment = jobsOfProject + "by-environment/{environment}/"
	jobPath           = jobsOfEnvironment + "by-name/{deployment}/"
	jobTrigger        = "deployment-job:trigger"
)

func (s *surface) jobRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: jobsPath, Operation: "listAllTheVisibleDeploymentJobsForTheRequestingUser", Summary: "List all the visible deployment jobs for the requesting user.",
			Permission: api.Permission{Action: "deployment-job:read", Filtered: true}, Handler: api.Handle(s.userJobs)},
		{Method: http.MethodGet, Path: jobsOfProject, Operation: "getDeploymentJobsByProject", Summary: "Get deployment jobs by project",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.projectJobs)},
		{Method: http.MethodPost, Path: jobsOfProject + "add", Operation: "addANewDeploymentJob", Summary: "Add a new deployment job",
			Permission: s.in("deployment-job:create"), Handler: api.Handle(s.addJob)},
		{Method: http.MethodGet, Path: jobsOfEnvironment, Operation: "getDeploymentJobsByEnvironment", Summary: "Get deployment jobs by environment.",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.environmentJobs)},
		{Method: http.MethodGet, Path: jobPath, Operation: "getADeploymentJob", Summary: "Get a deployment job.",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.getJob)},
		{Method: http.MethodPut, Path: jobPath, Operation: "updateADeploymentJob", Summary: "Update a deployment job.",
			Permission: s.in("deployment-job:update"), Handler: api.Handle(s.updateJob)},
		{Method: http.MethodDelete, Path: jobPath, Operation: "deleteADeploymentJob", Summary: "Delete a deployment job.",
			Permission: s.in("deployment-job:delete"), Handler: api.Handle(s.deleteJob)},
		{Method: http.MethodPost, Path: jobPath + "trigger", Operation: "triggerADeploymentJob", Summary: "Trigger a deployment job.",
			Permission: s.in(jobTrigger), Handler: api.Handle(s.deployJob)},
		{Method: http.MethodPost, Path: jobPath + "trigger/destroy", Operation: "requestToDestroyADeployment", Summary: "Request to destroy a deployment.",
			Permission: s.in(jobTrigger), Handler: api.Handle(s.triggerJob(models.ActionDestroy))},
		{Method: http.MethodPost, Path: jobPath + "trigger/errand", Operation: "requestToRunAnErrandOnADeployment", Summary: "Request to run an errand on a deployment.",
			Permission: s.in(jobTrigger), Handler: api.Handle(s.triggerErrand)},
		{Method: http.MethodPost, Path: jobPath + "trigger/smoke", Operation: "requestToRerunSmokeTestsOnADeployment", Summary: "Request to rerun smoke tests on a deployment.",
			Permission: s.in(jobTrigger), Handler: api.Handle(s.triggerJob(models.ActionSmoke))},
	}
}

// showJob gives a job as readers see it; inputs says that its inputs are shown.
func (s *surface) showJob(j *models.DeploymentJob, inputs bool) (DeploymentJob, error) {
	out := DeploymentJob{ID: j.ID, Name: j.Name, Project: j.ProjectName, Environment: j.EnvironmentName, Deployment: j.Deployment, Release: j.Release, Version: j.Version,
		Providers: j.Providers, Disabled: j.Disabled, Status: j.Status().StateStatus(false), ServiceAccountName: j.ServiceAccountName,
		ServiceAccountTeam: j.ServiceAccountTeam, RemoteEscapeWorkerURL: j.TaskQueue}
	if out.Providers == nil {
		out.Providers = map[string]string{}
	}
	if inputs {
		if j.Inputs == nil {
			if err := s.Store.OpenInputs(j); err != nil {
				return out, err
			}
		}
		out.Inputs = j.Inputs
	}
	return out, nil
}

func (s *surface) userJobs(ctx context.Context, _ *struct{}) (UserDeploymentJobs, error) {
	v, err := s.visible(ctx, "deployment-job:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListDeploymentJobs(ctx, models.Where{Visible: v})
	if err != nil {
		return nil, err
	}
	out := UserDeploymentJobs{}
	for i := range list {
		j, err := s.showJob(&list[i], false)
		if err != nil {
			return nil, err
		}
		inner(inner(out, j.Project), j.Environment)[j.Name] = j
	}
	return out, nil
}

// inner gives the map under a key, made where there is none.
func inner[M ~map[string]V, K ~map[string]M, V any](m K, key string) M {
	if m[key] == nil {
		m[key] = M{}
	}
	return m[key]
}

func (s *surface) jobsWhere(ctx context.Context, w models.Where) ([]DeploymentJob, error) {
	inputs, err := s.may(ctx, "deployment-job:trigger")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListDeploymentJobs(ctx, w)
	if err != nil {
		return nil, err
	}
	return api.TryEach(list, func(j *models.DeploymentJob) (DeploymentJob, error) { return s.showJob(j, inputs) })
}

func (s *surface) projectJobs(ctx context.Context, _ *projectRequest) (ProjectDeploymentJobs, error) {
	list, err := s.jobsWhere(ctx, models.Where{ProjectID: projectID(ctx)})
	if err != nil {
		return nil, err
	}
	out := ProjectDeploymentJobs{}
	for _, j := range list {
		inner(out, j.Environment)[j.Name] = j
	}
	return out, nil
}

func (s *surface) environmentJobs(ctx context.Context, r *environmentRequest) (DeploymentJobs, error) {
	e, err := s.environment(ctx, r.environmentPath)
	if err != nil {
		return nil, err
	}
	list, err := s.jobsWhere(ctx, models.Where{EnvironmentID: e.ID})
	if err != nil {
		return nil, err
	}
	out := DeploymentJobs{}
	for _, j := range list {
		out[j.Name] = j
	}
	return out, nil
}

type jobCreate struct {
	projectPath
	Body DeploymentJob `body:"json"`
}

func (s *surface) addJob(ctx context.Context, r *jobCreate) (*DeploymentJob, error) {
	if r.Body.Name == "" {
		r.Body.Name = r.Body.Deployment
	}
	if err := state.ValidateDeploymentName(r.Body.Name); err != nil {
		return nil, bad(err)
	}
	if r.Body.Environment == "" {
		return nil, problem.BadField("environment", "is required")
	}
	e, err := s.Store.EnvironmentByName(ctx, projectID(ctx), r.Body.Environment)
	if err != nil {
		return nil, unknownName(err, "environment", "the project has no environment '%s'", r.Body.Environment)
	}
	j := &models.DeploymentJob{ProjectID: projectID(ctx), EnvironmentID: e.ID, Name: r.Body.Name}
	if err := s.fillJob(ctx, j, &r.Body); err != nil {
		return nil, err
	}
	err = s.create(ctx, audit("deployment-job:create", "deployment", "", e.Name+"/"+j.Name), &j.ID, func(tx *models.Store) error {
		return tx.CreateDeploymentJob(ctx, j)
	})
	if err != nil {
		return nil, taken(err)
	}
	j.ProjectName, j.EnvironmentName = r.Project, e.Name
	out, err := s.showJob(j, true)
	return &out, err
}

// unknownName is the error for a name in a body: what is not found there is bad input, not a missing page.
func unknownName(err error, field, format string, args ...any) error {
	if missing := missing(err, format, args...); problem.Is(missing, problem.NotFound) {
		return problem.BadField(field, format, args...)
	}
	return err
}

// fillJob checks a job's body and takes over what may change.
func (s *surface) fillJob(ctx context.Context, j *models.DeploymentJob, body *DeploymentJob) error {
	deployment := body.Deployment
	if deployment == "" {
		deployment = j.Name
	}
	if err := state.ValidateDeploymentName(deployment); err != nil {
		return problem.BadField("deployment", "%s", err.Error())
	}
	name, version, err := splitRelease(body.Release, body.Version)
	if err != nil {
		return err
	}
	if err := s.checkQueue(body.RemoteEscapeWorkerURL); err != nil {
		return err
	}
	if err := s.checkServiceAccount(ctx, body.ServiceAccountName, body.ServiceAccountTeam); err != nil {
		return err
	}
	for consumer, provider := range body.Providers {
		if _, err := state.ParsePath(provider); err != nil {
			return problem.BadField("providers."+consumer, "%s", err.Error())
		}
	}
	j.Deployment, j.Release, j.Version, j.Providers, j.Disabled = deployment, name, version, body.Providers, body.Disabled
	if body.Inputs != nil {
		j.Inputs = body.Inputs
	}
	j.ServiceAccountName, j.ServiceAccountTeam, j.TaskQueue = body.ServiceAccountName, body.ServiceAccountTeam, body.RemoteEscapeWorkerURL
	return nil
}

// splitRelease reads a job's release and version. The version is kept as it was given: a query or a tag is looked up by
// each execution.
func splitRelease(text, version string) (name, kept string, err error) {
	if text == "" {
		return "", "", problem.BadField("release", "is required, as in namespace/application")
	}
	name, kept = text, version
	id, ierr := release.ParseID(text)
	if ierr == nil {
		name = id.Versionless()
		if version == "" {
			kept = id.Query()
		}
	}
	namespace, application, ok := strings.Cut(name, "/")
	if !ok {
		namespace, application = release.DefaultProject, name
	}
	if err := release.ValidateNamespace(namespace); err != nil {
		return "", "", problem.BadField("release", "%s", err.Error())
	}
	if err := release.ValidateName(application); err != nil {
		return "", "", problem.BadField("release", "%s", err.Error())
	}
	if kept == "" {
		kept = "latest"
	}
	if _, err := release.ParseID(namespace + "/" + application + ":" + kept); err != nil {
		return "", "", problem.BadField("version", "expected a version, a query such as latest or 1.@, or a tag")
	}
	return namespace + "/" + application, kept, nil
}

type jobRequest struct {
	environmentPath
	Deployment string `path:"deployment" validate:"max=500"`
}

func (s *surface) job(ctx context.Context, r jobRequest) (*models.DeploymentJob, error) {
	var j *models.DeploymentJob
	err := s.withEnvironment(ctx, r.environmentPath, func(environment string) error {
		var err error
		j, err = s.Store.DeploymentJobByName(ctx, environment, r.Deployment)
		return err
	})
	return j, missing(err, "the environment has no deployment job '%s'", r.Deployment)
}

func (s *surface) getJob(ctx context.Context, r *jobRequest) (*DeploymentJob, error) {
	j, err := s.job(ctx, *r)
	if err != nil {
		return nil, err
	}
	inputs, err := s.may(ctx, "deployment-job:trigger")
	if err != nil {
		return nil, err
	}
	out, err := s.showJob(j, inputs)
	return &out, err
}

type jobUpdate struct {
	jobRequest
	Body DeploymentJob `body:"json"`
}

func (s *surface) updateJob(ctx context.Context, r *jobUpdate) (*DeploymentJob, error) {
	if err := asInURL("Deployment job", "name", r.Body.Name, r.Deployment); err != nil {
		return nil, err
	}
	if err := asInURL("Deployment job", "environment", r.Body.Environment, r.Environment); err != nil {
		return nil, err
	}
	j, err := s.job(ctx, r.jobRequest)
	if err != nil {
		return nil, err
	}
	if err := s.fillJob(ctx, j, &r.Body); err != nil {
		return nil, err
	}
	err = s.change(ctx, audit("deployment-job:update", "deployment", j.ID, r.Environment+"/"+j.Name), func(tx *models.Store) error {
		return tx.UpdateDeploymentJob(ctx, j)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.showJob(j, true)
	return &out, err
}

func (s *surface) deleteJob(ctx context.Context, r *jobRequest) (api.Empty, error) {
	j, err := s.job(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, busy(s.change(ctx, audit("deployment-job:delete", "deployment", j.ID, r.Environment+"/"+j.Name), func(tx *models.Store) error {
		return tx.DeleteDeploymentJob(ctx, j.ID)
	}))
}

// triggerJob makes the handler for an action that needs no more than the job itself.
func (s *surface) triggerJob(action string) func(context.Context, *jobRequest) (*ExecutionID, error) {
	return func(ctx context.Context, r *jobRequest) (*ExecutionID, error) {
		j, err := s.job(ctx, *r)
		if err != nil {
			return nil, err
		}
		return s.runJob(ctx, j, j.Definition(action))
	}
}

// DeployOverrides say what one deployment does differently from its job; without a body nothing.
type DeployOverrides struct {
	// Version is deployed this once instead of the job's: exact, a query or a tag.
	Version string `json:"version" validate:"max=100"`
}

type deployRequest struct {
	jobRequest
	Body *DeployOverrides `body:"json"`
}

func (s *surface) deployJob(ctx context.Context, r *deployRequest) (*ExecutionID, error) {
	j, err := s.job(ctx, r.jobRequest)
	if err != nil {
		return nil, err
	}
	d := j.Definition(models.ActionDeploy)
	if r.Body != nil && r.Body.Version != "" {
		if _, d.Version, err = splitRelease(j.Release, r.Body.Version); err != nil {
			return nil, err
		}
	}
	return s.runJob(ctx, j, d)
}

// ErrandBody names an errand of the deployed release and what it is given.
type ErrandBody struct {
	ErrandName string         `json:"errand_name" validate:"required,max=200"`
	Inputs     map[string]any `json:"inputs" validate:"max=1000"`
}

type errandRequest struct {
	jobRequest
	Body ErrandBody `body:"json"`
}

func (s *surface) triggerErrand(ctx context.Context, r *errandRequest) (*ExecutionID, error) {
	j, err := s.job(ctx, r.jobRequest)
	if err != nil {
		return nil, err
	}
	d := j.Definition(models.ActionErrand)
	d.ErrandName = r.Body.ErrandName
	if d.ErrandInputs, err = s.Store.SealErrandInputs(j.ID, r.Body.Inputs); err != nil {
		return nil, err
	}
	return s.runJob(ctx, j, d)
}

func (s *surface) runJob(ctx context.Context, j *models.DeploymentJob, d models.DeploymentDefinition) (*ExecutionID, error) {
	if j.Disabled {
		return nil, isDisabled(models.KindDeployment, j.Name)
	}
	return s.trigger(ctx, executions.TriggerRequest{Kind: models.KindDeployment, ProjectID: j.ProjectID, EnvironmentID: j.EnvironmentID,
		SubjectID: j.ID, SubjectName: j.Name, TaskQueue: j.TaskQueue, Definition: d})
}
