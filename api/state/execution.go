package state

import (
	"context"
	"encoding/json"
	"time"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Execution is what the executions of builds, deployment jobs and pipelines have in common.
type Execution struct {
	// ID sorts by age: every later execution has a higher one.
	ID string `json:"id"`
	// Number counts the executions of one build, deployment job or pipeline, from 1.
	Number int64 `json:"number"`
	// Status is new, pending, running, ok or failed.
	Status string `json:"status"`
	// Outcome is the exact status: new, queued, running, waiting, ok, failed, cancelled, skipped or abandoned.
	Outcome    string         `json:"outcome"`
	Reason     string         `json:"reason,omitempty"`
	Trigger    models.Trigger `json:"trigger"`
	CreatedAt  time.Time      `json:"created_at"`
	StartedAt  *time.Time     `json:"started_at,omitempty"`
	FinishedAt *time.Time     `json:"finished_at,omitempty"`
	RetryOf    string         `json:"retry_of,omitempty"`
	Commit     *models.Commit `json:"commit,omitempty"`
}

func showExecution(e *models.Execution) Execution {
	return Execution{ID: e.ID, Number: e.Number, Status: e.Status.StateStatus(false), Outcome: string(e.Status), Reason: e.Reason, Trigger: e.Trigger,
		CreatedAt: e.CreatedAt, StartedAt: e.StartedAt, FinishedAt: e.FinishedAt, RetryOf: e.RetryOf, Commit: e.Commit}
}

// page are the members of every list of executions.
type page struct {
	// PageSize is how many items at most.
	PageSize int `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of an execution: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (p page) filter(f models.ExecutionFilter) models.ExecutionFilter {
	f.PageSize, f.PageFrom = p.PageSize, p.PageFrom
	return f
}

// listExecutions gives executions in the shape that show makes of each.
func listExecutions[T any](ctx context.Context, s *surface, f models.ExecutionFilter, show func(*models.Execution) (T, error)) ([]T, error) {
	list, err := s.Store.ListExecutions(ctx, f)
	if err != nil {
		return nil, err
	}
	return api.TryEach(list, show)
}

// execution finds an execution of one build, deployment job or pipeline. The id of any other is not found here, so that
// a permission for one project never reaches into another.
func (s *surface) execution(ctx context.Context, kind, subjectID, id string) (*models.Execution, error) {
	e, err := s.Store.ExecutionByID(ctx, id)
	if err == nil && (e.Kind != kind || e.SubjectID != subjectID || e.ProjectID != projectID(ctx)) {
		err = models.ErrNotFound
	}
	return e, missing(err, "there is no such execution")
}

// trigger starts an execution for a request of the API, with its line in the audit log. A webhook's line names what was
// called: nobody logged in.
func (s *surface) trigger(ctx context.Context, r executions.TriggerRequest) (*ExecutionID, error) {
	by := api.SubjectOf(ctx)
	if r.Trigger.Type == "" {
		r.Trigger = models.Trigger{Type: "api", SubjectKind: by.Kind, SubjectID: by.ID, SubjectName: by.Name}
	}
	if r.Trigger.Type == "webhook" {
		by = policies.Subject{Kind: "webhook", ID: r.SubjectID, Name: r.SubjectName}
	}
	r.AuditTrigger(by)
	e, err := s.Executions.Trigger(ctx, r)
	if err != nil {
		return nil, err
	}
	return &ExecutionID{ID: e.ID}, nil
}

func (s *surface) cancel(ctx context.Context, e *models.Execution) (api.Empty, error) {
	return api.Empty{}, s.Executions.Cancel(ctx, e.ID, api.SubjectOf(ctx))
}

// retry runs an ended execution again. from is for pipelines: "" goes on from the phase that failed, start runs all, the
// name of a step goes on from there.
func (s *surface) retry(ctx context.Context, e *models.Execution, disabled bool, from string) (*ExecutionID, error) {
	if disabled {
		return nil, isDisabled(e.Kind, e.SubjectName)
	}
	again, err := s.Executions.Retry(ctx, e.ID, api.SubjectOf(ctx), from)
	if err != nil {
		return nil, err
	}
	return &ExecutionID{ID: again.ID}, nil
}

func isDisabled(kind, name string) error {
	if kind == models.KindDeployment {
		kind = "deployment job"
	}
	return problem.New(problem.Conflict, "the %s '%s' is disabled", kind, name)
}

// definition reads what an execution ran.
func definition[T any](e *models.Execution) (T, error) {
	var d T
	err := json.Unmarshal(e.Definition, &d)
	return d, err
}

// triggeredBy says who stands behind a webhook: nobody that logged in, so the thing that was called.
func triggeredBy(kind, id, name string) models.Trigger {
	return models.Trigger{Type: "webhook", SubjectKind: kind, SubjectID: id, SubjectName: name}
}
