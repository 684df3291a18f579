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
// it returns that execution and false. Numbers are dense: they are drawn in the transaction that writes the row.
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
	if n.IdempotencyKey != "" {
		e.IdempotencyKey = &n.IdempotencyKey
	}
	err = s.Tx(ctx, func(tx *Store) error {
		// The counter's row is locked until the commit, so the id is drawn inside: ids and numbers rise together.
		if err := tx.writer(ctx).Raw("INSERT INTO execution_counters (subject_id, last) VALUES (?, 1) ON CONFLICT (subject_id) DO UPDATE SET last = execution_counters.last + 1 RETURNING last",
			n.SubjectID).Scan(&e.Number).Error; err != nil {
			return fmt.Errorf("draw a number: %w", err)
		}
		top := e.RootID == e.ID
		e.ID = NewID()
		if top {
			e.RootID = e.ID
		}
		if err := created(tx.writer(ctx).Create(e)); err != nil {
			return err
		}
		for i := range n.Steps {
			n.Steps[i].ExecutionID = e.ID
		}
		if len(n.Steps) > 0 {
			return tx.writer(ctx).CreateInBatches(n.Steps, 200).Error
		}
		return nil
	})
	if errors.Is(err, ErrExists) && n.IdempotencyKey != "" {
		e, err := s.ExecutionByKey(ctx, n.IdempotencyKey)
		return e, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("record the execution: %w", err)
	}
	return e, true, nil
}
