package models

import "context"

// MailRecipients gives users with an address and one of the roles on one of the scopes, by a grant of their own or of a
// team of theirs, sorted by name; limit at most. Disabled users are left out, and administrators, who may do everything
// and want to hear of little.
func (s *Store) MailRecipients(ctx context.Context, scopes, roles []string, limit int) ([]User, error) {
	return all[User](s.reader(ctx).Where(`email <> '' AND NOT disabled AND (
		id IN (SELECT subject_id FROM grants WHERE subject_kind = 'user' AND scope_id IN ? AND role IN ?)
		OR id IN (SELECT m.user_id FROM team_members m JOIN grants g ON g.subject_kind = 'team' AND g.subject_id = m.team_id WHERE g.scope_id IN ? AND g.role IN ?))`,
		scopes, roles, scopes, roles).Order("name").Limit(limit))
}
