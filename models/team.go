package models

import (
	"context"
	"time"
)

// Team is a group of users of an organization. Its grants are its members'.
type Team struct {
	ID             string
	OrganizationID string
	Name           string // unique in the organization
	Description    string
	CreatedAt      time.Time
}

// TeamMember says that a user is in a team.
type TeamMember struct {
	TeamID    string `gorm:"primaryKey"`
	UserID    string `gorm:"primaryKey"`
	CreatedAt time.Time
}

// CreateTeam adds a team and sets its id and time. ErrExists where the name is taken in the organization.
func (s *Store) CreateTeam(ctx context.Context, t *Team) error {
	if err := checkName("a team", t.Name, teamPattern); err != nil {
		return err
	}
	if err := checkText("description", t.Description, 64<<10); err != nil {
		return err
	}
	t.ID, t.CreatedAt = NewID(), s.Now()
	return s.commitIdentity(created(s.writer(ctx).Create(t)))
}

// TeamByName finds a team of an organization.
func (s *Store) TeamByName(ctx context.Context, organizationID, name string) (*Team, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	return take[Team](s.reader(ctx).Where("organization_id = ? AND name = ?", organizationID, name))
}

// ListTeams gives the teams of an organization, sorted by name.
func (s *Store) ListTeams(ctx context.Context, organizationID string) ([]Team, error) {
	return all[Team](s.reader(ctx).Where("organization_id = ?", organizationID).Order("name"))
}

// DeleteTeam removes a team with its grants and memberships. Service accounts that it owned stay, without a team.
func (s *Store) DeleteTeam(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.deleteSubject(ctx, SubjectTeam, id); err != nil {
			return err
		}
		return tx.commitIdentity(found(tx.writer(ctx).Where("id = ?", id).Delete(&Team{})))
	})
}

// AddTeamMember puts a user into a team. ErrExists where he is in it already.
func (s *Store) AddTeamMember(ctx context.Context, teamID, userID string) error {
	return s.commitIdentity(created(s.writer(ctx).Create(&TeamMember{TeamID: teamID, UserID: userID, CreatedAt: s.Now()})))
}

// RemoveTeamMember takes a user out of a team. ErrNotFound where he is not in it.
func (s *Store) RemoveTeamMember(ctx context.Context, teamID, userID string) error {
	return s.commitIdentity(found(s.writer(ctx).Where("team_id = ? AND user_id = ?", teamID, userID).Delete(&TeamMember{})))
}

// TeamMembers gives the users in a team, sorted by name.
func (s *Store) TeamMembers(ctx context.Context, teamID string) ([]User, error) {
	return all[User](s.reader(ctx).Where("id IN (SELECT user_id FROM team_members WHERE team_id = ?)", teamID).Order("name"))
}

// TeamsOf gives the teams that a user is in, sorted by name.
func (s *Store) TeamsOf(ctx context.Context, userID string) ([]Team, error) {
	return all[Team](s.reader(ctx).Where("id IN (SELECT team_id FROM team_members WHERE user_id = ?)", userID).Order("name"))
}
