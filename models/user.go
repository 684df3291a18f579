package models

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"slipway/internal/problem"
)

// ErrLastAdmin says that a change would leave the installation without an administrator.
var ErrLastAdmin = errors.New("this is the last administrator: make another user one first")

// reservedNames are subjects that exist without a row.
var reservedNames = []string{"anonymous", "anonymous-admin"}

// User is a person.
type User struct {
	ID   string
	Name string // lower case, unique
	// Email is lower case and unique, or empty.
	Email string
	// PasswordHash is argon2id in its usual text form; empty for who logs in by token only. See internal/password.
	PasswordHash string `json:"-"`
	Admin        bool
	Disabled     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// CreateUser adds a user and sets its id and times. ErrExists where the name or the address is taken.
func (s *Store) CreateUser(ctx context.Context, u *User) error {
	u.Name, u.Email = strings.ToLower(u.Name), strings.ToLower(u.Email)
	if err := checkName("a user", u.Name, accountPattern); err != nil {
		return err
	}
	for _, r := range reservedNames {
		if u.Name == r {
			return problem.BadField("name", "'%s' is reserved", r)
		}
	}
	if err := checkText("email", u.Email, 320); err != nil {
		return err
	}
	if u.Email != "" && !strings.Contains(strings.Trim(u.Email, "@"), "@") {
		return problem.BadField("email", "expected an address with an @ in it")
	}
	u.ID = NewID()
	u.CreatedAt, u.UpdatedAt = s.Now(), s.Now()
	return s.commitIdentity(created(s.writer(ctx).Create(u)))
}

// UserByName finds a user by name, in any case of letters.
func (s *Store) UserByName(ctx context.Context, name string) (*User, error) {
	return s.user(ctx, "name = ?", strings.ToLower(name))
}

// UserByEmail finds a user by address, in any case of letters.
func (s *Store) UserByEmail(ctx context.Context, email string) (*User, error) {
	if email == "" {
		return nil, ErrNotFound
	}
	return s.user(ctx, "email = ?", strings.ToLower(email))
}

// UserByID finds a user.
func (s *Store) UserByID(ctx context.Context, id string) (*User, error) {
	return s.user(ctx, "id = ?", id)
}

func (s *Store) user(ctx context.Context, where, key string) (*User, error) {
	if !storable(key) {
		return nil, ErrNotFound
	}
	return take[User](s.reader(ctx).Where(where, key))
}

// ListUsers gives every user, sorted by name.
func (s *Store) ListUsers(ctx context.Context) ([]User, error) {
	return all[User](s.reader(ctx).Order("name"))
}

// SetPassword stores a new password hash and ends every session of the user: whoever knew the old password is out.
func (s *Store) SetPassword(ctx context.Context, userID, hash string) error {
	return s.Tx(ctx, func(tx *Store) error {
		q := tx.writer(ctx).Model(&User{}).Where("id = ?", userID).Updates(map[string]any{"password_hash": hash, "updated_at": tx.Now()})
		if err := found(q); err != nil {
			return err
		}
		return tx.EndSessions(ctx, SubjectUser, userID)
	})
}

// SetDisabled locks a user out, or in again. ErrLastAdmin where no administrator would be left.
func (s *Store) SetDisabled(ctx context.Context, userID string, disabled bool) error {
	return s.changeUser(ctx, userID, map[string]any{"disabled": disabled}, disabled)
}

// SetAdmin makes a user an administrator, or one no longer. ErrLastAdmin where none would be left.
func (s *Store) SetAdmin(ctx context.Context, userID string, admin bool) error {
	return s.changeUser(ctx, userID, map[string]any{"admin": admin}, !admin)
}

func (s *Store) changeUser(ctx context.Context, userID string, change map[string]any, loses bool) error {
	return s.Tx(ctx, func(tx *Store) error {
		if loses {
			if err := tx.keepsAdmin(ctx, userID); err != nil {
				return err
			}
		}
		change["updated_at"] = tx.Now()
		return tx.commitIdentity(found(tx.writer(ctx).Model(&User{}).Where("id = ?", userID).Updates(change)))
	})
}

// DeleteUser removes a user with tokens, grants and memberships. ErrLastAdmin where no administrator would be left.
func (s *Store) DeleteUser(ctx context.Context, userID string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.keepsAdmin(ctx, userID); err != nil {
			return err
		}
		if err := tx.deleteSubject(ctx, SubjectUser, userID); err != nil {
			return err
		}
		return tx.commitIdentity(found(tx.writer(ctx).Where("id = ?", userID).Delete(&User{})))
	})
}

// keepsAdmin makes sure that an administrator remains who is not userID. The rows are locked, because two administrators
// who disable each other at the same time would each still see the other.
func (s *Store) keepsAdmin(ctx context.Context, userID string) error {
	var admins []string
	err := s.writer(ctx).Model(&User{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("admin AND NOT disabled").Order("id").Pluck("id", &admins).Error
	if err != nil {
		return err
	}
	if len(admins) == 1 && admins[0] == userID {
		return ErrLastAdmin
	}
	return nil
}

// deleteSubject removes what hangs on a subject without a foreign key.
func (s *Store) deleteSubject(ctx context.Context, kind, id string) error {
	if err := s.writer(ctx).Where("subject_kind = ? AND subject_id = ?", kind, id).Delete(&Token{}).Error; err != nil {
		return err
	}
	return s.writer(ctx).Where("subject_kind = ? AND subject_id = ?", kind, id).Delete(&Grant{}).Error
}
