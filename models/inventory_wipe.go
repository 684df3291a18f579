package models

import "context"

// WipeInventory removes every namespace with all that hangs on it, and forgets unfinished uploads. It is for development
// mode. It must run in a transaction: see Tx.
func (s *Store) WipeInventory(ctx context.Context) error {
	// The rest goes with the namespaces.
	for _, table := range []string{"namespaces", "package_uploads"} {
		if err := s.writer(ctx).Exec("DELETE FROM " + table).Error; err != nil {
			return err
		}
	}
	return nil
}
