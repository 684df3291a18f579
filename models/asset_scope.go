package models

import "context"

// OrganizationsBelow gives the ids of an organization and of all that are below it: those whose assets it sees.
func (s *Store) OrganizationsBelow(ctx context.Context, id string) ([]string, error) {
	if !storable(id) {
		return nil, nil
	}
	var list []string
	err := s.reader(ctx).Raw(s.below()+" ORDER BY id", ids([]string{id})).Scan(&list).Error
	return list, err
}
