package models

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Encrypter keeps values at rest unreadable without the installation's key. The associated data binds a ciphertext to
// the place it was written for (table, column, row), so that one cannot be moved to another row and read there.
type Encrypter interface {
	Encrypt(plain []byte, associated string) ([]byte, error)
	Decrypt(cipher []byte, associated string) ([]byte, error)
}

// ErrNoKey says that a secret was to be stored or read by a Store without an Encrypter: storing it in the clear instead
// would never be noticed.
var ErrNoKey = errors.New("no encryption key is configured")

// UseEncrypter sets what encrypts secrets and deployment state. Call it once, before the Store is used.
func (s *Store) UseEncrypter(e Encrypter) { s.secrets = e }

// place names the row and column that a ciphertext belongs to.
func place(table, column, id string) string { return table + "/" + column + "/" + id }

// seal encrypts a value; an empty one stays empty.
func (s *Store) seal(plain []byte, at string) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	if s.secrets == nil {
		return nil, ErrNoKey
	}
	b, err := s.secrets.Encrypt(plain, at)
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", at, err)
	}
	return b, nil
}

// unseal is the reverse of seal.
func (s *Store) unseal(cipher []byte, at string) ([]byte, error) {
	if len(cipher) == 0 {
		return nil, nil
	}
	if s.secrets == nil {
		return nil, ErrNoKey
	}
	b, err := s.secrets.Decrypt(cipher, at)
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", at, err)
	}
	return b, nil
}

func (s *Store) sealJSON(v any, at string) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.seal(b, at)
}

// unsealJSON leaves v alone where nothing is stored.
func (s *Store) unsealJSON(cipher []byte, at string, v any) error {
	b, err := s.unseal(cipher, at)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	return nil
}
