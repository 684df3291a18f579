package state

import (
	"context"
	"net/http"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
)

// BuildExecution is one run of a build. Build is what ran, as it was then.
type BuildExecution struct {
	Execution
	Build    BuildSnapshot          `json:"build"`
	Releases []models.ReleaseResult `json:"releases"`
}

// BuildSnapshot is a build as it was when an execution of it was triggered. Lists leave its steps out.
type BuildSnapshot struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	Project      string             `json:"project"`
	Environment  string             `json:"environment"`
	Repo         string             `json:"repo"`
	Branch       string             `json:"branch"`
	Steps        []models.BuildStep `json:"steps,omitempty"`
	StepsFromYML bool               `json:"steps_from_yml"`
}

// BuildExecutions are executions, newest first.
type BuildExecutions []BuildExecution

func (s *surface) buildExecutionRows() []api.Row {
	const list = buildPath + "executions/"
	const one = list + "{build_execution_id}/"
	return []api.Row{
		{Method: http.MethodGet, Path: "/api/v1/builds/executions/", Operation: "listAllTheVisibleBuildExecutionsForTheRequestingUser", Summary: "List all the visible build executions for the requesting user.",
			Permission: api.Permission{Action: "build:read", Filtered: true}, Handler: api.Handle(s.visibleBuildExecutions)},
		{Method: http.MethodGet, Path: "/api/v1/state/{project}/builds/executions/", Operation: "getTheBuildExecutionsByProject", Summary: "Get the build executions by project.",
			Permission: s.in("build:read"), Handler: api.Handle(s.projectBuildExecutions)},
		{Method: http.MethodGet, Path: list, Operation: "getTheBuildExecutions", Summary: "Get the build executions.",
			Permission: s.in("build:read"), Handler: api.Handle(s.buildExecutions)},
		{Method: http.MethodGet, Path: one, Operation: "getTheBuildExecution", Summary: "Get the build execution.",
			Permission: s.in("build:read"), Handler: api.Handle(s.getBuildExecution)},
		{Method: http.MethodPost, Path: one + "cancel", Operation: "requestThatBuildExecutionIsCancelled", Summary: "Request that build execution is cancelled",
			Permission: s.in("build:cancel"), Handler: api.Handle(s.cancelBuild)},
		{Method: http.MethodPut, Path: one + "commit", Operation: "addCommitInformationToABuildExecution", Summary: "Add commit information to a build execution",
			Permission: s.in("build:commit"), Handler: api.Handle(s.putCommit)},
		{Method: http.MethodGet, Path: one + "logs", Operation: "getBuildLogs", Summary: "Get build logs",
			Permission: s.in("log:read"), Handler: api.Stream(s.buildLogs)},
		{Method: http.MethodPost, Path: one + "logs", Operation: "addBuildLogsToABuildExecutionItem", Summary: "Add build logs to a build execution item.",
			Permission: api.Permission{Action: "log:write", On: s.onExecution("build_execution_id")}, MaxBody: maxLogBody, Handler: api.Handle(s.addBuildLogs)},
		{Method: http.MethodGet, Path: one + "logs_ws", Operation: "realTimeBuildLogs", Summary: "Real time build logs",
			Permission: s.in("log:read"), Handler: api.Stream(s.followBuildLogs)},
		{Method: http.MethodPost, Path: one + "retry", Operation: "retryAFinishedBuild", Summary: "Retry a finished build.",
			Permission: s.in("build:retry"), Handler: api.Handle(s.retryBuild)},
	}
}

func showBuildExecution(steps bool) func(e *models.Execution) (BuildExecution, error) {
	return func(e *models.Execution) (BuildExecution, error) {
		d, err := definition[models.BuildDefinition](e)
		if err != nil {
			return BuildExecution{}, err
		}
		out := BuildExecution{Execution: showExecution(e), Releases: e.ResultOf().Releases,
			Build: BuildSnapshot{ID: d.BuildID, Name: d.Name, Project: d.Project, Environment: d.Environment, Repo: d.Repo, Branch: d.Branch, StepsFromYML: d.StepsFromYML}}
		if steps {
			out.Build.Steps = d.Steps
		}
		if out.Releases == nil {
			out.Releases = []models.ReleaseResult{}
		}
		return out, nil
	}
}

type pageRequest struct{ page }

func (s *surface) visibleBuildExecutions(ctx context.Context, r *pageRequest) (BuildExecutions, error) {
	v, err := s.visible(ctx, "build:read")
	if err != nil {
		return nil, err
	}
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindBuild, Visible: v}), showBuildExecution(false))
}

type projectPage struct {
	projectPath
	page
}

func (s *surface) projectBuildExecutions(ctx context.Context, r *projectPage) (BuildExecutions, error) {
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindBuild, ProjectID: projectID(ctx)}), showBuildExecution(false))
}

type buildPage struct {
	buildRequest
	page
}

func (s *surface) buildExecutions(ctx context.Context, r *buildPage) (BuildExecutions, error) {
	b, err := s.build(ctx, r.buildRequest)
	if err != nil {
		return nil, err
	}
	return listExecutions(ctx, s, r.filter(models.ExecutionFilter{Kind: models.KindBuild, SubjectID: b.ID}), showBuildExecution(false))
}

type buildExecutionRequest struct {
	buildRequest
	ID string `path:"build_execution_id" validate:"max=100"`
}

func (s *surface) buildExecution(ctx context.Context, r buildExecutionRequest) (*models.Build, *models.Execution, error) {
	b, err := s.build(ctx, r.buildRequest)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.execution(ctx, models.KindBuild, b.ID, r.ID)
	return b, e, err
}

func (s *surface) getBuildExecution(ctx context.Context, r *buildExecutionRequest) (*BuildExecution, error) {
	_, e, err := s.buildExecution(ctx, *r)
	if err != nil {
		return nil, err
	}
	out, err := showBuildExecution(true)(e)
	return &out, err
}

func (s *surface) cancelBuild(ctx context.Context, r *buildExecutionRequest) (api.Empty, error) {
	_, e, err := s.buildExecution(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return s.cancel(ctx, e)
}

func (s *surface) retryBuild(ctx context.Context, r *buildExecutionRequest) (*ExecutionID, error) {
	b, e, err := s.buildExecution(ctx, *r)
	if err != nil {
		return nil, err
	}
	return s.retry(ctx, e, b.Disabled, "")
}

// BuildTrigger narrows what a triggered build builds. Nothing else of it can be changed for one execution: whoever may
// trigger a build may not thereby change what it does.
type BuildTrigger struct {
	// Branch is built instead of the configured one.
	Branch string `json:"branch" validate:"max=500"`
	// Commit is a revision to build instead of the branch's head.
	Commit string `json:"commit" validate:"max=100"`
}

type buildTrigger struct {
	buildRequest
	Body *BuildTrigger `body:"json"`
}

func (s *surface) triggerBuild(ctx context.Context, r *buildTrigger) (*ExecutionID, error) {
	b, err := s.build(ctx, r.buildRequest)
	if err != nil {
		return nil, err
	}
	if b.Disabled {
		return nil, isDisabled(models.KindBuild, b.Name)
	}
	d := b.Definition()
	if r.Body != nil {
		for _, c := range [][2]string{{"branch", r.Body.Branch}, {"commit", r.Body.Commit}} {
			if err := plainArgument(c[0], c[1]); err != nil {
				return nil, err
			}
		}
		if r.Body.Branch != "" {
			d.Branch = r.Body.Branch
		}
		d.Commit = r.Body.Commit
	}
	return s.trigger(ctx, buildTriggerOf(b, d))
}

func buildTriggerOf(b *models.Build, d models.BuildDefinition) executions.TriggerRequest {
	return executions.TriggerRequest{Kind: models.KindBuild, ProjectID: b.ProjectID, EnvironmentID: b.EnvironmentID, SubjectID: b.ID, SubjectName: b.Name,
		TaskQueue: b.TaskQueue, Definition: d}
}

// CommitBody is what is known about the source of an execution. commit is another name for revision.
type CommitBody struct {
	Revision string `json:"revision" validate:"max=200"`
	Commit   string `json:"commit" validate:"max=200"`
	Branch   string `json:"branch" validate:"max=500"`
	Message  string `json:"message" validate:"max=20000"`
	Author   string `json:"author" validate:"max=500"`
}

type commitRequest struct {
	buildExecutionRequest
	Body CommitBody `body:"json"`
}

func (s *surface) putCommit(ctx context.Context, r *commitRequest) (api.Empty, error) {
	revision := r.Body.Revision
	if revision == "" {
		revision = r.Body.Commit
	}
	if revision == "" {
		return api.Empty{}, problem.BadField("revision", "is required")
	}
	_, e, err := s.buildExecution(ctx, r.buildExecutionRequest)
	if err != nil {
		return api.Empty{}, err
	}
	entry := audit("build:commit", e.Kind, e.SubjectID, e.SubjectName)
	entry.Detail = map[string]any{"execution": e.ID, "revision": revision}
	return api.Empty{}, s.change(ctx, entry, func(tx *models.Store) error {
		return tx.SetCommit(ctx, e.ID, models.Commit{Revision: revision, Branch: r.Body.Branch, Message: r.Body.Message, Author: r.Body.Author})
	})
}
