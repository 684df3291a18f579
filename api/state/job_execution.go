package state

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/models"
)

// DeploymentJobExecution is one run of a deployment job. DeploymentJob is what ran, as it was then.
type DeploymentJobExecution struct {
	Execution
	DeploymentJob DeploymentJobSnapshot `json:"deployment_job"`
	// Release is what was deployed, with its version, once that is known.
	Release string `json:"release,omitempty"`
}

// DeploymentJobSnapshot is a deployment job as it was when an execution of it was triggered, and what was asked of it.
type DeploymentJobSnapshot struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Deployment  string `json:"deployment"`
	Release     string `json:"release"`
	Version     string `json:"version"`
	// Action is deploy, smoke, destroy or errand.
	Action     string `json:"action"`
	ErrandName string `json:"errand_name,omitempty"`
}

// DeploymentJobExecutions are executions, newest first.
type DeploymentJobExecutions []DeploymentJobExecution

func (s *surface) jobExecutionRows() []api.Row {
	const list = jobPath + "executions/"
	const one = list + "{execution_id}/"
	return []api.Row{
		{Method: http.MethodGet, Path: list, Operation: "listAllTheVisibleDeploymentJobExecutionsForDeploymentJob", Summary: "List all the visible deployment job executions for deployment job.",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.jobExecutions)},
		{Method: http.MethodGet, Path: one, Operation: "getDeploymentJobExecution", Summary: "Get deployment job execution",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.getJobExecution)},
		{Method: http.MethodPost, Path: one + "cancel", Operation: "requestThatDeploymentJobExecutionIsCancelled", Summary: "Request that deployment job execution is cancelled",
			Permission: s.in("deployment-job:cancel"), Handler: api.Handle(s.cancelJob)},
		{Method: http.MethodGet, Path: one + "logs", Operation: "getDeploymentJobLogs", Summary: "Get deployment job logs",
			Permission: s.in("log:read"), Handler: api.Stream(s.jobLogs)},
		{Method: http.MethodPost, Path: one + "logs", Operation: "addLogsToADeploymentJobExecutionItem", Summary: "Add logs to a deployment job execution item.",
			Permission: api.Permission{Action: "log:write", On: s.onExecution("execution_id")}, MaxBody: maxLogBody, Handler: api.Handle(s.addJobLogs)},
		{Method: http.MethodGet, Path: one + "logs_ws", Operation: "realTimeDeploymentJobLogs", Summary: "Real time deployment job logs",
			Permission: s.in("log:read"), Handler: api.Stream(s.followJobLogs)},
		{Method: http.MethodPost, Path: one + "retry", Operation: "retryAFinishedDeploymentJob", Summary: "Retry a finished deployment job.",
			Permission: s.in("deployment-job:retry"), Handler: api.Handle(s.retryJob)},
		{Method: http.MethodGet, Path: jobsOfProject + "executions/", Operation: "getTheDeploymentJobExecutionsByProject", Summary: "Get the deployment job executions by project.",
			Permission: s.in("deployment-job:read"), Handler: api.Handle(s.projectJobExecutions)},
		{Method: http.MethodGet, Path: jobsPath + "executions/", Operation: "listAllTheVisibleDeploymentJobExecutionsForTheRequestingUser", Summary: "List all the visible deployment job executions for the requesting user.",
			Permission: api.Permission{Action: "deployment-job:read", Filtered: true}, Handler: api.Handle(s.visibleJobExecutions)},
	}
}

func showJobExecution(e *models.Execution) (DeploymentJobExecution, error) {
	d, err := definition[models.DeploymentDefinition](e)
	return DeploymentJobExecution{Execution: showExecution(e), Release: e.ResultOf().Release,
		DeploymentJob: DeploymentJobSnapshot{ID: d.JobID, Name: d.Name, Project: d.Project, Environment: d.Environment, Deployment: d.Deployment, Release: d.Release,
			Version: d.Version, Action: d.Action, ErrandName: d.ErrandName}}, err
}

func (s *surface) visibleJobExecutions(ctx context.Context, r *pageRequest) (DeploymentJobExecutions, error) {
	v, err := s.visible(ctx, "deployment-job:read")
	if err != nil {
		return nil, err
	}
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindDeployment, Visible: v}), showJobExecution)
}

func (s *surface) projectJobExecutions(ctx context.Context, r *projectPage) (DeploymentJobExecutions, error) {
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindDeployment, ProjectID: projectID(ctx)}), showJobExecution)
}

type jobPage struct {
	jobRequest
	page
}

func (s *surface) jobExecutions(ctx context.Context, r *jobPage) (DeploymentJobExecutions, error) {
	j, err := s.job(ctx, r.jobRequest)
	if err != nil {
		return nil, err
	}
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindDeployment, SubjectID: j.ID}), showJobExecution)
}

type jobExecutionRequest struct {
	jobRequest
	ID string `path:"execution_id" validate:"max=100"`
}

func (s *surface) jobExecution(ctx context.Context, r jobExecutionRequest) (*models.DeploymentJob, *models.Execution, error) {
	j, err := s.job(ctx, r.jobRequest)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.execution(ctx, models.KindDeployment, j.ID, r.ID)
	return j, e, err
}

func (s *surface) getJobExecution(ctx context.Context, r *jobExecutionRequest) (*DeploymentJobExecution, error) {
	_, e, err := s.jobExecution(ctx, *r)
	if err != nil {
		return nil, err
	}
	out, err := showJobExecution(e)
	return &out, err
}

func (s *surface) cancelJob(ctx context.Context, r *jobExecutionRequest) (api.Empty, error) {
	_, e, err := s.jobExecution(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return s.cancel(ctx, e)
}

func (s *surface) retryJob(ctx context.Context, r *jobExecutionRequest) (*ExecutionID, error) {
	j, e, err := s.jobExecution(ctx, *r)
	if err != nil {
		return nil, err
	}
	return s.retry(ctx, e, j.Disabled, "")
}

type jobLogsRequest struct {
	jobExecutionRequest
	logQuery
}

func (s *surface) jobLogs(w http.ResponseWriter, r *api.Request, q *jobLogsRequest) error {
	_, e, err := s.jobExecution(r.HTTP.Context(), q.jobExecutionRequest)
	if err != nil {
		return err
	}
	return s.writeLogs(w, r, q.logQuery, e)
}

type jobLogsAdd struct {
	jobExecutionRequest
	Body []byte `body:"raw"`
}

func (s *surface) addJobLogs(ctx context.Context, r *jobLogsAdd) (api.Empty, error) {
	_, e, err := s.jobExecution(ctx, r.jobExecutionRequest)
	if err != nil {
		return api.Empty{}, err
	}
	return s.appendLogs(ctx, r.Body, e)
}

type jobFollow struct {
	jobExecutionRequest
	From int64 `query:"from" validate:"min=0"`
}

func (s *surface) followJobLogs(w http.ResponseWriter, r *api.Request, q *jobFollow) error {
	_, e, err := s.jobExecution(r.HTTP.Context(), q.jobExecutionRequest)
	if err != nil {
		return err
	}
	return s.follow.WebSocket(w, r, e, q.From)
}
