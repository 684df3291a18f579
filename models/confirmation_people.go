package models

import (
	"context"
	"errors"

	"slipway/policies"
)

// NamedDeciders are the people whom a confirmation names, disabled ones too.
type NamedDeciders struct {
	// User is nil where there is no such user, and Team where there is no such team.
	User *User
	Team *Team
	// Members are those of the team, sorted by name.
	Members []User
}

// People are all of them: the user first, then the members of the team, each once.
func (n NamedDeciders) People() []User {
	var people []User
	if n.User != nil {
		people = append(people, *n.User)
	}
	for _, u := range n.Members {
		if n.User == nil || u.ID != n.User.ID {
			people = append(people, u)
		}
	}
	return people
}

// NamedDeciders finds the people behind the names of a user and a team, as they are now; "" is nobody.
func (s *Store) NamedDeciders(ctx context.Context, user, team string) (NamedDeciders, error) {
	var out NamedDeciders
	if user != "" {
		u, err := s.UserByName(ctx, user)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return out, err
		}
		if err == nil {
			out.User = u
		}
	}
	if team == "" {
		return out, nil
	}
	organization, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
	if err != nil {
		return out, err
	}
	t, err := s.TeamByName(ctx, organization.ID, team)
	if errors.Is(err, ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Team = t
	out.Members, err = s.TeamMembers(ctx, t.ID)
	return out, err
}

// Writers gives users who may write in one of the scopes by a role of their own or of a team of theirs, and administrators,
// sorted by name; limit at most. Disabled users are left out.
func (s *Store) Writers(ctx context.Context, scopes []string, limit int) ([]User, error) {
	roles := []string{policies.RoleWrite, policies.RoleOwner}
	return all[User](s.reader(ctx).Where(`NOT disabled AND (admin OR id IN (SELECT subject_id FROM grants WHERE subject_kind = 'user' AND scope_id IN ? AND role IN ?)
		OR id IN (SELECT m.user_id FROM team_members m JOIN grants g ON g.subject_kind = 'team' AND g.subject_id = m.team_id WHERE g.scope_id IN ? AND g.role IN ?))`,
		scopes, roles, scopes, roles).Order("name").Limit(limit))
}
