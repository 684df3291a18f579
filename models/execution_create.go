package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// NewExecution is what CreateExecution needs.
type NewExecution struct {
	Kind                     string
	ProjectID, EnvironmentID string
	SubjectID, SubjectName   string
	TaskQueue                string
	ParentID                 string
	ParentPhase, ParentStep  int
	RootID                   string
	RetryOf                  string
	Trigger                  Trigger
	IdempotencyKey           string
	// Definition is stored as JSON.
	Definition any
	// Steps are written beside a pipeline's row: what its phases will run, or, in a retry, what is kept.
	Steps []ExecutionStep
}

// CreateExecution records an execution with the next number of its subject. Where the idempotency key is known already
// it returns that execution and false. Numbers are dense: they are drawn in the transaction that writes the row. It may
// have ended already, as skipped, where its limit says so. ErrDeleted says that its subject is gone.
func (s *Store) CreateExecution(ctx context.Context, n NewExecution) (*Execution, bool, error) {
	def, err := json.Marshal(n.Definition)
	if err != nil {
		return nil, false, fmt.Errorf("write the definition: %w", err)
	}
	if n.IdempotencyKey != "" {
		if e, err := s.ExecutionByKey(ctx, n.IdempotencyKey); err == nil {
			return e, false, nil
		} else if !errors.Is(err, ErrNotFound) {
			return nil, false, err
		}
	}
	now := s.Now()
	e := &Execution{ID: NewID(), Kind: n.Kind, ProjectID: n.ProjectID, EnvironmentID: n.EnvironmentID, SubjectID: n.SubjectID, SubjectName: n.SubjectName,
		Status: StatusNew, TaskQueue: n.TaskQueue, ParentID: n.ParentID, ParentPhase: n.ParentPhase, ParentStep: n.ParentStep, RootID: n.RootID, RetryOf: n.RetryOf,
		Trigger: n.Trigger, Definition: def, CreatedAt: now, CheckedAt: now}
	if e.RootID == "" {
		e.RootID = e.ID
	}
	trigger, err := json.Marshal(n.Trigger)
	if err != nil {
		return nil, false, fmt.Errorf("write the trigger: %w", err)
	}
	if n.IdempotencyKey != "" {
		e.IdempotencyKey = &n.IdempotencyKey
	}
	limited := limitsOf(n.Definition).MaxParallel > 0
	if s.dialect == PostgreSQL && !s.inTx && len(n.Steps) == 0 && !limited {
		err = created(s.writer(ctx).Raw(createExecutionSQL, map[string]any{"id": e.ID, "kind": e.Kind, "project": e.ProjectID, "environment": e.EnvironmentID,
			"subject": e.SubjectID, "name": e.SubjectName, "queue": e.TaskQueue, "parent": e.ParentID, "phase": e.ParentPhase, "step": e.ParentStep, "root": e.RootID,
			"retry": e.RetryOf, "trigger": trigger, "key": e.IdempotencyKey, "definition": e.Definition, "now": now}).Scan(&e.Number))
		if err == nil && e.Number == 0 {
			err = ErrDeleted
		}
		return s.created(ctx, e, n.IdempotencyKey, err)
	}
	err = s.Tx(ctx, func(tx *Store) error {
		// The counter's row is locked until the commit: numbers have no gaps.
		if err := tx.writer(ctx).Raw("INSERT INTO execution_counters (subject_id, last) VALUES (?, 1) ON CONFLICT (subject_id) DO UPDATE SET last = execution_counters.last + 1 WHERE execution_counters.last >= 0 RETURNING last",
			n.SubjectID).Scan(&e.Number).Error; err != nil {
			return fmt.Errorf("draw a number: %w", err)
		}
		if e.Number == 0 {
			return ErrDeleted
		}
		if err := created(tx.writer(ctx).Create(e)); err != nil {
			return err
		}
		for i := range n.Steps {
			n.Steps[i].ExecutionID = e.ID
		}
		if len(n.Steps) > 0 {
			if err := tx.writer(ctx).CreateInBatches(n.Steps, 200).Error; err != nil {
				return err
			}
		}
		if limited {
			return tx.takePlace(ctx, e, n.Definition)
		}
		return nil
	})
	return s.created(ctx, e, n.IdempotencyKey, err)
}

// created gives the answer of CreateExecution: the new row, or the one that somebody with the same key was quicker with.
func (s *Store) created(ctx context.Context, e *Execution, key string, err error) (*Execution, bool, error) {
	if errors.Is(err, ErrExists) && key != "" {
		e, err := s.ExecutionByKey(ctx, key)
		return e, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("record the execution: %w", err)
	}
	return e, true, nil
}
