package deliveries

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipway/internal/logs"
	"slipway/internal/mailer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/workflows"
)

var (
	errOpen     = problem.New(problem.Conflict, "this delivery has not ended: it is still being sent")
	errRuleGone = problem.New(problem.Conflict, "its notification was removed: there is nowhere to send it to")
	errHookGone = problem.New(problem.Conflict, "its hook was removed: there is nowhere to send it to")
)

// AgainError says that a delivery has not arrived yet, and when the next attempt is due. Its text holds no secret.
type AgainError struct {
	After  time.Duration
	Reason string
}

func (e *AgainError) Error() string { return e.Reason }

// Attempt tries once to send a delivery and records how that went. It gives the delivery's end where it has ended; an
// *AgainError says when to call again, any other error that nothing was recorded.
//
// The attempt is recorded before it is made. A worker that is lost between the two, or after sending, leaves an attempt
// without an end, and the next one follows: the receiver gets the delivery twice rather than not at all.
func (s *Service) Attempt(ctx context.Context, id string) (workflows.Outcome, error) {
	d, err := s.Store.DeliveryByID(ctx, id)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.Outcome{Status: models.StatusSkipped, Reason: "what it belonged to was removed"}, nil
	}
	if err != nil {
		return workflows.Outcome{}, err
	}
	if d.Status.Final() {
		return workflows.Outcome{Status: d.Status, Reason: d.Reason}, nil
	}
	if reason, err := s.pointless(ctx, d); err != nil || reason != "" {
		if err != nil {
			return workflows.Outcome{}, err
		}
		return s.End(ctx, id, workflows.Outcome{Status: models.StatusSkipped, Reason: reason})
	}
	if d.Attempts >= d.MaxAttempts {
		return s.End(ctx, id, workflows.Outcome{Status: models.StatusFailed, Reason: fmt.Sprintf("it was tried %d times; the worker of the last attempt was lost", d.Attempts)})
	}
	secret, err := s.Store.DeliverySecret(d)
	if err != nil {
		return workflows.Outcome{}, err
	}
	number, err := s.Store.BeginDeliveryAttempt(ctx, id)
	if errors.Is(err, models.ErrFinal) {
		return s.ended(ctx, id)
	}
	if err != nil {
		return workflows.Outcome{}, err
	}
	var r result
	if d.Kind == models.DeliveryMail {
		r = s.mail(ctx, d, secret)
	} else {
		r = s.post(ctx, d, secret, number)
	}
	return s.record(ctx, d, number, mask(r, secret))
}

// pointless says why a delivery need not be sent any more.
func (s *Service) pointless(ctx context.Context, d *models.Delivery) (string, error) {
	if d.ConfirmationID == "" {
		return "", nil
	}
	c, err := s.Store.ConfirmationByID(ctx, d.ConfirmationID)
	if errors.Is(err, models.ErrNotFound) {
		return "the confirmation was removed", nil
	}
	if err != nil {
		return "", err
	}
	if c.Status != models.ConfirmationPending {
		return "it was decided meanwhile: " + c.Status, nil
	}
	cancelled, err := s.Store.ConfirmationCancelled(ctx, c.ID)
	if err == nil && cancelled {
		return "the execution was cancelled meanwhile", nil
	}
	return "", err
}

// End ends a delivery. One that has ended keeps its end, which is given back.
func (s *Service) End(ctx context.Context, id string, out workflows.Outcome) (workflows.Outcome, error) {
	err := s.Store.EndDelivery(ctx, id, out.Status, out.Reason)
	if errors.Is(err, models.ErrFinal) {
		return s.ended(ctx, id)
	}
	return out, err
}

func (s *Service) ended(ctx context.Context, id string) (workflows.Outcome, error) {
	d, err := s.Store.DeliveryByID(ctx, id)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.Outcome{Status: models.StatusSkipped, Reason: "what it belonged to was removed"}, nil
	}
	if err != nil {
		return workflows.Outcome{}, err
	}
	return workflows.Outcome{Status: d.Status, Reason: d.Reason}, nil
}

// mask takes what is secret of a delivery out of what its receiver answered, and cuts that to what is kept.
func mask(r result, secret models.DeliverySecret) result {
	hide := append([]string{secret.URL, secret.Secret}, secret.Hide...)
	if u, err := url.Parse(secret.URL); err == nil {
		hide = append(hide, u.RequestURI(), u.RawQuery, strings.Trim(u.Path, "/"))
		if u.User != nil {
			password, _ := u.User.Password()
			hide = append(hide, u.User.Username(), password)
		}
	}
	for _, v := range secret.Headers {
		hide = append(hide, v)
		_, credential, _ := strings.Cut(v, " ") // Authorization: Bearer ...
		hide = append(hide, credential)
	}
	secrets := logs.NewSecrets(hide...)
	r.answer, r.problem = secrets.Mask(r.answer), secrets.Mask(r.problem)
	if len(r.answer) > models.MaxDeliveryAnswer {
		r.answer = r.answer[:models.MaxDeliveryAnswer]
	}
	return r
}

// record writes how an attempt went. What was sent must not be sent again because the database was away for a moment, so
// it is patient, within the time that the activity has.
func (s *Service) record(ctx context.Context, d *models.Delivery, number int, r result) (workflows.Outcome, error) {
	a := models.DeliveryAttempt{DeliveryID: d.ID, Number: number, StatusCode: r.code, Answer: r.answer, Error: r.problem}
	out := workflows.Outcome{Status: models.StatusOK}
	var again *AgainError
	var next *time.Time
	switch {
	case r.problem == "":
	case r.again && number < d.MaxAttempts:
		again = &AgainError{After: max(s.Backoff(number), r.after), Reason: r.problem}
		at := s.Store.Now().Add(again.After)
		next, out = &at, workflows.Outcome{Status: models.StatusRunning, Reason: r.problem}
	case r.again:
		out = workflows.Outcome{Status: models.StatusFailed, Reason: fmt.Sprintf("%s; it was tried %d times", r.problem, number)}
	default:
		out = workflows.Outcome{Status: models.StatusFailed, Reason: r.problem}
	}
	// A worker that stops breaks the attempt off; that it was made must be recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return workflows.Outcome{}, ctx.Err()
		case <-wait.C:
		}
		err := s.Store.EndDeliveryAttempt(ctx, a, out.Status, out.Reason, next)
		if err == nil {
			break
		}
		s.Log.WarnContext(ctx, "a delivery was sent and could not be recorded yet", "delivery", d.ID, "attempt", number, "error", err)
		wait.Reset(500 * time.Millisecond)
	}
	switch {
	case again != nil:
		s.sent.WithLabelValues(d.Kind, "again").Inc()
		return workflows.Outcome{}, again
	case out.Ok():
		s.sent.WithLabelValues(d.Kind, "ok").Inc()
	default:
		s.sent.WithLabelValues(d.Kind, "failed").Inc()
		s.Log.WarnContext(ctx, "a delivery was given up", "delivery", d.ID, "kind", d.Kind, "event", d.Event, "target", d.Target, "attempts", number, "reason", out.Reason)
	}
	return out, nil
}

// mailTimeout bounds one mail. Servers that check their clients take their time.
const mailTimeout = 20 * time.Second

// mail makes one attempt at a mail.
func (s *Service) mail(ctx context.Context, d *models.Delivery, secret models.DeliverySecret) result {
	if s.Mail == nil {
		return result{problem: "no mail server is configured: see SLIPWAY_SMTP_URL"}
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	err := s.Mail.Send(ctx, mailer.Message{ID: d.ID, To: secret.To, Subject: d.Subject, Text: secret.Body, Date: d.CreatedAt,
		Headers: [][2]string{{HeaderEvent, d.Event}, {HeaderDelivery, d.ID}}})
	var refused *mailer.Error
	switch {
	case err == nil:
		return result{}
	case errors.As(err, &refused):
		return result{code: refused.Code, answer: refused.Answer, problem: refused.Error(), again: !refused.Permanent}
	case errors.Is(err, context.DeadlineExceeded):
		return result{problem: "no answer of the mail server within " + mailTimeout.String(), again: true}
	}
	return result{problem: err.Error(), again: true}
}
