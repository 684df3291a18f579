package models

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm/clause"

	"slipway/internal/problem"
	"slipway/policies"
)

// Kinds of subjects that rows speak of. Users, service accounts and teams can have grants.
const (
	SubjectUser           = policies.KindUser
	SubjectServiceAccount = policies.KindServiceAccount
	SubjectRun            = policies.KindRun
	SubjectTeam           = "team"
)

// Kinds of scopes that roles are granted on.
const (
	ScopeOrganization = "organization"
	ScopeProject      = "project"
)

// Grant gives a subject a role on an organization or a project and everything below it.
type Grant struct {
	ID                     string
	SubjectKind, SubjectID string
	ScopeKind, ScopeID     string
	Role                   string
	CreatedAt              time.Time
}

// AddGrant gives a subject a role on a scope and sets the grant's id and time. A subject has one role on a scope: a
// second grant replaces the first.
func (s *Store) AddGrant(ctx context.Context, g *Grant) error {
	if !slices.Contains([]string{SubjectUser, SubjectServiceAccount, SubjectTeam}, g.SubjectKind) {
		return problem.BadField("subject", "expected a user, a service account or a team")
	}
	if g.ScopeKind != ScopeOrganization && g.ScopeKind != ScopeProject {
		return problem.BadField("scope", "expected an organization or a project")
	}
	if !slices.Contains(policies.GrantableRoles, g.Role) {
		return problem.BadField("role", "expected read, write or owner")
	}
	g.ID, g.CreatedAt = NewID(), s.Now()
	conflict := clause.OnConflict{
		Columns:   []clause.Column{{Name: "subject_kind"}, {Name: "subject_id"}, {Name: "scope_kind"}, {Name: "scope_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"role", "created_at"}),
	}
	return s.commitIdentity(created(s.writer(ctx).Clauses(conflict).Create(g)))
}

// RemoveGrant takes a subject's role on a scope away. ErrNotFound where it has none.
func (s *Store) RemoveGrant(ctx context.Context, subjectKind, subjectID, scopeKind, scopeID string) error {
	q := s.writer(ctx).Where("subject_kind = ? AND subject_id = ? AND scope_kind = ? AND scope_id = ?", subjectKind, subjectID, scopeKind, scopeID)
	return s.commitIdentity(found(q.Delete(&Grant{})))
}

// GrantsOf gives the roles that a subject has: its own and, for a user, its teams'. The same scope may come twice.
func (s *Store) GrantsOf(ctx context.Context, subjectKind, subjectID string) ([]policies.Grant, error) {
	var grants []policies.Grant
	err := s.reader(ctx).Raw(`SELECT scope_id AS scope, role FROM grants WHERE subject_kind = ? AND subject_id = ?
		UNION SELECT scope_id, role FROM grants WHERE subject_kind = 'team' AND ? = 'user'
			AND subject_id IN (SELECT team_id FROM team_members WHERE user_id = ?)
		ORDER BY scope, role`, subjectKind, subjectID, subjectKind, subjectID).Scan(&grants).Error
	return grants, err
}

// NamedGrant is a grant with the names of its subject and its scope, for people.
type NamedGrant struct {
	Grant
	SubjectName string
	ScopeName   string
}

// GrantFilter selects grants; empty members select all.
type GrantFilter struct {
	SubjectKind, SubjectID string
	ScopeKind, ScopeID     string
}

// ListGrants gives grants with names, sorted by scope and subject. Grants of or on something that is gone are left out.
func (s *Store) ListGrants(ctx context.Context, f GrantFilter) ([]NamedGrant, error) {
	q := s.reader(ctx).Table("grants g").
		Select("g.*, COALESCE(u.name, a.name, t.name) AS subject_name, COALESCE(p.name, o.canonical) AS scope_name").
		Joins("LEFT JOIN users u ON g.subject_kind = 'user' AND u.id = g.subject_id").
		Joins("LEFT JOIN service_accounts a ON g.subject_kind = 'service_account' AND a.id = g.subject_id").
		Joins("LEFT JOIN teams t ON g.subject_kind = 'team' AND t.id = g.subject_id").
		Joins("LEFT JOIN projects p ON g.scope_kind = 'project' AND p.id = g.scope_id").
		Joins("LEFT JOIN organizations o ON g.scope_kind = 'organization' AND o.id = g.scope_id").
		Where("COALESCE(u.name, a.name, t.name) IS NOT NULL AND COALESCE(p.name, o.canonical) IS NOT NULL")
	for _, c := range [][2]string{{"g.subject_kind", f.SubjectKind}, {"g.subject_id", f.SubjectID}, {"g.scope_kind", f.ScopeKind}, {"g.scope_id", f.ScopeID}} {
		if c[1] != "" {
			q = q.Where(c[0]+" = ?", c[1])
		}
	}
	var list []NamedGrant
	err := q.Order("g.scope_kind, scope_name, g.subject_kind, subject_name").Scan(&list).Error
	return list, err
}

// Subject makes the subject of a user or a service account, with its grants and without a token's limits. ErrNotFound
// where there is none, or where it is disabled.
func (s *Store) Subject(ctx context.Context, kind, id string) (policies.Subject, error) {
	subject := policies.Subject{Kind: kind, ID: id}
	switch kind {
	case SubjectUser:
		u, err := s.UserByID(ctx, id)
		if err != nil {
			return policies.Subject{}, err
		}
		if u.Disabled {
			return policies.Subject{}, ErrNotFound
		}
		subject.Name, subject.Admin = u.Name, u.Admin
	case SubjectServiceAccount:
		a, err := s.ServiceAccountByID(ctx, id)
		if err != nil {
			return policies.Subject{}, err
		}
		if a.Disabled {
			return policies.Subject{}, ErrNotFound
		}
		subject.Name = a.Name
	default:
		return policies.Subject{}, ErrNotFound
	}
	var err error
	subject.Grants, err = s.GrantsOf(ctx, kind, id)
	return subject, err
}
