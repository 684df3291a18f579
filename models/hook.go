package models

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// sealedHooks marks hooks that are encrypted: their addresses and secrets are credentials. Hooks that were written by
// earlier versions are JSON, which begins with a brace, and are sealed when they are written next.
const sealedHooks = "sealed:"

func (s *Store) sealHooks(table, id, hooks string) (string, error) {
	if hooks == "" {
		return "", nil
	}
	b, err := s.seal([]byte(hooks), place(table, "hooks", id))
	return sealedHooks + base64.StdEncoding.EncodeToString(b), err
}

// openHooks replaces sealed hooks with their JSON.
func (s *Store) openHooks(table, id string, hooks *string) error {
	text, ok := strings.CutPrefix(*hooks, sealedHooks)
	if !ok {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("read the hooks of %s %s: %w", table, id, err)
	}
	if b, err = s.unseal(b, place(table, "hooks", id)); err != nil {
		return err
	}
	*hooks = string(b)
	return nil
}

func (s *Store) openApplicationHooks(list []Application) error {
	for i := range list {
		if err := s.openHooks("applications", list[i].ID, &list[i].Hooks); err != nil {
			return err
		}
	}
	return nil
}
