package executions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
	"slipway/workflows"
)

// Decider says whether a person may decide a confirmation: the user it names, a member of the team it names, or, where
// it names nobody, whoever may write in the project.
type Decider func(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error)

// SetDecider sets who may decide. It must be called before the first decision.
func (s *Service) SetDecider(d Decider) { s.mayAct = d }

// Confirmation finds a confirmation by its execution and the code of its link, and says whether by may decide it. A
// wrong code is not found.
func (s *Service) Confirmation(ctx context.Context, executionID, code string, by policies.Subject) (*models.Confirmation, *models.Execution, bool, error) {
	c, err := s.store.ConfirmationByCode(ctx, executionID, code)
	if err != nil {
		if errors.Is(err, models.ErrNotFound) {
			return nil, nil, false, problem.New(problem.NotFound, "this link is not valid: no such confirmation")
		}
		return nil, nil, false, err
	}
	e, err := s.store.ExecutionByID(ctx, executionID)
	if err != nil {
		return nil, nil, false, err
	}
	may := false
	if s.mayAct != nil {
		if may, err = s.mayAct(ctx, by, e, c); err != nil {
			return nil, nil, false, err
		}
	}
	return c, e, may, nil
}

// Decide approves or disapproves a confirmation. Exactly one decision is made, with its audit line in the same transaction:
// by the last of the approvals that it takes, or by any disapproval; later ones are refused with who was first. A
// confirmation that takes more approvals is given back as pending. Then the workflow is told; while Temporal is away
// the reconciler repeats that.
func (s *Service) Decide(ctx context.Context, executionID, code string, approve bool, by policies.Subject) (*models.Confirmation, error) {
	c, e, may, err := s.Confirmation(ctx, executionID, code, by)
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, problem.New(problem.Forbidden, "%s may not decide this confirmation", by.Name)
	}
	action := "confirmation:approve"
	if !approve {
		action = "confirmation:disapprove"
	}
	id, needed := c.ID, c.Approvals
	err = s.store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if c, err = tx.VoteConfirmation(ctx, id, approve, by.Kind, by.ID, by.Name); err != nil {
			return err
		}
		line := decisionLine(e, action, by)
		if c.Approvals > 1 {
			line.Detail = map[string]any{"approvals": c.ApprovedCount, "needed": c.Approvals}
		}
		return tx.Audit(ctx, line)
	})
	switch {
	case errors.Is(err, models.ErrCancelling):
		return nil, problem.New(problem.Conflict, "this can no longer be decided: the pipeline's execution was cancelled")
	case errors.Is(err, models.ErrVoted):
		return nil, problem.New(problem.Conflict, "you have approved this already: it takes %d different people", needed)
	case errors.Is(err, models.ErrConflict):
		// Its time may be over without anybody having noticed yet.
		if c, err = s.Expire(ctx, id); err != nil {
			return nil, err
		}
		return nil, late(c)
	case err != nil:
		return nil, err
	case c.Status == models.ConfirmationPending:
		return c, nil // others have to approve, too
	}
	if err := s.tellDecision(ctx, c); err != nil {
		s.log.WarnContext(ctx, "the workflow could not be told of a decision yet", "execution", e.ID, "confirmation", c.ID, "error", err)
	}
	return c, nil
}

// decisionLine is the audit line of a word on a confirmation.
func decisionLine(e *models.Execution, action string, by policies.Subject) models.AuditEntry {
	return models.AuditEntry{Action: action, ResourceKind: "execution", ResourceID: e.ID, ResourceName: fmt.Sprintf("%s #%d", e.SubjectName, e.Number), ProjectID: e.ProjectID}.ActorOf(by)
}

// late is the refusal of a decision that comes second.
func late(c *models.Confirmation) error {
	switch c.Status {
	case models.ConfirmationApproved, models.ConfirmationDisapproved:
		return problem.New(problem.Conflict, "this was %s already, by %s at %s", c.Status, c.DecidedByName, c.DecidedAt.UTC().Format(time.RFC3339))
	case models.ConfirmationTimedOut:
		return problem.New(problem.Conflict, "nobody decided in time: this timed out")
	}
	return problem.New(problem.Conflict, "this can no longer be decided: the pipeline's execution has ended, or was cancelled")
}

// tellDecision signals the workflow that waits, and records that it knows.
func (s *Service) tellDecision(ctx context.Context, c *models.Confirmation) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	err := s.client.SignalWorkflow(ctx, c.ExecutionID, "", workflows.SignalDecision, workflows.Decision{ConfirmationID: c.ID, Status: c.Status, By: c.DecidedByName})
	if err != nil && !isGone(err) {
		return err
	}
	return s.store.ConfirmationSignalled(ctx, c.ID)
}

// Code gives the plain code of a confirmation, for those who may decide it.
func (s *Service) Code(c *models.Confirmation) (string, error) {
	b, err := s.sealer.Decrypt(c.CodeSealed, "confirmation:"+c.ExecutionID)
	return string(b), err
}
