package models

import (
	"context"
	"time"
)

// ExecutionStep is one step of a pipeline's execution. A step that runs as an execution of its own takes its status
// from that; the row holds the status of the others.
type ExecutionStep struct {
	ExecutionID string `gorm:"primaryKey"`
	Phase       int    `gorm:"primaryKey;autoIncrement:false"`
	Step        int    `gorm:"primaryKey;autoIncrement:false"`
	Name        string
	Type        string
	Status      Status
	Reason      string
	// ChildID is the execution that the step runs as, "" for a confirmation or a step that has not begun.
	ChildID string
	// Kept says that the step was taken over: from the execution that this one retries, or from the one whose end started
	// the pipeline.
	Kept bool
	// Detached says that ChildID is an execution of its own, which the step has started and does not wait for: its status
	// is not the step's.
	Detached bool
	// DeliveryID is the delivery that a step which calls a webhook runs as.
	DeliveryID string
	StartedAt  *time.Time
	FinishedAt *time.Time
}

// ReasonNotRun is the reason of a step that did not begin before its pipeline failed. Its status is abandoned.
const ReasonNotRun = "it did not run"

// StepsOf gives the steps of an execution in order, each with the status of its child or its delivery where it has one, in
// one query.
func (s *Store) StepsOf(ctx context.Context, executionID string) ([]ExecutionStep, error) {
	var list []ExecutionStep
	var rows []struct {
		ExecutionStep
		ChildStatus, ChildReason              *string
		ChildStartedAt, ChildFinishedAt       *time.Time
		DeliveryStatus, DeliveryReason        *string
		DeliveryStartedAt, DeliveryFinishedAt *time.Time
	}
	// No COALESCE: in SQLite its result has no type, and a time comes back as text.
	err := s.reader(ctx).Raw(`SELECT t.*, c.status AS child_status, c.reason AS child_reason, c.started_at AS child_started_at, c.finished_at AS child_finished_at,
			v.status AS delivery_status, v.reason AS delivery_reason, v.created_at AS delivery_started_at, v.finished_at AS delivery_finished_at
		FROM execution_steps t LEFT JOIN executions c ON c.id = t.child_id AND t.child_id <> '' AND NOT t.detached
			LEFT JOIN deliveries v ON v.id = t.delivery_id AND t.delivery_id <> ''
		WHERE t.execution_id = ? ORDER BY t.phase, t.step`, executionID).Scan(&rows).Error
	for _, r := range rows {
		if r.ChildStatus != nil {
			r.Status, r.Reason = Status(*r.ChildStatus), *r.ChildReason
			r.StartedAt, r.FinishedAt = r.ChildStartedAt, r.ChildFinishedAt
		}
		if r.DeliveryStatus != nil {
			r.Status, r.Reason = Status(*r.DeliveryStatus), *r.DeliveryReason
			r.StartedAt, r.FinishedAt = r.DeliveryStartedAt, r.DeliveryFinishedAt
		}
		list = append(list, r.ExecutionStep)
	}
	return list, err
}

// PutSteps writes the status of steps, and ends what nobody has decided of those that have ended. It is idempotent: the
// workflow repeats it when an activity is repeated.
func (s *Store) PutSteps(ctx context.Context, steps ...ExecutionStep) error {
	if len(steps) == 1 {
		return s.putStep(ctx, steps[0]) // a transaction would be two more round trips
	}
	return s.Tx(ctx, func(tx *Store) error {
		for _, t := range steps {
			if err := tx.putStep(ctx, t); err != nil {
				return err
			}
			if !t.Status.Final() || t.ChildID != "" || t.DeliveryID != "" {
				continue
			}
			now := tx.Now()
			if err := tx.writer(ctx).Model(&Confirmation{}).Where("execution_id = ? AND phase = ? AND step = ? AND status = ?", t.ExecutionID, t.Phase, t.Step, ConfirmationPending).
				Updates(map[string]any{"status": ConfirmationEnded, "decided_at": now, "signalled_at": now}).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) putStep(ctx context.Context, t ExecutionStep) error {
	set := map[string]any{"status": t.Status, "reason": clip(t.Reason, 4000), "child_id": t.ChildID, "detached": t.Detached}
	if t.DeliveryID != "" {
		set["delivery_id"] = t.DeliveryID
	}
	if t.StartedAt != nil {
		set["started_at"] = t.StartedAt
	}
	if t.FinishedAt != nil {
		set["finished_at"] = t.FinishedAt
	}
	return found(s.writer(ctx).Model(&ExecutionStep{}).Where("execution_id = ? AND phase = ? AND step = ?", t.ExecutionID, t.Phase, t.Step).Updates(set))
}
