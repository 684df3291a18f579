package models

import "context"

// ProjectServiceAccount is a service account with its role in a project.
type ProjectServiceAccount struct {
	Name, Team, Role string
}

// ServiceAccountsOfProject lists the service accounts that have a role in the project itself, by name; roles inherited
// from an organization are not the project's to show.
func (s *Store) ServiceAccountsOfProject(ctx context.Context, projectID string) ([]ProjectServiceAccount, error) {
	var list []ProjectServiceAccount
	err := s.reader(ctx).Raw(`SELECT a.name, COALESCE(t.name, '') AS team, g.role FROM grants g
		JOIN service_accounts a ON a.id = g.subject_id LEFT JOIN teams t ON t.id = a.team_id
		WHERE g.subject_kind = ? AND g.scope_kind = ? AND g.scope_id = ? ORDER BY a.name`, SubjectServiceAccount, ScopeProject, projectID).Scan(&list).Error
	return list, err
}
