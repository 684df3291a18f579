package state

import (
	"context"
	"errors"
	"net/http"
	"time"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/executions"
	"slipway/models"
)

// PipelineExecution is one run of a pipeline. Pipeline is what ran, as it was then, with the status of each step; lists
// leave its phases out.
type PipelineExecution struct {
	Execution
	RunNr    int64    `json:"run_nr"`
	Pipeline Pipeline `json:"pipeline"`
}

// PipelineExecutions are executions, newest first.
type PipelineExecutions []PipelineExecution

func (s *surface) pipelineExecutionRows() []api.Row {
	const list = pipelinePath + "executions/"
	const one = list + "{pipeline_execution_id}/"
	return []api.Row{
		{Method: http.MethodGet, Path: list, Operation: "getAPipelinesExecutions", Summary: "Get a pipeline's executions.",
			Permission: s.in("pipeline:read"), Handler: api.Handle(s.pipelineExecutions)},
		{Method: http.MethodGet, Path: one, Operation: "getThePipelineExecution", Summary: "Get the pipeline execution.",
			Permission: s.in("pipeline:read"), Handler: api.Handle(s.getPipelineExecution)},
		{Method: http.MethodPost, Path: one + "cancel", Operation: "requestThatPipelineExecutionIsCancelled", Summary: "Request that pipeline execution is cancelled",
			Permission: s.in("pipeline:cancel"), Handler: api.Handle(s.cancelPipeline)},
		{Method: http.MethodGet, Path: one + "confirmation/{code}/approve", Operation: "approvePipelineStep", Summary: "Confirm pipeline step",
			Permission: api.Permission{Public: true}, Head: true, Handler: api.Stream(s.confirmation(true))},
		{Method: http.MethodGet, Path: one + "confirmation/{code}/disapprove", Operation: "disapprovePipelineStep", Summary: "Confirm pipeline step",
			Permission: api.Permission{Public: true}, Head: true, Handler: api.Stream(s.confirmation(false))},
		{Method: http.MethodPost, Path: one + "retry", Operation: "retryThePipeline", Summary: "Retry the pipeline.",
			Permission: s.in("pipeline:retry"), Handler: api.Handle(s.retryPipeline)},
		{Method: http.MethodGet, Path: pipelinesOfProject + "executions/", Operation: "getThePipelineExecutionsByProject", Summary: "Get the pipeline executions by project.",
			Permission: s.in("pipeline:read"), Handler: api.Handle(s.projectPipelineExecutions)},
		{Method: http.MethodGet, Path: pipelinesPath + "executions/", Operation: "getAllVisiblePipelineExecutions", Summary: "Get all visible pipeline executions.",
			Permission: api.Permission{Action: "pipeline:read", Filtered: true}, Handler: api.Handle(s.visiblePipelineExecutions)},
	}
}

// showPipelineExecution needs no definition: the project's name is looked up, and is "" where the project is gone.
func (s *surface) showPipelineExecution(ctx context.Context) func(e *models.Execution) (PipelineExecution, error) {
	return func(e *models.Execution) (PipelineExecution, error) {
		p, err := s.Scopes.ProjectByID(ctx, e.ProjectID)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return PipelineExecution{}, err
		}
		return PipelineExecution{Execution: showExecution(e), RunNr: e.Number,
			Pipeline: Pipeline{Name: e.SubjectName, Project: p.Name, Status: e.Status.StateStatus(false), Phases: []PipelinePhase{}, Triggers: []PipelineTrigger{}}}, nil
	}
}

func (s *surface) visiblePipelineExecutions(ctx context.Context, r *pageRequest) (PipelineExecutions, error) {
	v, err := s.visible(ctx, "pipeline:read")
	if err != nil {
		return nil, err
	}
	return s.listPipelineExecutions(ctx, r.page, models.ExecutionFilter{Visible: v})
}

func (s *surface) listPipelineExecutions(ctx context.Context, p page, f models.ExecutionFilter) (PipelineExecutions, error) {
	f.Kind, f.Brief = models.KindPipeline, true
	return listExecutions(ctx, s, p.filter(f), s.showPipelineExecution(ctx))
}

func (s *surface) projectPipelineExecutions(ctx context.Context, r *projectPage) (PipelineExecutions, error) {
	return s.listPipelineExecutions(ctx, r.page, models.ExecutionFilter{ProjectID: projectID(ctx)})
}

type pipelinePage struct {
	pipelineRequest
	page
}

func (s *surface) pipelineExecutions(ctx context.Context, r *pipelinePage) (PipelineExecutions, error) {
	p, err := s.pipelineHead(ctx, r.pipelineRequest)
	if err != nil {
		return nil, err
	}
	return s.listPipelineExecutions(ctx, r.page, models.ExecutionFilter{SubjectID: p.ID})
}

type pipelineExecutionRequest struct {
	pipelineRequest
	ID string `path:"pipeline_execution_id" validate:"max=100"`
}

// pipelineHead is a pipeline without its phases.
func (s *surface) pipelineHead(ctx context.Context, r pipelineRequest) (*models.Pipeline, error) {
	p, err := s.Store.PipelineHead(ctx, projectID(ctx), r.Pipeline)
	return p, missing(err, "the project has no pipeline '%s'", r.Pipeline)
}

func (s *surface) pipelineExecution(ctx context.Context, r pipelineExecutionRequest) (*models.Pipeline, *models.Execution, error) {
	p, err := s.pipelineHead(ctx, r.pipelineRequest)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.execution(ctx, models.KindPipeline, p.ID, r.ID)
	return p, e, err
}

func (s *surface) getPipelineExecution(ctx context.Context, r *pipelineExecutionRequest) (*PipelineExecution, error) {
	_, e, err := s.pipelineExecution(ctx, *r)
	if err != nil {
		return nil, err
	}
	out, err := s.showPipelineExecution(ctx)(e)
	if err != nil {
		return nil, err
	}
	d, err := definition[models.PipelineDefinition](e)
	if err != nil {
		return nil, err
	}
	out.Pipeline.Name, out.Pipeline.ServiceAccountName, out.Pipeline.Phases = d.Name, d.ServiceAccountName, showPhases(d.Phases)
	if err := s.fillSteps(ctx, e, out.Pipeline.Phases); err != nil {
		return nil, err
	}
	if out.Pipeline.Permission, err = s.strongestRole(ctx, api.From(ctx).Resource.Resource); err != nil {
		return nil, err
	}
	return &out, nil
}

// fillSteps adds to each step how far it is, and to a confirmation its link for those who may decide.
func (s *surface) fillSteps(ctx context.Context, e *models.Execution, phases []PipelinePhase) error {
	steps, err := s.Store.StepsOf(ctx, e.ID)
	if err != nil {
		return err
	}
	at := func(phase, step int) *PipelineStep {
		if phase < 0 || phase >= len(phases) || step < 0 || step >= len(phases[phase].Steps) {
			return nil
		}
		return &phases[phase].Steps[step]
	}
	for _, row := range steps {
		if st := at(row.Phase, row.Step); st != nil {
			st.Name = executions.StepName(st.PipelineStep)
			st.Status, st.Outcome, st.Reason = row.Status.StateStatus(true), string(row.Status), row.Reason
			st.ExecutionID, st.DeliveryID, st.Kept, st.StartedAt, st.FinishedAt = row.ChildID, row.DeliveryID, row.Kept, stamp(row.StartedAt), stamp(row.FinishedAt)
		}
	}
	for i := range phases {
		phases[i].Status = phaseStatus(phases[i].Steps)
	}
	confirmations, err := s.Store.ConfirmationsOf(ctx, e.ID)
	if err != nil {
		return err
	}
	var votes map[string][]models.ConfirmationVote
	if len(confirmations) > 0 {
		if votes, err = s.Store.VotesIn(ctx, e.ID); err != nil {
			return err
		}
	}
	for i := range confirmations {
		c := &confirmations[i]
		st := at(c.Phase, c.Step)
		if st == nil {
			continue
		}
		st.ExpiresAt = stamp(c.ExpiresAt)
		for _, v := range votes[c.ID] {
			st.Decisions = append(st.Decisions, StepDecision{Decision: v.Decision, By: v.VoterName, At: stamp(&v.CreatedAt)})
		}
		if c.Status != models.ConfirmationPending {
			st.DecidedBy, st.DecidedAt = c.DecidedByName, stamp(c.DecidedAt)
			continue
		}
		if e.CancelRequestedAt != nil && !e.CancelRequestedAt.Before(c.CreatedAt) {
			continue // nobody decides it any more
		}
		if st.Shortage, err = s.confirm.Shortage(ctx, e, c); err != nil {
			return err
		}
		may, err := s.confirm.MayDecide(ctx, api.SubjectOf(ctx), e, c)
		if err != nil {
			return err
		}
		if !may {
			continue
		}
		code, err := s.Executions.Code(c)
		if err != nil {
			return err
		}
		st.ConfirmationURL = confirm.URL(s.PublicURL, phasesProject(e), e, code)
	}
	return nil
}

// phasesProject is the name of the project that the execution ran in, as its snapshot has it.
func phasesProject(e *models.Execution) string {
	d, _ := definition[models.PipelineDefinition](e)
	return d.Project
}

// phaseStatus sums up the steps of a phase.
func phaseStatus(steps []PipelineStep) string {
	queued, done, failed := 0, 0, 0
	for _, st := range steps {
		switch st.Status {
		case "queued", "":
			queued++
		case "ok":
			done++
		case "failed":
			done++
			if !st.IgnoreFailure {
				failed++
			}
		}
	}
	switch {
	case queued == len(steps):
		return "new"
	case done < len(steps):
		return "running"
	case failed > 0:
		return "failed"
	}
	return "ok"
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (s *surface) cancelPipeline(ctx context.Context, r *pipelineExecutionRequest) (api.Empty, error) {
	_, e, err := s.pipelineExecution(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return s.cancel(ctx, e)
}

type pipelineRetry struct {
	pipelineExecutionRequest
	// From is "" to go on from the phase that failed, start to run all of it, or the name of a step.
	From string `query:"from" validate:"max=200"`
}

func (s *surface) retryPipeline(ctx context.Context, r *pipelineRetry) (*ExecutionID, error) {
	p, e, err := s.pipelineExecution(ctx, r.pipelineExecutionRequest)
	if err != nil {
		return nil, err
	}
	return s.retry(ctx, e, p.Disabled, r.From)
}

type confirmationRequest struct {
	projectPath
	Pipeline string `path:"pipeline" validate:"max=300"`
	ID       string `path:"pipeline_execution_id" validate:"max=100"`
	Code     string `path:"code" validate:"max=200"`
	Accept   string `header:"Accept" validate:"max=2000"`
}

// confirmation is the documented link. Mail scanners and browsers follow links by GET, so it acts only for a request
// that names application/json in Accept; everything else gets a page with buttons.
func (s *surface) confirmation(approve bool) func(http.ResponseWriter, *api.Request, *confirmationRequest) error {
	return func(w http.ResponseWriter, r *api.Request, q *confirmationRequest) error {
		return s.confirm.Link(w, r, q.Project, q.Pipeline, q.ID, q.Code, q.Accept, approve)
	}
}
