package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/models"
)

// keyCommand replaces the keys that encrypt secrets at rest while everything runs.
func (a *admin) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Replace the keys that encrypt secrets at rest"}
	c.AddCommand(a.keyList(), a.keyAdd(), a.keyRotate(), a.keyPrune())
	return c
}

// configuredKeys opens the keyring that the configuration names.
func configuredKeys() (*keyring.Keyring, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, err
	}
	return keyring.Open(cfg.KeyPath())
}

// keyName shows a key as its eight hexadecimal digits.
func keyName(id uint32) string { return fmt.Sprintf("%08x", id) }

// sealedBy counts the values of the database by the key that they are encrypted with.
func sealedBy(ctx context.Context, s *models.Store) (map[uint32]int, error) {
	values := map[uint32]int{}
	err := s.EachSealedValue(ctx, func(v models.SealedValue) error {
		id, _ := keyring.KeyOf(v.Sealed)
		values[id]++
		return nil
	})
	return values, err
}

func (a *admin) keyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the keys, oldest first, with the number of values that each one encrypts",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			keys, err := configuredKeys()
			if err != nil {
				return err
			}
			values, err := sealedBy(ctx, s)
			if err != nil {
				return err
			}
			type row struct {
				Key     string `json:"key"`
				Primary bool   `json:"primary"`
				Values  int    `json:"values"`
			}
			list := []row{}
			var rows [][]string
			for _, id := range keys.IDs() {
				r := row{Key: keyName(id), Primary: id == keys.Primary(), Values: values[id]}
				list = append(list, r)
				use := ""
				if r.Primary {
					use = "encrypts"
				}
				rows = append(rows, []string{r.Key, use, fmt.Sprint(r.Values)})
			}
			return a.print(c, list, "KEY\tUSE\tVALUES", rows)
		}),
	}
}

func (a *admin) keyAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add",
		Short: "Add a key that encrypts nothing yet, to be copied to all machines before `key rotate`",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			keys, err := configuredKeys()
			if err != nil {
				return err
			}
			id, err := keys.Add()
			if err != nil {
				return err
			}
			a.say(c, "Added key %s. Copy the key file to every machine, then run `slipway admin key rotate`.", keyName(id))
			return a.auditKeys(ctx, s, "key:add", map[string]any{"key": keyName(id)})
		}),
	}
}

func (a *admin) keyRotate() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Encrypt with the newest key, and encrypt again what other keys encrypt; without one that was added, add one",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			keys, err := configuredKeys()
			if err != nil {
				return err
			}
			if err := keys.Rotate(); err != nil {
				return err
			}
			// The store's own keyring follows as every process does: when it meets the new key.
			s.UseEncrypter(keys)
			changed, err := sealAgain(ctx, s, keys.Primary())
			if err != nil {
				return fmt.Errorf("key %s encrypts now; %d values were encrypted again, then: %w (run `slipway admin key rotate` again)", keyName(keys.Primary()), changed, err)
			}
			a.say(c, "Key %s encrypts now; %d values were encrypted again.", keyName(keys.Primary()), changed)
			return a.auditKeys(ctx, s, "key:rotate", map[string]any{"key": keyName(keys.Primary()), "values": changed})
		}),
	}
}

// sealAgain encrypts with the primary key what others encrypt.
func sealAgain(ctx context.Context, s *models.Store, primary uint32) (changed int, err error) {
	err = s.EachSealedValue(ctx, func(v models.SealedValue) error {
		if id, ok := keyring.KeyOf(v.Sealed); ok && id == primary {
			return nil
		}
		done, err := s.SealAgain(ctx, v)
		if done {
			changed++
		}
		return err
	})
	return changed, err
}

func (a *admin) keyPrune() *cobra.Command {
	var forget bool
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove the keys that encrypt nothing any more",
		Long: `Remove all keys but the one that encrypts.

What other keys still encrypt in the database is encrypted again first. Two things cannot be: the payloads in Temporal's
histories, where SLIPWAY_TEMPORAL_ENCRYPT is set, and the inputs of errands in the snapshots of executions. Both are
read while their executions are open, or by people who look at old ones. So remove keys when the executions that began
before the rotation have ended, and say so with --forget.`,
		Args: cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			if !forget {
				return fmt.Errorf("what executions that began before the rotation keep encrypted becomes unreadable: see `slipway admin key prune --help`, and give --forget")
			}
			keys, err := configuredKeys()
			if err != nil {
				return err
			}
			s.UseEncrypter(keys)
			if _, err := sealAgain(ctx, s, keys.Primary()); err != nil {
				return err
			}
			values, err := sealedBy(ctx, s)
			if err != nil {
				return err
			}
			var gone []string
			for _, id := range keys.IDs() {
				if id == keys.Primary() {
					continue
				}
				if n := values[id]; n > 0 {
					return fmt.Errorf("key %s encrypts %d values: a process still encrypts with it; restart it, or wait a second", keyName(id), n)
				}
				gone = append(gone, keyName(id))
			}
			if len(gone) == 0 {
				a.say(c, "There is no other key than %s.", keyName(keys.Primary()))
				return nil
			}
			if err := keys.Prune(); err != nil {
				return err
			}
			a.say(c, "Removed %s.", strings.Join(gone, ", "))
			return a.auditKeys(ctx, s, "key:prune", map[string]any{"keys": gone})
		}),
	}
	c.Flags().BoolVar(&forget, "forget", false, "what only the removed keys could read may be forgotten")
	return c
}

// auditKeys writes what was done to the keys into the audit log. The key file is no part of the database, so it cannot be
// one step with the change.
func (a *admin) auditKeys(ctx context.Context, s *models.Store, action string, detail map[string]any) error {
	return a.change(ctx, s, &models.AuditEntry{Action: action, ResourceKind: "key", Detail: detail}, func(*models.Store) error { return nil })
}
