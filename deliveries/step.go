package deliveries

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"slipway/internal/problem"
	"slipway/models"
)

var (
	errStepGone   = problem.New(problem.Conflict, "its pipeline has no such step any more: there is nowhere to send it to")
	errPersonGone = problem.New(problem.Conflict, "whom it was sent to may not decide this any more, or has another address")
)

// readdressByStep sets where the step of a pipeline sends now, and with what that is signed.
func readdressByStep(ctx context.Context, tx *models.Store, d *models.Delivery, n *models.NewDelivery) error {
	e, err := tx.ExecutionByID(ctx, d.ExecutionID)
	var p *models.Pipeline
	if err == nil {
		p, err = tx.PipelineByID(ctx, e.SubjectID)
	}
	if errors.Is(err, models.ErrNotFound) {
		return errStepGone
	}
	if err != nil {
		return err
	}
	st, err := stepNow(ctx, tx, d, e, p)
	if err != nil {
		return err
	}
	u, err := url.Parse(st.WebhookURL)
	if err != nil || u.Host == "" {
		return errStepGone //nolint:nilerr // it sends nowhere
	}
	secret, err := tx.SigningSecret(p)
	if err != nil {
		return err
	}
	n.Target, n.Secret.URL, n.Secret.Secret = u.Scheme+"://"+u.Host, st.WebhookURL, secret
	return nil
}

// stepNow finds the step that a delivery came from, as the pipeline has it now: the one at the same place with the same
// name, or none, as then; else the only one with that name.
func stepNow(ctx context.Context, tx *models.Store, d *models.Delivery, e *models.Execution, p *models.Pipeline) (*models.PipelineStep, error) {
	phase, step, err := placeOf(ctx, tx, d)
	if err != nil {
		return nil, err
	}
	var ran models.PipelineDefinition
	if err := e.DefinitionInto(&ran); err != nil {
		return nil, err
	}
	then := webhookAt(ran.Phases, phase, step)
	if then == nil {
		return nil, errStepGone
	}
	if now := webhookAt(p.Phases, phase, step); now != nil && now.Name == then.Name {
		return now, nil
	}
	var named []*models.PipelineStep
	for i := range p.Phases {
		for j := range p.Phases[i].Steps {
			if st := webhookAt(p.Phases, i, j); st != nil && st.Name == then.Name {
				named = append(named, st)
			}
		}
	}
	if then.Name == "" || len(named) != 1 {
		return nil, errStepGone
	}
	return named[0], nil
}

// webhookAt is the step at a place, nil where there is none or it sends nothing.
func webhookAt(phases []models.PipelinePhase, phase, step int) *models.PipelineStep {
	if phase < 0 || phase >= len(phases) || step < 0 || step >= len(phases[phase].Steps) || phases[phase].Steps[step].Type != models.StepWebhook {
		return nil
	}
	return &phases[phase].Steps[step]
}

// placeOf is the place in its pipeline of the step that a delivery, or the one that it repeats, came from; -1 where that
// is not known any more.
func placeOf(ctx context.Context, tx *models.Store, d *models.Delivery) (phase, step int, err error) {
	for range 20 {
		if d.DedupeKey != nil {
			if _, err := fmt.Sscanf(*d.DedupeKey, "step:"+d.ExecutionID+"/%d/%d", &phase, &step); err == nil {
				return phase, step, nil
			}
		}
		if d.RedeliveryOf == "" {
			break
		}
		if d, err = tx.DeliveryByID(ctx, d.RedeliveryOf); err != nil {
			if errors.Is(err, models.ErrNotFound) {
				err = nil
			}
			return -1, -1, err
		}
	}
	return -1, -1, nil
}

// stillDecides refuses to send the link of a confirmation again to somebody who may not decide it any more.
func (s *Service) stillDecides(ctx context.Context, tx *models.Store, n *models.NewDelivery) error {
	c, err := tx.ConfirmationByID(ctx, n.ConfirmationID)
	if errors.Is(err, models.ErrNotFound) {
		return errPersonGone
	}
	if err != nil {
		return err
	}
	e, err := tx.ExecutionByID(ctx, c.ExecutionID)
	if err != nil {
		return err
	}
	people, err := s.deciders(ctx, e, c)
	if err != nil {
		return err
	}
	for _, u := range people {
		if u.Email == n.Secret.To {
			return nil
		}
	}
	return errPersonGone
}
