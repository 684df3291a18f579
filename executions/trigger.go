package executions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// TriggerRequest says what to run and for whom.
type TriggerRequest struct {
	Kind                     string
	ProjectID, EnvironmentID string
	// OrganizationID is whose it is where it is no project's.
	OrganizationID string
	// SubjectID and SubjectName are the build, deployment job or pipeline.
	SubjectID, SubjectName string
	// TaskQueue overrides where the activity runs; "" is the kind's own queue.
	TaskQueue string
	Trigger   models.Trigger
	// IdempotencyKey makes the same trigger twice one execution: a webhook's delivery id; a schedule and its nominal
	// time; parent, phase, step and attempt. "" for a person's own request.
	IdempotencyKey string
	RetryOf        string
	// Definition is the snapshot to run: models.BuildDefinition, DeploymentDefinition or PipelineDefinition.
	Definition any
	// Steps are a pipeline's, one for each step of its definition; nil makes new ones.
	Steps []models.ExecutionStep
	// Commit is what is known of the source already.
	Commit *models.Commit
	// Audit is the line of the audit log, written with the row; see AuditTrigger. Nil is for what nobody asked for.
	Audit *models.AuditEntry
	// Within runs in the transaction that records the execution.
	Within func(tx *models.Store, e *models.Execution) error
	// Durable says that what is recorded stands: where the start fails, nothing is taken back and the reconciler repeats
	// it. It is for triggers behind which nobody waits for an answer.
	Durable bool
}

// auditOf is the line for something done to an execution's subject: verb is trigger, cancel or retry.
func auditOf(by policies.Subject, verb, kind, projectID, subjectID, subjectName string) *models.AuditEntry {
	return &models.AuditEntry{ActorKind: by.Kind, ActorID: by.ID, ActorName: by.Name, Action: models.AuditNoun(kind) + ":" + verb, ResourceKind: kind, ResourceID: subjectID,
		ResourceName: subjectName, ProjectID: projectID}
}

// AuditTrigger gives a trigger its line in the audit log: by is who asked, as far as that is known for certain.
func (r *TriggerRequest) AuditTrigger(by policies.Subject) {
	r.Audit = auditOf(by, "trigger", r.Kind, r.ProjectID, r.SubjectID, r.SubjectName)
	if r.Trigger.Execution != "" {
		r.Audit.Detail = map[string]any{"caused_by": r.Trigger.Execution}
	}
}

// Trigger records an execution and starts its workflow. It is the only way in.
//
// The answer is certain. A start that failed or whose outcome is not known (the connection broke, nobody answered in
// time) is decided by the row: if it can still be abandoned, no workflow has claimed it, none ever will (a workflow that
// comes up later finds its row ended, and ends), and the caller gets a problem of kind Unavailable. If it cannot, the
// workflow is running and the caller gets the execution. Where Temporal is there and only slow, nothing is abandoned: the
// execution is recorded, and is started by now or by the reconciler.
func (s *Service) Trigger(ctx context.Context, req TriggerRequest) (*models.Execution, error) {
	if p, ok := req.Definition.(models.PipelineDefinition); ok && req.Steps == nil {
		req.Steps = NewSteps(p)
	}
	e, isNew, err := s.store.CreateExecution(ctx, models.NewExecution{Kind: req.Kind, ProjectID: req.ProjectID, EnvironmentID: req.EnvironmentID, OrganizationID: req.OrganizationID,
		SubjectID: req.SubjectID, SubjectName: req.SubjectName, TaskQueue: req.TaskQueue, RetryOf: req.RetryOf, Trigger: req.Trigger,
		IdempotencyKey: req.IdempotencyKey, Definition: req.Definition, Steps: req.Steps, Commit: req.Commit, Audit: req.Audit, Within: req.Within})
	if errors.Is(err, models.ErrDeleted) {
		return nil, problem.Wrap(problem.NotFound, err, "'%s' was deleted", req.SubjectName)
	}
	if err != nil {
		return nil, err
	}
	if !isNew {
		return e, nil
	}
	s.CancelOlder(ctx, e.Supersedes)
	s.metrics.triggered.WithLabelValues(req.Kind, req.Trigger.Type).Inc()
	if e.Status.Final() { // skipped: as many run as may
		s.metrics.Finished(e.Kind, e.Status)
		return e, nil
	}
	began := time.Now()
	if err := s.start(ctx, e); err != nil {
		if ctx.Err() == nil && s.overloaded(ctx, err, began) {
			s.log.WarnContext(ctx, "the workflow service is slow: an execution is recorded, and starts when it can", "execution", e.ID, "error", err)
			return e, nil
		}
		if req.Durable {
			s.log.WarnContext(ctx, "an execution is recorded, and starts when it can", "execution", e.ID, "error", err)
			return e, nil
		}
		// The caller may be gone by now; the row must be decided all the same.
		decide, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		aerr := s.abandon(decide, e, req.Audit)
		switch {
		case errors.Is(aerr, models.ErrFinal):
			return e, nil
		case aerr != nil:
			// Nobody could be asked. The row stands as new and the reconciler will start it: it is recorded, so the
			// caller gets its id.
			s.log.ErrorContext(ctx, "an execution could neither be started nor abandoned", "execution", e.ID, "error", errors.Join(err, aerr))
			return e, nil
		}
		s.metrics.finished.WithLabelValues(e.Kind, string(models.StatusAbandoned)).Inc()
		p := problem.Wrap(problem.Unavailable, err, "the workflow service is not available: nothing was started, try again")
		p.RetryAfter = 5 * time.Second
		return nil, p
	}
	return e, nil
}

// abandon takes back an execution that could not be started. The audit log says so too: its first line said that it was
// triggered.
func (s *Service) abandon(ctx context.Context, e *models.Execution, line *models.AuditEntry) error {
	const reason = "it could not be started: the workflow service was not available"
	if line == nil {
		return s.store.AbandonExecution(ctx, e.ID, reason)
	}
	return s.store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.AbandonExecution(ctx, e.ID, reason); err != nil {
			return err
		}
		l := *line
		l.Result, l.Detail = "failed", map[string]any{"execution": e.ID, "number": e.Number, "reason": reason}
		return tx.Audit(ctx, l)
	})
}

// overloaded says whether a start failed because Temporal has too much to do, and not because it is away: it did not
// answer in time, or refused for now, but answered others meanwhile, or says that it is well.
func (s *Service) overloaded(ctx context.Context, err error, began time.Time) bool {
	var exhausted *serviceerror.ResourceExhausted
	var late *serviceerror.DeadlineExceeded
	switch {
	case errors.As(err, &exhausted), errors.As(err, &late), errors.Is(err, context.DeadlineExceeded), time.Since(began) >= s.cfg.StartTimeout:
	default:
		return false
	}
	if s.answered.Load() > began.UnixNano() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	_, err = s.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err == nil
}

// start starts the workflow of an execution; its id is the execution's, so that starting twice is starting once.
func (s *Service) start(ctx context.Context, e *models.Execution) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	name, queue, scripts := WorkflowFor(e)
	o := client.StartWorkflowOptions{
		ID:                       e.ID,
		TaskQueue:                queue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		EnableEagerStart:         s.cfg.Eager,
		StaticSummary:            fmt.Sprintf("%s %s #%d", e.Kind, e.SubjectName, e.Number),
	}
	if name == workflows.LocalBuildWorkflow {
		o.WorkflowTaskTimeout = workflows.LocalTaskTimeout
	}
	if s.cfg.SearchAttributes() {
		o.TypedSearchAttributes = s.attributes(e)
	}
	_, err := s.client.ExecuteWorkflow(ctx, o, name, workflows.Input{ExecutionID: e.ID, Attributes: s.cfg.SearchAttributes(), ScriptQueue: scripts})
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if err == nil || errors.As(err, &started) {
		s.answered.Store(time.Now().UnixNano())
		return nil
	}
	return err
}

// attributes are what the Web UI can search by. The snapshot has the names, so nothing is read for them.
func (s *Service) attributes(e *models.Execution) temporal.SearchAttributes {
	var def struct {
		Project     string `json:"project"`
		Environment string `json:"environment"`
	}
	_ = json.Unmarshal(e.Definition, &def)
	set := []temporal.SearchAttributeUpdate{AttributeKind.ValueSet(e.Kind), AttributeSubject.ValueSet(e.SubjectName)}
	if def.Project != "" {
		set = append(set, AttributeProject.ValueSet(def.Project))
	}
	if def.Environment != "" {
		set = append(set, AttributeEnvironment.ValueSet(def.Environment))
	}
	return temporal.NewSearchAttributes(set...)
}

// NewSteps makes the rows of a pipeline's steps.
func NewSteps(p models.PipelineDefinition) []models.ExecutionStep {
	var steps []models.ExecutionStep
	for i, ph := range p.Phases {
		for j, st := range ph.Steps {
			steps = append(steps, models.ExecutionStep{Phase: i, Step: j, Name: StepName(st), Type: st.Type, Status: models.StatusQueued})
		}
	}
	return steps
}

// StepAction is what the policy is asked about before a step runs: in the project that the step names, of what the
// pipeline acts as.
func StepAction(stepType string) string {
	switch stepType {
	case models.StepBuild:
		return "build:trigger"
	case models.StepDeploy, models.StepSmoke, models.StepDestroy, models.StepErrand:
		return "deployment-job:trigger"
	}
	return "pipeline:trigger"
}

// StepName is what a step is called for people: its own name, or what it does to what.
func StepName(st models.PipelineStep) string {
	if st.Name != "" {
		return st.Name
	}
	switch st.Type {
	case models.StepBuild:
		return "build " + st.Build
	case models.StepDeploy:
		return "deploy " + st.Deployment + " to " + st.Environment
	case models.StepSmoke:
		return "smoke " + st.Deployment + " in " + st.Environment
	case models.StepDestroy:
		return "destroy " + st.Deployment + " in " + st.Environment
	case models.StepErrand:
		return "errand " + st.ErrandName + " of " + st.Deployment
	case models.StepConfirmation:
		return "confirmation"
	case models.StepPipeline:
		return "pipeline " + st.Pipeline
	case models.StepTagRelease:
		return "tag " + st.Application + " as " + st.Tag
	case models.StepWebhook:
		if u, err := url.Parse(st.WebhookURL); err == nil && u.Host != "" {
			return "webhook to " + u.Host
		}
	}
	return st.Type
}
