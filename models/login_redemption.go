package models

import (
	"context"
	"time"
)

// LoginRedemption is a login that was made in a browser and that a client on the command line will fetch with a key of
// its own. Whoever has the key gets a token of the one who logged in, once.
type LoginRedemption struct {
	// Hash of the key: see HashToken.
	Hash                   string `gorm:"primaryKey"`
	SubjectKind, SubjectID string
	// Role and Scopes limit the token, as they limit the credential that was used in the browser.
	Role   string
	Scopes []string `gorm:"serializer:json"`
	// TokenExpiresAt is when the token will expire: no later than the login itself.
	TokenExpiresAt time.Time
	ExpiresAt      time.Time
}

// TableName names the table.
func (LoginRedemption) TableName() string { return "login_redemptions" }

// CreateLoginRedemption keeps a login until it is fetched or expires, and forgets those that have expired. ErrExists if
// the key was used already.
func (s *Store) CreateLoginRedemption(ctx context.Context, r *LoginRedemption) error {
	if r.Scopes == nil {
		r.Scopes = []string{}
	}
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.writer(ctx).Where("expires_at < ?", tx.Now()).Delete(&LoginRedemption{}).Error; err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(r))
	})
}

// TakeLoginRedemption gives the login of a key and forgets it. ErrNotFound if there is none, or it has expired.
func (s *Store) TakeLoginRedemption(ctx context.Context, hash string) (*LoginRedemption, error) {
	var r LoginRedemption
	if err := one(s.reader(ctx).Where("hash = ? AND expires_at > ?", hash, s.Now()).Take(&r)); err != nil {
		return nil, err
	}
	// Of two who ask at once, the one whose delete finds the row has it.
	if err := found(s.writer(ctx).Where("hash = ?", hash).Delete(&LoginRedemption{})); err != nil {
		return nil, err
	}
	return &r, nil
}
