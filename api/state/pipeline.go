package state

import (
	"context"
	"fmt"
	"net/http"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Pipeline joins steps into phases, for reading and for writing. project, status and permission are read-only.
type Pipeline struct {
	Name     string          `json:"name" validate:"max=200"`
	Project  string          `json:"project" validate:"max=200"`
	Disabled bool            `json:"disabled"`
	Phases   []PipelinePhase `json:"phases" validate:"max=100,dive"`
	// Permission is the caller's: read, write or owner.
	Permission         string            `json:"permission" validate:"max=100"`
	ServiceAccountName string            `json:"service_account_name" validate:"max=200"`
	Status             string            `json:"status" validate:"max=100"`
	Triggers           []PipelineTrigger `json:"triggers" validate:"max=20,dive"`
	// SigningSecret is what the requests of webhook-trigger steps are signed with. It is made with the first such step and
	// shown to those who may trigger the pipeline; a PUT may set another, and keeps it where it is left out. Beyond the
	// document.
	SigningSecret string `json:"signing_secret,omitempty" validate:"omitempty,min=16,max=200"`
}

// PipelinePhase is a group of steps that run side by side. status is read-only.
type PipelinePhase struct {
	Name   string         `json:"name" validate:"max=200"`
	Status string         `json:"status,omitempty" validate:"max=100"`
	Steps  []PipelineStep `json:"steps" validate:"max=100,dive"`
	// RunAlways makes the phase run also after a failure or a cancellation: it cleans up. Beyond the document.
	RunAlways bool `json:"run_always,omitempty"`
}

// PipelineStep is one step. What follows the definition is read-only, and filled in executions alone.
type PipelineStep struct {
	models.PipelineStep
	// Status is queued, new, pending, running, ok or failed.
	Status string `json:"status,omitempty" validate:"max=100"`
	// Outcome is the exact status, and Reason why it is that.
	Outcome string `json:"outcome,omitempty" validate:"max=100"`
	Reason  string `json:"reason,omitempty" validate:"max=10000"`
	// ExecutionID is the build, deployment job or pipeline execution that the step runs as, or that it has triggered.
	ExecutionID string `json:"execution_id,omitempty" validate:"max=100"`
	// DeliveryID is the delivery that a webhook-trigger step runs as.
	DeliveryID string `json:"delivery_id,omitempty" validate:"max=100"`
	// Kept says that the step was taken over: from the execution that this one retries, or from the one whose end started
	// the pipeline.
	Kept       bool   `json:"kept,omitempty"`
	StartedAt  string `json:"started_at,omitempty" validate:"max=100"`
	FinishedAt string `json:"finished_at,omitempty" validate:"max=100"`
	// ConfirmationURL is the page that asks for the decision, shown to those who may decide.
	ConfirmationURL string `json:"confirmation_url,omitempty" validate:"max=4000"`
	DecidedBy       string `json:"decided_by,omitempty" validate:"max=1000"`
	DecidedAt       string `json:"decided_at,omitempty" validate:"max=100"`
	// ExpiresAt is when a confirmation times out, and Decisions what each person has said, oldest first.
	ExpiresAt string         `json:"expires_at,omitempty" validate:"max=100"`
	Decisions []StepDecision `json:"decisions,omitempty" validate:"max=100"`
	// Shortage says why a confirmation that waits cannot be approved as things are: too few people are left who may.
	Shortage string `json:"shortage,omitempty" validate:"max=4000"`
}

// StepDecision is one person's word on a confirmation.
type StepDecision struct {
	// Decision is approved or disapproved.
	Decision string `json:"decision" validate:"max=100"`
	By       string `json:"by" validate:"max=1000"`
	At       string `json:"at" validate:"max=100"`
}

// PipelineTrigger starts a pipeline from outside. One without an id is new; its id and token are made here and shown to
// those who may trigger the pipeline.
type PipelineTrigger struct {
	ID           string `json:"id" validate:"max=100"`
	Type         string `json:"type" validate:"required,oneof=webhook"`
	WebhookToken string `json:"webhooktoken,omitempty" validate:"max=200"`
	// WebhookSecret is write-only: what webhooks must be signed with; absent keeps it, "" removes it. Two of them, one a
	// line, are both good while one takes the place of the other. Beyond the document.
	WebhookSecret *string `json:"webhook_secret,omitempty" validate:"omitempty,max=1000"`
}

// Pipelines are keyed by name, UserPipelines by project.
type (
	Pipelines     map[string]Pipeline
	UserPipelines map[string]Pipelines
)

const (
	pipelinesPath      = "/api/v1/pipelines/"
	pipelinesOfProject = pipelinesPath + "by-project/{project}/"
	pipelinePath       = pipelinesOfProject + "by-name/{pipeline}/"
)

// maxPipeline is how large a pipeline may be: as it is read, with every member of 50 phases of 50 steps.
const maxPipeline = 8 << 20

func (s *surface) pipelineRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: pipelinesPath, Operation: "getAllVisiblePipelines", Summary: "Get all visible pipelines.",
			Permission: api.Permission{Action: "pipeline:read", Filtered: true}, Handler: api.Handle(s.userPipelines)},
		{Method: http.MethodGet, Path: pipelinesOfProject, Operation: "getPipelinesByProject", Summary: "Get pipelines by project",
			Permission: s.in("pipeline:read"), Handler: api.Handle(s.projectPipelines)},
		{Method: http.MethodPost, Path: pipelinesOfProject + "add", Operation: "addANewPipeline", Summary: "Add a new pipeline",
			Permission: s.in("pipeline:create"), MaxBody: maxPipeline, Handler: api.Handle(s.addPipeline)},
		{Method: http.MethodGet, Path: pipelinePath, Operation: "getAPipeline", Summary: "Get a pipeline.",
			Permission: s.in("pipeline:read"), Handler: api.Handle(s.getPipeline)},
		{Method: http.MethodPut, Path: pipelinePath, Operation: "updateAPipeline", Summary: "Update a pipeline.",
			Permission: s.in("pipeline:update"), MaxBody: maxPipeline, Handler: api.Handle(s.updatePipeline)},
		{Method: http.MethodDelete, Path: pipelinePath, Operation: "deleteAPipeline", Summary: "Delete a pipeline.",
			Permission: s.in("pipeline:delete"), Handler: api.Handle(s.deletePipeline)},
		{Method: http.MethodPost, Path: pipelinePath + "trigger", Operation: "triggerAPipeline", Summary: "Trigger a pipeline.",
			Permission: s.in("pipeline:trigger"), Handler: api.Handle(s.triggerPipeline)},
		{Method: http.MethodPost, Path: pipelinesOfProject + "pipelines/webhook/{code}", Operation: "triggerWebhook", Summary: "Trigger webhook",
			Permission: api.Permission{Public: true}, MaxBody: maxWebhook, Handler: api.Handle(s.pipelineWebhook)},
	}
}

// showPipeline gives a pipeline as readers see it; triggers are given where their tokens may be seen.
func (s *surface) showPipeline(p *models.Pipeline, permission string, triggers []models.PipelineTrigger) (Pipeline, error) {
	out := Pipeline{Name: p.Name, Project: p.ProjectName, Disabled: p.Disabled, Phases: showPhases(p.Phases), Permission: permission,
		ServiceAccountName: p.ServiceAccountName, Status: p.Status().StateStatus(false), Triggers: []PipelineTrigger{}}
	if policies.Rank(permission) >= policies.Rank(policies.RoleWrite) && len(p.SealedSigningSecret) > 0 {
		var err error
		if out.SigningSecret, err = s.Store.SigningSecret(p); err != nil {
			return out, err
		}
	}
	for i := range triggers {
		t := PipelineTrigger{ID: triggers[i].ID, Type: triggers[i].Type}
		if policies.Rank(permission) >= policies.Rank(policies.RoleWrite) {
			var err error
			if t.WebhookToken, _, err = s.Store.TriggerSecrets(&triggers[i]); err != nil {
				return out, err
			}
		}
		out.Triggers = append(out.Triggers, t)
	}
	return out, nil
}

func showPhases(phases []models.PipelinePhase) []PipelinePhase {
	out := make([]PipelinePhase, len(phases))
	for i, ph := range phases {
		out[i] = PipelinePhase{Name: ph.Name, RunAlways: ph.RunAlways, Steps: make([]PipelineStep, len(ph.Steps))}
		for j, step := range ph.Steps {
			out[i].Steps[j].PipelineStep = step
		}
	}
	return out
}

func (s *surface) userPipelines(ctx context.Context, _ *struct{}) (UserPipelines, error) {
	v, err := s.visible(ctx, "pipeline:read")
	if err != nil {
		return nil, err
	}
	list, err := s.Store.ListPipelines(ctx, models.Where{Visible: v})
	if err != nil {
		return nil, err
	}
	out := UserPipelines{}
	for i := range list {
		p, err := s.showPipeline(&list[i], "", nil)
		if err != nil {
			return nil, err
		}
		inner(out, p.Project)[p.Name] = p
	}
	return out, nil
}

func (s *surface) projectPipelines(ctx context.Context, _ *projectRequest) (Pipelines, error) {
	list, err := s.Store.ListPipelines(ctx, models.Where{ProjectID: projectID(ctx)})
	if err != nil {
		return nil, err
	}
	role, err := s.strongestRole(ctx, api.From(ctx).Resource.Resource)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	all, err := s.Store.PipelineTriggers(ctx, ids...)
	if err != nil {
		return nil, err
	}
	of := map[string][]models.PipelineTrigger{}
	for _, t := range all {
		of[t.PipelineID] = append(of[t.PipelineID], t)
	}
	out := Pipelines{}
	for i := range list {
		if out[list[i].Name], err = s.showPipeline(&list[i], role, of[list[i].ID]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// shown is one pipeline for its readers and writers.
func (s *surface) shown(ctx context.Context, p *models.Pipeline) (*Pipeline, error) {
	role, err := s.strongestRole(ctx, api.From(ctx).Resource.Resource)
	if err != nil {
		return nil, err
	}
	triggers, err := s.Store.PipelineTriggers(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.showPipeline(p, role, triggers)
	return &out, err
}

type pipelineCreate struct {
	projectPath
	Body Pipeline `body:"json"`
}

func (s *surface) addPipeline(ctx context.Context, r *pipelineCreate) (*Pipeline, error) {
	if err := checkThingName("pipeline", r.Body.Name); err != nil {
		return nil, err
	}
	p := &models.Pipeline{ProjectID: projectID(ctx), Name: r.Body.Name, ProjectName: r.Project}
	if err := s.fillPipeline(ctx, p, &r.Body); err != nil {
		return nil, err
	}
	err := s.create(ctx, audit("pipeline:create", "pipeline", "", p.Name), &p.ID, func(tx *models.Store) error {
		if err := tx.CreatePipeline(ctx, p); err != nil {
			return err
		}
		if err := s.putSigningSecret(ctx, tx, p, r.Body.SigningSecret); err != nil {
			return err
		}
		return s.putTriggers(ctx, tx, p.ID, r.Body.Triggers)
	})
	if err != nil {
		return nil, taken(err)
	}
	return s.shown(ctx, p)
}

// fillPipeline checks a pipeline's body and takes over what may change.
func (s *surface) fillPipeline(ctx context.Context, p *models.Pipeline, body *Pipeline) error {
	if err := s.checkServiceAccount(ctx, body.ServiceAccountName, ""); err != nil {
		return err
	}
	phases := make([]models.PipelinePhase, len(body.Phases))
	for i, ph := range body.Phases {
		phases[i] = models.PipelinePhase{Name: ph.Name, RunAlways: ph.RunAlways, Steps: make([]models.PipelineStep, len(ph.Steps))}
		for j, step := range ph.Steps {
			phases[i].Steps[j] = step.PipelineStep
		}
	}
	for i, t := range body.Triggers {
		if err := readWebhookSecret(fmt.Sprintf("triggers[%d].webhook_secret", i), t.WebhookSecret); err != nil {
			return err
		}
	}
	if err := s.checkPhases(ctx, p.Name, body.ServiceAccountName, phases); err != nil {
		return err
	}
	p.Disabled, p.Phases, p.ServiceAccountName = body.Disabled, phases, body.ServiceAccountName
	return nil
}

// putSigningSecret sets what a pipeline's requests are signed with: the one given, or a new one where one is needed and
// there is none.
func (s *surface) putSigningSecret(ctx context.Context, tx *models.Store, p *models.Pipeline, given string) error {
	if given == "" {
		if !p.CallsWebhooks() || len(p.SealedSigningSecret) > 0 {
			return nil
		}
		given = models.NewWebhookToken()
	}
	return tx.SetSigningSecret(ctx, p, given)
}

func (s *surface) putTriggers(ctx context.Context, tx *models.Store, pipelineID string, list []PipelineTrigger) error {
	rows := make([]models.PipelineTrigger, len(list))
	secrets := make([]*string, len(list))
	for i, t := range list {
		rows[i] = models.PipelineTrigger{ID: t.ID, Type: t.Type}
		secrets[i] = t.WebhookSecret
	}
	err := tx.PutPipelineTriggers(ctx, pipelineID, rows, secrets)
	return unknownName(err, "triggers", "the pipeline has no trigger of that id; leave id out to make a new one")
}

type pipelineRequest struct {
	projectPath
	Pipeline string `path:"pipeline" validate:"max=300"`
}

func (s *surface) pipeline(ctx context.Context, r pipelineRequest) (*models.Pipeline, error) {
	p, err := s.Store.PipelineByName(ctx, projectID(ctx), r.Pipeline)
	return p, missing(err, "the project has no pipeline '%s'", r.Pipeline)
}

func (s *surface) getPipeline(ctx context.Context, r *pipelineRequest) (*Pipeline, error) {
	p, err := s.pipeline(ctx, *r)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, p)
}

type pipelineUpdate struct {
	pipelineRequest
	Body Pipeline `body:"json"`
}

func (s *surface) updatePipeline(ctx context.Context, r *pipelineUpdate) (*Pipeline, error) {
	if err := asInURL("Pipeline", "name", r.Body.Name, r.Pipeline); err != nil {
		return nil, err
	}
	p, err := s.pipeline(ctx, r.pipelineRequest)
	if err != nil {
		return nil, err
	}
	if err := s.fillPipeline(ctx, p, &r.Body); err != nil {
		return nil, err
	}
	err = s.change(ctx, audit("pipeline:update", "pipeline", p.ID, p.Name), func(tx *models.Store) error {
		if err := tx.UpdatePipeline(ctx, p); err != nil {
			return err
		}
		if err := s.putSigningSecret(ctx, tx, p, r.Body.SigningSecret); err != nil {
			return err
		}
		return s.putTriggers(ctx, tx, p.ID, r.Body.Triggers)
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, p)
}

func (s *surface) deletePipeline(ctx context.Context, r *pipelineRequest) (api.Empty, error) {
	p, err := s.pipeline(ctx, *r)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, busy(s.change(ctx, audit("pipeline:delete", "pipeline", p.ID, p.Name), func(tx *models.Store) error {
		return tx.DeletePipeline(ctx, p.ID)
	}))
}

func (s *surface) triggerPipeline(ctx context.Context, r *pipelineRequest) (*ExecutionID, error) {
	p, err := s.pipeline(ctx, *r)
	if err != nil {
		return nil, err
	}
	if p.Disabled {
		return nil, isDisabled(models.KindPipeline, p.Name)
	}
	if len(p.Phases) == 0 {
		return nil, problem.New(problem.Conflict, "the pipeline '%s' has no phases yet", p.Name)
	}
	return s.trigger(ctx, pipelineTriggerOf(p))
}

func pipelineTriggerOf(p *models.Pipeline) executions.TriggerRequest {
	return executions.TriggerRequest{Kind: models.KindPipeline, ProjectID: p.ProjectID, SubjectID: p.ID, SubjectName: p.Name, Definition: p.Definition()}
}
