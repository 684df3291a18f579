package models

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"slipway/internal/problem"
	"slipway/policies"
)

// TokenPrefix starts every token, so that people and secret scanners recognize one.
const TokenPrefix = "slw_"

// What tokens are for.
const (
	TokenAPI     = "api"     // made by or for somebody, until it expires or is revoked
	TokenSession = "session" // made by a login
)

// maxTokenUseGap is how exact a token's time of last use is.
const maxTokenUseGap = time.Minute

// Token is a credential. The secret itself is not kept: only its SHA-256, which needs no salt and no slow hash, since the
// secret has 256 random bits.
type Token struct {
	ID      string
	Hash    string `json:"-"` // hex of SHA-256 over the whole secret
	Hint    string // the secret's last characters, so that its owner can tell his tokens apart
	Purpose string
	// SubjectKind and SubjectID say who the token acts for.
	SubjectKind, SubjectID string
	Name                   string
	// Role and Scopes limit the token; see policies.Token.
	Role        string
	Scopes      []string `gorm:"serializer:json"`
	ExecutionID string
	CreatedAt   time.Time
	ExpiresAt   *time.Time
	RevokedAt   *time.Time
	LastUsedAt  *time.Time // at most a minute old
}

// Live says whether the token may be used at a time.
func (t *Token) Live(now time.Time) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || now.Before(*t.ExpiresAt))
}

// HashToken gives what is stored of a token's secret.
func HashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// CreateToken makes a token for a subject and returns its secret, which can not be had again. Purpose defaults to
// TokenAPI; ExpiresAt nil means never.
func (s *Store) CreateToken(ctx context.Context, t *Token) (string, error) {
	if t.Role != "" && policies.Rank(t.Role) == 0 {
		return "", problem.BadField("role", "expected read, write, owner or admin, or nothing for no limit")
	}
	if err := checkText("name", t.Name, 200); err != nil {
		return "", err
	}
	if t.ExpiresAt != nil && !s.Now().Before(*t.ExpiresAt) {
		return "", problem.BadField("expires_at", "is in the past")
	}
	if t.Purpose == "" {
		t.Purpose = TokenAPI
	}
	if t.Scopes == nil {
		t.Scopes = []string{} // nil would be stored as NULL
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails: the runtime ends the process instead
	secret := TokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	t.ID, t.CreatedAt = NewID(), s.Now()
	t.Hash, t.Hint = HashToken(secret), secret[len(secret)-7:]
	if err := created(s.writer(ctx).Create(t)); err != nil {
		return "", err
	}
	return secret, nil
}

// TokenByHash finds a token by HashToken of its secret, whether it is live or not.
func (s *Store) TokenByHash(ctx context.Context, hash string) (*Token, error) {
	return s.token(ctx, "hash = ?", hash)
}

// SubjectOfToken gives whom a token stands for, with the token's limits. ErrNotFound where there is no such token, where it
// has ended, and where its account is disabled.
func (s *Store) SubjectOfToken(ctx context.Context, secret string) (policies.Subject, error) {
	if !LooksLikeToken(secret) {
		return policies.Subject{}, ErrNotFound
	}
	t, err := s.TokenByHash(ctx, HashToken(secret))
	if err != nil {
		return policies.Subject{}, err
	}
	if !t.Live(s.Now()) {
		return policies.Subject{}, ErrNotFound
	}
	subject, err := s.Subject(ctx, t.SubjectKind, t.SubjectID)
	if err != nil {
		return policies.Subject{}, err
	}
	subject.Token = policies.Token{ID: t.ID, Role: t.Role, Scopes: t.Scopes}
	return subject.Prepare(), nil
}

// TokenByID finds a token, whether it is live or not.
func (s *Store) TokenByID(ctx context.Context, id string) (*Token, error) {
	return s.token(ctx, "id = ?", id)
}

func (s *Store) token(ctx context.Context, where, key string) (*Token, error) {
	if !storable(key) {
		return nil, ErrNotFound
	}
	return take[Token](s.reader(ctx).Where(where, key))
}

// ListTokens gives a subject's tokens of one purpose, newest first, ended ones included.
func (s *Store) ListTokens(ctx context.Context, subjectKind, subjectID, purpose string) ([]Token, error) {
	q := s.reader(ctx).Where("subject_kind = ? AND subject_id = ? AND purpose = ?", subjectKind, subjectID, purpose)
	return all[Token](q.Order("id DESC"))
}

// RevokeToken ends a token. ErrNotFound where there is none; ending it twice is fine.
func (s *Store) RevokeToken(ctx context.Context, id string) error {
	if _, err := s.TokenByID(ctx, id); err != nil {
		return err
	}
	return s.revoke(ctx, "id = ?", id)
}

// EndSessions ends every login of a subject: "log out everywhere".
func (s *Store) EndSessions(ctx context.Context, subjectKind, subjectID string) error {
	return s.revoke(ctx, "subject_kind = ? AND subject_id = ? AND purpose = ?", subjectKind, subjectID, TokenSession)
}

func (s *Store) revoke(ctx context.Context, where string, args ...any) error {
	return s.commitIdentity(s.endTokens(ctx, where, args...))
}

func (s *Store) endTokens(ctx context.Context, where string, args ...any) error {
	return s.writer(ctx).Model(&Token{}).Where(where, args...).Where("revoked_at IS NULL").Update("revoked_at", s.Now()).Error
}

// TouchToken notes that a token was used, at most once a minute: a write for every request would be the most expensive
// part of it.
func (s *Store) TouchToken(ctx context.Context, t *Token) error {
	now := s.Now()
	if t.LastUsedAt != nil && now.Sub(*t.LastUsedAt) < maxTokenUseGap {
		return nil
	}
	return s.writer(ctx).Model(&Token{}).Where("id = ? AND (last_used_at IS NULL OR last_used_at <= ?)", t.ID, now.Add(-maxTokenUseGap)).
		Update("last_used_at", now).Error
}

// DeleteEndedTokens removes tokens that ended before a time, so that sessions and runs do not pile up.
func (s *Store) DeleteEndedTokens(ctx context.Context, before time.Time) (int64, error) {
	q := s.writer(ctx).Where("expires_at < ? OR revoked_at < ?", before, before).Delete(&Token{})
	return q.RowsAffected, q.Error
}

// LooksLikeToken says whether a password is a token in a password's place, as some clients send it.
func LooksLikeToken(secret string) bool { return strings.HasPrefix(secret, TokenPrefix) }
