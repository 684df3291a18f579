package models

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Claim is what a workflow gets when it claims its row.
type Claim struct {
	Execution *Execution
	// Waiting says that a deployment lock was asked for and not granted yet.
	Waiting bool
	// Queued says that as many executions run side by side as may: it waits for its place first. See Store.Admit.
	Queued bool
}

// ClaimExecution gives the row to the workflow run that executes it. It returns ErrConflict where the row is not new any
// more and belongs to another run: it was abandoned, cancelled before it began, or reset. The same run may claim again: a
// local activity can be repeated.
//
// deployments, called with the row, names what the execution changes. Where it names any, they are taken (or queued for)
// in the same transaction, and the row shows as queued while it waits; nil is for kinds that change none at their claim.
func (s *Store) ClaimExecution(ctx context.Context, id, runID string, deployments func(*Execution) ([]string, error)) (*Claim, error) {
	if deployments == nil {
		e, err := s.claim(ctx, id, runID)
		if err != nil {
			return nil, err
		}
		return &Claim{Execution: e, Queued: e.Status == StatusQueued}, nil
	}
	var c *Claim
	err := s.Tx(ctx, func(tx *Store) error {
		e, err := tx.claim(ctx, id, runID)
		if err != nil {
			return err
		}
		if e.Status == StatusQueued {
			c = &Claim{Execution: e, Queued: true}
			return nil
		}
		names, err := deployments(e)
		if err != nil {
			return err
		}
		granted, err := tx.requestLocks(ctx, e, names)
		if err != nil {
			return err
		}
		c = &Claim{Execution: e, Waiting: !granted}
		if granted {
			return nil
		}
		e.Status = StatusQueued
		return tx.writer(ctx).Model(&Execution{}).Where("id = ?", id).Updates(map[string]any{"status": StatusQueued, "started_at": nil}).Error
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// claim is one statement, since it stands before the first command of every execution. One that waits for its place
// becomes queued, not running.
func (s *Store) claim(ctx context.Context, id, runID string) (*Execution, error) {
	now := s.Now()
	var rows []Execution
	u := s.writer(ctx).Raw(`UPDATE executions SET status = CASE WHEN EXISTS (SELECT 1 FROM deployment_locks l WHERE l.execution_id = executions.id AND l.deployment = '' AND l.granted_at IS NULL)
		THEN 'queued' ELSE 'running' END, run_id = ?, claimed_at = ?, checked_at = ?, started_at = `+s.latest("COALESCE(started_at, ?)", "created_at")+`
		WHERE id = ? AND (status = ? OR (run_id = ? AND status IN ?)) RETURNING *`,
		runID, now, now, now, id, StatusNew, runID, openStatuses).Scan(&rows)
	if u.Error != nil {
		return nil, u.Error
	}
	if len(rows) == 0 {
		return nil, ErrConflict
	}
	e := &rows[0]
	if e.Status == StatusQueued {
		e.StartedAt = nil
		return e, s.writer(ctx).Model(&Execution{}).Where("id = ? AND status = ?", id, StatusQueued).Update("started_at", nil).Error
	}
	return e, nil
}

// SetExecutionStatus projects a status that is not final. Sequence must rise; an older one, and any on a row that has
// ended, changes nothing.
func (s *Store) SetExecutionStatus(ctx context.Context, id string, to Status, sequence int64) error {
	if to.Final() {
		return fmt.Errorf("status %s ends an execution: use FinishExecution", to)
	}
	set := map[string]any{"status": to, "sequence": sequence}
	if to == StatusRunning {
		set["started_at"] = gorm.Expr(s.latest("COALESCE(started_at, ?)", "created_at"), s.Now())
	}
	return s.writer(ctx).Model(&Execution{}).Where("id = ? AND status IN ? AND sequence < ?", id, openStatuses, sequence).Updates(set).Error
}

// FinishExecution ends an execution, whoever noticed the end: its workflow, the trigger or the reconciler. In the same
// transaction it frees the locks; the executions that hold one of them now are returned, to be signalled. It returns
// ErrFinal where the row had ended before.
func (s *Store) FinishExecution(ctx context.Context, id string, to Status, reason string) ([]string, error) {
	return s.finish(ctx, id, to, reason, openStatuses)
}

// AbandonExecution ends an execution that no workflow has claimed. ErrFinal says that one has, or that it had ended.
func (s *Store) AbandonExecution(ctx context.Context, id, reason string) error {
	_, err := s.finish(ctx, id, StatusAbandoned, reason, []Status{StatusNew})
	return err
}

func (s *Store) finish(ctx context.Context, id string, to Status, reason string, from []Status) ([]string, error) {
	if !to.Final() {
		return nil, fmt.Errorf("status %s does not end an execution", to)
	}
	if !s.inTx {
		if done, err := s.finishAlone(ctx, id, to, reason, from); done || err != nil {
			return nil, err
		}
	}
	var next []string
	err := s.Tx(ctx, func(tx *Store) error {
		next = nil
		now := tx.Now()
		var ended []struct {
			Kind     string
			Locks    bool
			Listened bool
		}
		u := tx.writer(ctx).Raw(`UPDATE executions SET `+s.endingSQL()+` WHERE id = ? AND status IN ?
			RETURNING kind, EXISTS (SELECT 1 FROM deployment_locks l WHERE l.execution_id = executions.id) AS locks, `+listenedSQL+` AS listened`,
			to, clip(reason, 4000), now, id, from).Scan(&ended)
		if u.Error != nil {
			return u.Error
		}
		if len(ended) == 0 {
			return ErrFinal
		}
		if ended[0].Locks {
			var err error
			if next, err = tx.releaseLocks(ctx, id); err != nil {
				return err
			}
		}
		if ended[0].Kind != KindPipeline {
			if to != StatusOK || !ended[0].Listened {
				return nil
			}
			return tx.recordStarts(ctx, id)
		}
		// Steps and confirmations that are open will not go on. A step that has not begun did not fail: people look for the
		// one that did.
		if to == StatusFailed {
			if err := tx.writer(ctx).Model(&ExecutionStep{}).
				Where("execution_id = ? AND status = ? AND started_at IS NULL AND child_id = '' AND delivery_id = ''", id, StatusQueued).
				Updates(map[string]any{"status": StatusAbandoned, "reason": ReasonNotRun, "finished_at": now}).Error; err != nil {
				return err
			}
		}
		if err := tx.writer(ctx).Model(&ExecutionStep{}).Where("execution_id = ? AND status IN ?", id, []Status{StatusQueued, StatusRunning, StatusWaiting}).
			Updates(map[string]any{"status": to, "finished_at": now}).Error; err != nil {
			return err
		}
		return tx.writer(ctx).Model(&Confirmation{}).Where("execution_id = ? AND status = ?", id, ConfirmationPending).
			Updates(map[string]any{"status": ConfirmationEnded, "decided_at": now, "signalled_at": now}).Error
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// finishAlone ends an execution that holds no lock, has no steps and starts no pipeline, as most builds do, in a single
// statement. False says that it is not of that kind, or had ended.
func (s *Store) finishAlone(ctx context.Context, id string, to Status, reason string, from []Status) (bool, error) {
	u := s.writer(ctx).Exec(`UPDATE executions SET `+s.endingSQL()+` WHERE id = ? AND status IN ? AND `+endsAloneSQL, to, clip(reason, 4000), s.Now(), id, from)
	return u.RowsAffected == 1, u.Error
}

// RequestCancel records who asked first that an execution be cancelled, with its line in the audit log where one is
// given. It returns ErrFinal where it has ended, and false where somebody asked before: a second cancel changes nothing.
func (s *Store) RequestCancel(ctx context.Context, id, by string, line *AuditEntry) (first bool, err error) {
	if line == nil {
		return s.requestCancel(ctx, id, by)
	}
	err = s.Tx(ctx, func(tx *Store) error {
		if first, err = tx.requestCancel(ctx, id, by); err != nil || !first {
			return err
		}
		return tx.Audit(ctx, *line)
	})
	return first, err
}

func (s *Store) requestCancel(ctx context.Context, id, by string) (bool, error) {
	u := s.writer(ctx).Model(&Execution{}).Where("id = ? AND status IN ? AND cancel_requested_at IS NULL", id, openStatuses).
		Updates(map[string]any{"cancel_requested_at": s.Now(), "cancel_requested_by": by})
	if u.Error != nil {
		return false, u.Error
	}
	if u.RowsAffected == 1 {
		return true, nil
	}
	var e Execution
	if err := one(s.writer(ctx).Select("id", "status").Where("id = ?", id).Take(&e)); err != nil {
		return false, err
	}
	if e.Status.Final() {
		return false, ErrFinal
	}
	return false, nil
}

// SetCommit records the source that an execution builds. Where a commit is known, only members that are not empty
// replace it.
func (s *Store) SetCommit(ctx context.Context, id string, c Commit) error {
	c = c.Cut(MaxCommitMessage)
	return s.Tx(ctx, func(tx *Store) error {
		var e Execution
		if err := one(tx.writer(ctx).Where("id = ?", id).Take(&e)); err != nil {
			return err
		}
		if e.Commit != nil {
			for _, m := range []struct{ to, from *string }{{&c.Revision, &e.Commit.Revision}, {&c.Branch, &e.Commit.Branch}, {&c.Message, &e.Commit.Message}, {&c.Author, &e.Commit.Author}} {
				if *m.to == "" {
					*m.to = *m.from
				}
			}
		}
		return tx.writer(ctx).Model(&Execution{ID: id}).Select("Commit").Updates(&Execution{Commit: &c}).Error
	})
}

// TakeUnchecked gives open executions that nobody has looked at since before, and marks them as looked at, so that
// several reconcilers share the work.
func (s *Store) TakeUnchecked(ctx context.Context, before time.Time, limit int) ([]Execution, error) {
	var list []Execution
	err := s.writer(ctx).Raw(s.takeUncheckedSQL(), s.Now(), before, limit).Scan(&list).Error
	return list, err
}

// clip makes a text for people storable, since it may quote what is no text, and cuts it at n bytes, at a character's edge.
func clip(t string, n int) string {
	t = clean(t)
	if len(t) <= n {
		return t
	}
	for n > 0 && t[n]&0xC0 == 0x80 {
		n--
	}
	return t[:n] + "…"
}
