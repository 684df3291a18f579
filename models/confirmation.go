package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"gorm.io/gorm/clause"
)

// The states of a confirmation. The last four are final.
const (
	ConfirmationPending     = "pending"
	ConfirmationApproved    = "approved"
	ConfirmationDisapproved = "disapproved"
	ConfirmationTimedOut    = "timed out"
	ConfirmationEnded       = "ended" // the execution, or the step alone, ended before anybody decided
)

// Confirmation is the decision that a pipeline's step waits for. It is one row that changes once.
type Confirmation struct {
	ID          string `gorm:"primaryKey"`
	ExecutionID string
	Phase, Step int
	// CodeHash finds the row by the code of its link; CodeSealed is the encrypted code, for those who may see the link.
	CodeHash   string
	CodeSealed []byte
	// User and Team, where set, are who may decide; otherwise whoever may write in the project.
	User, Team    string
	Status        string
	DecidedByKind string
	DecidedByID   string
	DecidedByName string
	DecidedAt     *time.Time
	// ExpiresAt is when it times out; nil is never.
	ExpiresAt *time.Time
	// Approvals is how many different people must approve, ApprovedCount how many have.
	Approvals, ApprovedCount int
	// FourEyes keeps whoever triggered the execution from deciding; see StartersOf.
	FourEyes bool
	// RemindSeconds is how long after its beginning, and after each reminder, people are reminded; 0 is never.
	RemindSeconds int64
	RemindAt      *time.Time
	Reminders     int
	SignalledAt   *time.Time
	CreatedAt     time.Time
}

// HashCode gives what is stored of a confirmation's code.
func HashCode(code string) string {
	h := sha256.Sum256([]byte(code))
	return hex.EncodeToString(h[:])
}

// PrepareConfirmation makes a confirmation what it will be when it is opened, for those who must say so before. Under four
// eyes it takes two approvals at least where it is not known which person set the execution off, unless one named person alone
// may decide.
func (s *Store) PrepareConfirmation(ctx context.Context, c *Confirmation) error {
	if c.ID == "" {
		c.ID = NewID()
	}
	c.Approvals = max(c.Approvals, 1)
	c.Status, c.CreatedAt = ConfirmationPending, s.Now()
	return s.twoPeople(ctx, c)
}

// OpenConfirmation records that a step waits for a decision, prepared or not. Where the place has one already, that is given
// back: the workflow's activity may be repeated.
func (s *Store) OpenConfirmation(ctx context.Context, c Confirmation) (*Confirmation, error) {
	if c.Status == "" {
		if err := s.PrepareConfirmation(ctx, &c); err != nil {
			return nil, err
		}
	}
	insert := s.writer(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "execution_id"}, {Name: "phase"}, {Name: "step"}}, DoNothing: true}).Create(&c)
	if insert.Error != nil || insert.RowsAffected == 1 {
		return &c, insert.Error
	}
	return take[Confirmation](s.writer(ctx).Where("execution_id = ? AND phase = ? AND step = ?", c.ExecutionID, c.Phase, c.Step))
}

// ConfirmationByCode finds a confirmation by the code in its link.
func (s *Store) ConfirmationByCode(ctx context.Context, executionID, code string) (*Confirmation, error) {
	return take[Confirmation](s.reader(ctx).Where("code_hash = ? AND execution_id = ?", HashCode(code), executionID))
}

// ConfirmationByID finds a confirmation.
func (s *Store) ConfirmationByID(ctx context.Context, id string) (*Confirmation, error) {
	return take[Confirmation](s.reader(ctx).Where("id = ?", id))
}

// ConfirmationsOf lists the confirmations of an execution.
func (s *Store) ConfirmationsOf(ctx context.Context, executionID string) ([]Confirmation, error) {
	var list []Confirmation
	err := s.reader(ctx).Where("execution_id = ?", executionID).Order("phase, step").Find(&list).Error
	return list, err
}

// DecideConfirmation writes the decision, once: ErrConflict says that it was made before, or that the execution ended.
// It runs in the caller's transaction, beside the audit line.
func (s *Store) DecideConfirmation(ctx context.Context, id, status, byKind, byID, byName string) error {
	return changed(s.writer(ctx).Model(&Confirmation{}).Where("id = ? AND status = ?", id, ConfirmationPending).
		Updates(map[string]any{"status": status, "decided_by_kind": byKind, "decided_by_id": byID, "decided_by_name": byName, "decided_at": s.Now()}))
}

// ConfirmationSignalled records that the workflow has been told.
func (s *Store) ConfirmationSignalled(ctx context.Context, id string) error {
	return s.writer(ctx).Model(&Confirmation{}).Where("id = ? AND signalled_at IS NULL", id).Update("signalled_at", s.Now()).Error
}

// ConfirmationsUnsignalled gives decisions, made before the time given, that their workflow has not been told of.
func (s *Store) ConfirmationsUnsignalled(ctx context.Context, before time.Time) ([]Confirmation, error) {
	var list []Confirmation
	err := s.reader(ctx).Where("decided_at < ? AND signalled_at IS NULL", before).Limit(200).Find(&list).Error
	return list, err
}
