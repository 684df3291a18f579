package models

import "context"

// WipeInventory removes every namespace with all that hangs on it, and forgets the unfinished uploads below a prefix of
// storage. It is for development mode. It must run in a transaction: see Tx.
func (s *Store) WipeInventory(ctx context.Context, prefix string) error {
	if err := s.writer(ctx).Exec("DELETE FROM namespaces").Error; err != nil { // the rest goes with them
		return err
	}
	// Archives of Composer packages are on record in the same table and stay.
	return s.writer(ctx).Exec("DELETE FROM package_uploads WHERE substr(package_key, 1, ?) = ?", len(prefix), prefix).Error
}
