package models

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
)

// ErrCancelling says that an execution has been asked to end.
var ErrCancelling = errors.New("the execution is being cancelled")

// ErrVoted says that a person has approved already.
var ErrVoted = errors.New("this person has approved already")

// MaxReminders is how often people are reminded of one confirmation.
const MaxReminders = 100

// ConfirmationVote is one person's word on a confirmation.
type ConfirmationVote struct {
	ConfirmationID string `gorm:"primaryKey"`
	// Voter is the person's kind and id.
	Voter     string `gorm:"primaryKey"`
	Decision  string `gorm:"primaryKey"` // approved or disapproved
	VoterKind string
	VoterID   string
	VoterName string
	CreatedAt time.Time
}

// VoteConfirmation records a person's word and, where it decides, the decision: the last approval that it takes, or any
// disapproval. ErrConflict says that the confirmation is not open any more, ErrCancelling that its execution was cancelled
// after it was opened, ErrVoted that this person has approved. It runs in the caller's transaction, beside the audit line,
// and gives the confirmation as it is then.
func (s *Store) VoteConfirmation(ctx context.Context, id string, approve bool, byKind, byID, byName string) (*Confirmation, error) {
	// The row is locked by a change that changes nothing: two that vote at once follow each other, on both databases.
	if err := changed(s.writer(ctx).Model(&Confirmation{}).Where("id = ? AND status = ? AND (expires_at IS NULL OR expires_at > ?)", id, ConfirmationPending, s.Now()).
		Update("status", ConfirmationPending)); err != nil {
		return nil, err
	}
	switch cancelled, err := s.cancelledSince(s.writer(ctx), id); {
	case err != nil:
		return nil, err
	case cancelled:
		return nil, ErrCancelling
	}
	vote := ConfirmationVote{ConfirmationID: id, Voter: byKind + ":" + byID, Decision: ConfirmationApproved, VoterKind: byKind, VoterID: byID, VoterName: clean(byName), CreatedAt: s.Now()}
	if !approve {
		vote.Decision = ConfirmationDisapproved
	}
	if err := created(s.writer(ctx).Create(&vote)); err != nil {
		if errors.Is(err, ErrExists) {
			err = ErrVoted
		}
		return nil, err
	}
	var c Confirmation
	if err := one(s.writer(ctx).Where("id = ?", id).Take(&c)); err != nil {
		return nil, err
	}
	if approve {
		c.ApprovedCount++
		if err := s.writer(ctx).Model(&Confirmation{}).Where("id = ?", id).Update("approved_count", c.ApprovedCount).Error; err != nil {
			return nil, err
		}
		if c.ApprovedCount < c.Approvals {
			return &c, nil
		}
		if c.Approvals > 1 {
			votes, err := s.votes(s.writer(ctx), id)
			if err != nil {
				return nil, err
			}
			var names []string
			for _, v := range votes {
				names = append(names, v.VoterName)
			}
			byName = strings.Join(names, ", ")
		}
	}
	c.Status, c.DecidedByKind, c.DecidedByID, c.DecidedByName = vote.Decision, byKind, byID, shorten(byName, 200)
	c.DecidedAt = &vote.CreatedAt
	return &c, s.DecideConfirmation(ctx, id, c.Status, byKind, byID, c.DecidedByName)
}

// ConfirmationCancelled says whether the execution of a confirmation was cancelled after that was opened.
func (s *Store) ConfirmationCancelled(ctx context.Context, id string) (bool, error) {
	return s.cancelledSince(s.reader(ctx), id)
}

// cancelledSince is ConfirmationCancelled. What a phase that cleans up asks after the cancellation is still decided.
func (s *Store) cancelledSince(db *gorm.DB, id string) (bool, error) {
	var n int64
	err := db.Raw(`SELECT COUNT(*) FROM confirmations c JOIN executions e ON e.id = c.execution_id
		WHERE c.id = ? AND e.cancel_requested_at IS NOT NULL AND e.cancel_requested_at >= c.created_at`, id).Scan(&n).Error
	return n > 0, err
}

// notCancelledSQL is a condition on rows of confirmations: their execution was not cancelled after they were opened.
const notCancelledSQL = `NOT EXISTS (SELECT 1 FROM executions x WHERE x.id = confirmations.execution_id AND x.cancel_requested_at IS NOT NULL AND x.cancel_requested_at >= confirmations.created_at)`

func (s *Store) votes(db *gorm.DB, id string) ([]ConfirmationVote, error) {
	return all[ConfirmationVote](db.Where("confirmation_id = ?", id).Order("created_at, voter"))
}

// VotesOf gives the votes on a confirmation, oldest first.
func (s *Store) VotesOf(ctx context.Context, confirmationID string) ([]ConfirmationVote, error) {
	return s.votes(s.reader(ctx), confirmationID)
}

// VotesIn gives the votes on all confirmations of an execution, by confirmation, in one query.
func (s *Store) VotesIn(ctx context.Context, executionID string) (map[string][]ConfirmationVote, error) {
	list, err := all[ConfirmationVote](s.reader(ctx).Where("confirmation_id IN (SELECT id FROM confirmations WHERE execution_id = ?)", executionID).Order("created_at, voter"))
	of := map[string][]ConfirmationVote{}
	for _, v := range list {
		of[v.ConfirmationID] = append(of[v.ConfirmationID], v)
	}
	return of, err
}

// ExpireConfirmation ends a confirmation whose time is over and that nobody decided; false where there was nothing to end.
func (s *Store) ExpireConfirmation(ctx context.Context, id string) (bool, error) {
	err := changed(s.writer(ctx).Model(&Confirmation{}).Where("id = ? AND status = ? AND expires_at <= ?", id, ConfirmationPending, s.Now()).
		Updates(map[string]any{"status": ConfirmationTimedOut, "decided_at": s.Now()}))
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// ConfirmationsToExpire gives open confirmations whose time was over before a moment.
func (s *Store) ConfirmationsToExpire(ctx context.Context, before time.Time, limit int) ([]Confirmation, error) {
	return all[Confirmation](s.reader(ctx).Where("status = ? AND expires_at IS NOT NULL AND expires_at <= ?", ConfirmationPending, before).Order("expires_at").Limit(limit))
}

// ConfirmationsToRemind gives open confirmations whose people are to be reminded, and whose execution nobody has cancelled.
func (s *Store) ConfirmationsToRemind(ctx context.Context, limit int) ([]Confirmation, error) {
	return all[Confirmation](s.reader(ctx).Where("status = ? AND remind_at IS NOT NULL AND remind_at <= ? AND (expires_at IS NULL OR expires_at > ?)", ConfirmationPending, s.Now(), s.Now()).
		Where(notCancelledSQL).
		Order("remind_at").Limit(limit))
}

// ConfirmationReminded records that a reminder went out, and when the next one does: none after MaxReminders.
func (s *Store) ConfirmationReminded(ctx context.Context, c *Confirmation) error {
	var next *time.Time
	if c.Reminders+1 < MaxReminders {
		at := s.Now().Add(time.Duration(c.RemindSeconds) * time.Second)
		next = &at
	}
	return s.writer(ctx).Model(&Confirmation{}).Where("id = ? AND status = ? AND reminders = ?", c.ID, ConfirmationPending, c.Reminders).
		Updates(map[string]any{"reminders": c.Reminders + 1, "remind_at": next}).Error
}
