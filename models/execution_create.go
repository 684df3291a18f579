package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"slipway/policies"
)

// NewExecution is what CreateExecution needs.
type NewExecution struct {
	Kind                     string
	ProjectID, EnvironmentID string
	OrganizationID           string // for those of no project
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
	// Commit is what is known of the source already.
	Commit *Commit
	// By is who stands in the audit log for what the record of this one does to others, such as a cancellation of older
	// ones, where there is no Audit.
	By policies.Subject
	// Audit, where set, is the line of the audit log that is written with the row, and not at all where there is none. The
	// execution's id and number are added to its detail.
	Audit *AuditEntry
	// Within, where set, runs in the transaction that writes the row: what must be there with it, or not at all.
	Within func(tx *Store, e *Execution) error
}

// CreateExecution records an execution with the next number of its subject. Where the idempotency key is known already
// it returns that execution and false. Numbers are dense: they are drawn in the transaction that writes the row. It may
// have ended already, as skipped, where its limit says so. ErrDeleted says that its subject is gone, a *problem.Error of kind
// LimitReached that its organization may have no more.
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
	if n.Commit != nil {
		c := n.Commit.Cut(MaxCommitMessage) // what a webhook brought, or an older version recorded, may be of any length
		n.Commit = &c
	}
	e := &Execution{ID: NewID(), Kind: n.Kind, ProjectID: n.ProjectID, EnvironmentID: n.EnvironmentID, OrganizationID: n.OrganizationID, SubjectID: n.SubjectID, SubjectName: n.SubjectName,
		Status: StatusNew, TaskQueue: n.TaskQueue, ParentID: n.ParentID, ParentPhase: n.ParentPhase, ParentStep: n.ParentStep, RootID: n.RootID, RetryOf: n.RetryOf,
		Trigger: n.Trigger, Definition: def, Commit: n.Commit, CreatedAt: now, CheckedAt: now}
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
	if s.dialect == PostgreSQL && !s.inTx && len(n.Steps) == 0 && n.Within == nil && !limited {
		err := s.createUnbounded(ctx, e, trigger, n.Audit)
		if !errors.Is(err, errNotAtOnce) {
			return s.created(ctx, e, n.IdempotencyKey, err)
		}
	}
	err = s.Tx(ctx, func(tx *Store) error {
		// It may run again: what a place gave or took is forgotten.
		e.Number, e.Status, e.Reason, e.FinishedAt, e.Supersedes, e.hasTickets = 0, StatusNew, "", nil, nil, false
		bounded, err := tx.drawNumber(ctx, e)
		if err != nil {
			return err
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
			if err := tx.takePlace(ctx, e, n); err != nil {
				return err
			}
		}
		if bounded { // last of all locks: all executions of the organization wait for it
			if err := tx.keepQuota(ctx, QuotaExecutions, ownerOfExecution(e)); err != nil {
				return err
			}
		}
		if n.Audit != nil {
			if err := tx.Audit(ctx, n.Audit.about(e)); err != nil {
				return err
			}
		}
		if n.Within != nil {
			return n.Within(tx, e)
		}
		return nil
	})
	return s.created(ctx, e, n.IdempotencyKey, err)
}

// drawNumber gives an execution the next number of its subject. The counter's row is locked until the commit, so that
// numbers have no gaps. True says that a quota may bound it; a part of another execution is bound by none.
func (s *Store) drawNumber(ctx context.Context, e *Execution) (bounded bool, err error) {
	var drawn struct {
		Last    int64
		Bounded bool
	}
	if err := s.writer(ctx).Raw(drawNumberSQL, map[string]any{"subject": e.SubjectID}).Scan(&drawn).Error; err != nil {
		return false, fmt.Errorf("draw a number: %w", err)
	}
	if e.Number = drawn.Last; e.Number == 0 {
		return false, ErrDeleted
	}
	return drawn.Bounded && e.ParentID == "", nil
}

// errNotAtOnce says that one statement does not do: a quota has to be looked at, or the subject is gone.
var errNotAtOnce = errors.New("it cannot be recorded at once")

// createUnbounded records an execution in one statement unless a quota bounds it. It asks first whether there is any quota,
// which most installations do not have, and looks closer where there is one, from then on at once.
func (s *Store) createUnbounded(ctx context.Context, e *Execution, trigger []byte, line *AuditEntry) error {
	if !s.quotas.Load() {
		err := s.createAtOnce(ctx, e, trigger, line, anyBoundSQL)
		if !errors.Is(err, errNotAtOnce) {
			return err
		}
		s.quotas.Store(true)
	}
	return s.createAtOnce(ctx, e, trigger, line, boundedSQL)
}

// createAtOnce records an execution, and its line in the audit log, in one statement, unless the condition bounded holds.
func (s *Store) createAtOnce(ctx context.Context, e *Execution, trigger []byte, line *AuditEntry, bounded string) error {
	args := map[string]any{"id": e.ID, "kind": e.Kind, "project": e.ProjectID, "environment": e.EnvironmentID, "organization": e.OrganizationID,
		"subject": e.SubjectID, "name": e.SubjectName, "queue": e.TaskQueue, "parent": e.ParentID, "phase": e.ParentPhase, "step": e.ParentStep, "root": e.RootID,
		"retry": e.RetryOf, "trigger": trigger, "key": e.IdempotencyKey, "definition": e.Definition, "commit": nil, "now": e.CreatedAt}
	if e.Commit != nil {
		b, err := json.Marshal(e.Commit)
		if err != nil {
			return err
		}
		args["commit"] = string(b)
	}
	q := createExecutionSQL(bounded)
	if line != nil {
		l := line.about(e)
		if err := l.prepare(e.CreatedAt); err != nil {
			return err
		}
		detail, err := json.Marshal(l.Detail)
		if err != nil {
			return err
		}
		q = createAuditedSQL(bounded)
		maps.Copy(args, map[string]any{"line": l.ID, "actor_kind": l.ActorKind, "actor_id": l.ActorID, "actor_name": l.ActorName, "action": l.Action,
			"resource_kind": l.ResourceKind, "resource_id": l.ResourceID, "resource_name": l.ResourceName, "audit_project": l.ProjectID, "result": l.Result,
			"detail": strings.TrimSuffix(string(detail), "}")})
	}
	err := created(s.writer(ctx).Raw(q, args).Scan(&e.Number))
	if err == nil && e.Number == 0 {
		err = errNotAtOnce
	}
	return err
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
