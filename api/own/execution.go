package own

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/internal/problem"
	"slipway/models"
)

func isNotFound(err error) bool { return errors.Is(err, models.ErrNotFound) }

// Execution is an execution of any kind.
type Execution struct {
	ID string `json:"id"`
	// Kind is build, deployment, pipeline, asset-search or asset-scan.
	Kind string `json:"kind"`
	// Project, Environment and Subject name what ran; the subject is the build, deployment job or pipeline. Searches and
	// scans of assets belong to an organization, not to a project.
	Project     string `json:"project"`
	Environment string `json:"environment,omitempty"`
	Subject     string `json:"subject"`
	Number      int64  `json:"number"`
	// Status is what the state surface says: new, pending, running, ok or failed. Outcome is the exact one.
	Status      string         `json:"status"`
	Outcome     string         `json:"outcome"`
	Reason      string         `json:"reason,omitempty"`
	Trigger     models.Trigger `json:"trigger"`
	Parent      string         `json:"parent,omitempty"`
	Root        string         `json:"root"`
	RetryOf     string         `json:"retry_of,omitempty"`
	Commit      *models.Commit `json:"commit,omitempty"`
	Result      models.Result  `json:"result"`
	CancelledBy string         `json:"cancelled_by,omitempty"`
	CreatedAt   time.Time      `json:"created_at"`
	StartedAt   *time.Time     `json:"started_at,omitempty"`
	FinishedAt  *time.Time     `json:"finished_at,omitempty"`
	// Children are the executions that this one started, oldest first.
	Children []Execution `json:"children,omitempty"`
}

func (s *surface) executionRows() []api.Row {
	const one = base + "executions/{execution_id}/"
	return []api.Row{
		{Method: http.MethodGet, Path: base + "executions/", Operation: "listExecutions", Summary: "List the executions of every kind that the caller may see, newest first.",
			Permission: api.Permission{Action: "execution:read", Filtered: true}, Handler: api.Handle(s.listExecutions)},
		{Method: http.MethodGet, Path: one, Operation: "getExecution", Summary: "Get an execution of any kind, with its children.",
			Permission: api.Permission{Action: "execution:read", On: s.onExecution}, Handler: api.Handle(s.getExecution)},
		{Method: http.MethodGet, Path: one + "events", Operation: "followExecution", Summary: "Follow an execution's log as server-sent events. The id of an event is the line's number; the last event is named end.",
			Permission: api.Permission{Action: "log:read", On: s.onExecution}, Handler: api.Stream(s.events)},
		{Method: http.MethodPost, Path: confirm.PostPath, Operation: "decideConfirmation", Summary: "Decide by the form of a confirmation's page. The code in the path is the credential.",
			Permission: api.Permission{Public: true}, MaxBody: 16 << 10, Handler: api.Stream(s.confirm.Post)},
	}
}

type executionRequest struct {
	ID string `path:"execution_id" validate:"max=100"`
}

func (s *surface) getExecution(ctx context.Context, r *executionRequest) (*Execution, error) {
	e, err := s.Store.ExecutionByID(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	out := show(e)
	children, err := s.Store.ListExecutions(ctx, models.ExecutionFilter{ParentID: e.ID, PageSize: 1000})
	if err != nil {
		return nil, err
	}
	for i := len(children) - 1; i >= 0; i-- {
		out.Children = append(out.Children, show(&children[i]))
	}
	return &out, nil
}

func show(e *models.Execution) Execution {
	// The snapshot has the names as they were; what they name may be gone.
	var names struct {
		Project     string `json:"project"`
		Environment string `json:"environment"`
	}
	_ = json.Unmarshal(e.Definition, &names)
	out := Execution{ID: e.ID, Kind: e.Kind, Project: names.Project, Environment: names.Environment, Subject: e.SubjectName, Number: e.Number,
		Status: e.Status.StateStatus(false), Outcome: string(e.Status), Reason: e.Reason, Trigger: e.Trigger, Parent: e.ParentID, Root: e.RootID,
		RetryOf: e.RetryOf, Commit: e.Commit, Result: e.ResultOf(), CancelledBy: e.CancelRequestedBy, CreatedAt: e.CreatedAt, StartedAt: e.StartedAt, FinishedAt: e.FinishedAt}
	// Outputs may be secret: they are in the environment's full state, for those who may write.
	out.Result.Outputs = nil
	return out
}

type eventsRequest struct {
	ID          string `path:"execution_id" validate:"max=100"`
	From        int64  `query:"from" validate:"min=0"`
	LastEventID string `header:"Last-Event-ID" validate:"max=30"`
}

func (s *surface) events(w http.ResponseWriter, r *api.Request, q *eventsRequest) error {
	e, err := s.Store.ExecutionByID(r.HTTP.Context(), q.ID)
	if isNotFound(err) {
		return problem.New(problem.NotFound, "there is no such execution")
	}
	if err != nil {
		return err
	}
	return s.follow.Events(w, r, e, q.From, q.LastEventID)
}
