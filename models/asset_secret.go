package models

import (
	"context"
	"crypto/rand"
	"errors"
)

// AssetCursorSecret gives the 32 bytes that sign the cursors of lists, the same in all processes of an installation. The
// first call makes them.
func (s *Store) AssetCursorSecret(ctx context.Context) ([]byte, error) {
	const name = "cursors"
	at := place("asset_secrets", "value", name)
	type row struct{ Value []byte }
	read := func() ([]byte, error) {
		var r row
		if err := one(s.writer(ctx).Table("asset_secrets").Select("value").Where("name = ?", name).Take(&r)); err != nil {
			return nil, err
		}
		return s.unseal(r.Value, at)
	}
	secret, err := read()
	if !errors.Is(err, ErrNotFound) {
		return secret, err
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails: the runtime ends the process instead
	sealed, err := s.seal(fresh, at)
	if err != nil {
		return nil, err
	}
	// Another process may have been first: its value stands.
	if err := s.writer(ctx).Exec("INSERT INTO asset_secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, sealed).Error; err != nil {
		return nil, err
	}
	return read()
}
