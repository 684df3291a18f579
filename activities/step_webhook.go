package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

// stepAttempts is how often the request of a step is sent: fewer times than other deliveries, since a pipeline waits for it.
const stepAttempts = 6

// StepCall is the body of the request that a webhook-trigger step sends, as JSON.
type StepCall struct {
	// Event is "pipeline-step".
	Event    string `json:"event"`
	Project  string `json:"project"`
	Pipeline string `json:"pipeline"`
	// Execution is the pipeline's, with its number.
	Execution string `json:"execution"`
	Number    int64  `json:"number"`
	Phase     string `json:"phase"`
	Step      string `json:"step"`
	// Trigger says who or what started the pipeline.
	Trigger models.Trigger `json:"trigger"`
	Commit  *models.Commit `json:"commit,omitempty"`
	// Releases are what the pipeline has made and deployed so far, project/name-vVERSION, in the order of its steps.
	Releases []string `json:"releases"`
}

// webhook begins a step that sends a request. It is recorded as a delivery, which the pipeline's workflow runs as its
// child: signed, repeated until it is answered, with every answer kept.
func (s *stepper) webhook(ctx context.Context, st models.PipelineStep, run *workflows.StepRun) error {
	u, err := url.Parse(st.WebhookURL)
	if err != nil || u.Host == "" {
		return problem.New(problem.Unprocessable, "the webhook_url is no http or https URL")
	}
	p, err := s.Store.PipelineByID(ctx, s.e.SubjectID)
	if errors.Is(err, models.ErrNotFound) {
		return problem.New(problem.NotFound, "the pipeline is gone, and with it what its requests are signed with")
	}
	if err != nil {
		return err
	}
	secret, err := s.Store.SigningSecret(p)
	if err != nil {
		return fmt.Errorf("open the signing secret of pipeline %s: %w", p.ID, err)
	}
	made, err := s.madeHere(ctx)
	if err != nil {
		return err
	}
	call := StepCall{Event: "pipeline-step", Project: s.own.Name, Pipeline: s.e.SubjectName, Execution: s.e.ID, Number: s.e.Number, Phase: s.d.Phases[s.phase].Name,
		Step: run.Name, Trigger: s.e.Trigger, Commit: s.e.Commit, Releases: made.releases}
	body, err := json.Marshal(call)
	if err != nil {
		return err
	}
	n := models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfStep, Event: call.Event, ProjectID: s.e.ProjectID, ExecutionID: s.e.ID,
		Target: u.Scheme + "://" + u.Host, Body: string(body), Secret: models.DeliverySecret{URL: st.WebhookURL, Secret: secret}, DedupeKey: "step:" + s.key(run),
		MaxAttempts: stepAttempts, Child: true}
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		if secret == "" {
			if n.Secret.Secret, err = s.newSigningSecret(ctx, tx, p); err != nil {
				return err
			}
		}
		d, _, err := tx.CreateDelivery(ctx, n)
		if errors.Is(err, models.ErrDeliveryTooLong) {
			return problem.Wrap(problem.Unprocessable, err, "what it would send is too long: with %d releases that the pipeline has made it has %d bytes, and may have %d",
				len(call.Releases), len(body), models.MaxDeliveryBody)
		}
		if err != nil {
			return err
		}
		run.DeliveryID, run.Workflow, run.TaskQueue = d.ID, workflows.DeliveryWorkflow, workflows.QueueDeliveries
		r := s.row(run, models.StatusRunning)
		r.DeliveryID = d.ID
		return tx.PutSteps(ctx, r)
	})
}

// newSigningSecret gives a pipeline that was saved before there were signing secrets the one that it lacks, with a line in
// the audit log: a request that is not signed is never sent. Where somebody was quicker, theirs is given.
func (s *stepper) newSigningSecret(ctx context.Context, tx *models.Store, p *models.Pipeline) (string, error) {
	secret, isNew, err := tx.EnsureSigningSecret(ctx, p.ID)
	if err != nil || !isNew {
		return secret, err
	}
	by, err := s.auditor(ctx)
	if err != nil {
		return "", err
	}
	return secret, tx.Audit(ctx, models.AuditEntry{Action: "pipeline:update", ResourceKind: models.KindPipeline, ResourceID: p.ID, ResourceName: p.Name, ProjectID: p.ProjectID,
		Detail: map[string]any{"signing_secret": "made", "caused_by": s.e.ID}}.ActorOf(by))
}
