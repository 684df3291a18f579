package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/models"
	"slipway/policies"
)

// keyCommand replaces the keys that encrypt secrets at rest while everything runs.
func (a *admin) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Replace the keys that encrypt secrets at rest"}
	c.AddCommand(a.keyList(), a.keyAdd(), a.keyRotate(), a.keyReseal(), a.keyPrune())
	return c
}

// configuredKeys opens the keyring that the configuration names.
func configuredKeys() (*config.Config, *keyring.Keyring, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, nil, err
	}
	keys, err := keyring.Open(cfg.KeyPath())
	return cfg, keys, err
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
			_, keys, err := configuredKeys()
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
				// Missing is for a key that is not in the file: what it encrypts cannot be read.
				Missing bool `json:"missing,omitempty"`
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
				delete(values, id)
			}
			for _, id := range slices.Sorted(maps.Keys(values)) {
				list = append(list, row{Key: keyName(id), Values: values[id], Missing: true})
				rows = append(rows, []string{keyName(id), "is missing", fmt.Sprint(values[id])})
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
			_, keys, err := configuredKeys()
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
			cfg, keys, err := configuredKeys()
			if err != nil {
				return err
			}
			if err := keys.Rotate(); err != nil {
				return err
			}
			// The store's own keyring follows as every process does: when it meets the new key.
			s.UseEncrypter(keys)
			if err := a.auditKeys(ctx, s, keyRotated, map[string]any{"key": keyName(keys.Primary())}); err != nil {
				return err
			}
			a.say(c, "Key %s encrypts now. Where machines have copies of the key file, copy it to all of them again.", keyName(keys.Primary()))
			return a.sealAgain(ctx, c, s, cfg, keys)
		}),
	}
}

func (a *admin) keyReseal() *cobra.Command {
	return &cobra.Command{
		Use:   "reseal",
		Short: "Encrypt again what other keys than the newest one encrypt, as `key rotate` does",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			cfg, keys, err := configuredKeys()
			if err != nil {
				return err
			}
			s.UseEncrypter(keys)
			return a.sealAgain(ctx, c, s, cfg, keys)
		}),
	}
}

// keyRotated is the action of the audit log's line that says when a key was made the one that encrypts.
const keyRotated = "key:rotate"

// sealAgain encrypts with the primary key what others encrypt. What cannot be decrypted is left as it is, and told at the
// end.
func (a *admin) sealAgain(ctx context.Context, c *cobra.Command, s *models.Store, cfg *config.Config, keys *keyring.Keyring) error {
	primary, changed, lost := keys.Primary(), 0, []string{}
	err := s.EachSealedValue(ctx, func(v models.SealedValue) error {
		if id, ok := keyring.KeyOf(v.Sealed); ok && id == primary {
			return nil
		}
		done, err := s.SealAgain(ctx, v)
		if errors.Is(err, keyring.ErrDecrypt) {
			lost = append(lost, v.Place())
			return nil
		}
		if done {
			changed++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%d values were encrypted again, then: %w (go on with `slipway admin key reseal`)", changed, err)
	}
	a.say(c, "%d values were encrypted again.", changed)
	if err := a.auditKeys(ctx, s, "key:reseal", map[string]any{"key": keyName(primary), "values": changed, "unreadable": len(lost)}); err != nil {
		return err
	}
	if cfg.TemporalEncrypt {
		if err := a.resealSchedules(ctx, c, cfg, keys); err != nil {
			return err
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d values cannot be decrypted with any key of the file and were left as they are, such as %s", len(lost), lost[0])
	}
	return nil
}

// pruneAfter is how long a key must have been the one that encrypts before the others may go: a process that still encrypts
// with another one, because its copy of the file is old, has been noticed by then.
const pruneAfter = 10 * time.Minute

func (a *admin) keyPrune() *cobra.Command {
	var forget bool
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove the keys that encrypt nothing any more",
		Long: `Remove all keys but the one that encrypts.

It is refused while another key encrypts something in the database, and in the ten minutes after a rotation: a process
may still encrypt with the old key, where its copy of the key file is old. Where SLIPWAY_TEMPORAL_ENCRYPT is set, it is
also refused while Temporal has open workflows with payloads under another key, or schedules, and names them: the former
have to end, the latter are encrypted again by key reseal. It reads their histories for that, so Temporal must answer.

The histories of what has ended are not encrypted again. They become unreadable in Temporal's Web UI: say --forget.`,
		Args: cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			cfg, keys, err := configuredKeys()
			if err != nil {
				return err
			}
			if cfg.TemporalEncrypt && !forget {
				return errors.New("what Temporal's Web UI shows of executions that began before the rotation and have ended becomes unreadable: see `slipway admin key prune --help`, and give --forget")
			}
			s.UseEncrypter(keys)
			rotations, err := s.ListAudit(ctx, policies.Visible{All: true}, models.AuditFilter{Action: keyRotated, Limit: 1})
			if err != nil {
				return err
			}
			if len(rotations) > 0 {
				if wait := pruneAfter - s.Now().Sub(rotations[0].At); wait > 0 {
					return fmt.Errorf("the last rotation is too fresh: try again in %s, when a process that still encrypts with an old key has been noticed", wait.Round(time.Second))
				}
			}
			values := map[uint32]int{}
			if err := s.EachSealedValue(ctx, func(v models.SealedValue) error {
				id, _ := keyring.KeyOf(v.Sealed)
				if id == keys.Primary() {
					return nil
				}
				err := s.CheckSealed(v)
				if errors.Is(err, keyring.ErrDecrypt) {
					return nil // no key helps it
				}
				values[id]++
				return err
			}); err != nil {
				return err
			}
			var gone []string
			for _, id := range keys.IDs() {
				if id == keys.Primary() {
					continue
				}
				if n := values[id]; n > 0 {
					return fmt.Errorf("key %s encrypts %d values: see that all machines have the key file as it is here, run `slipway admin key reseal`, and try again later", keyName(id), n)
				}
				gone = append(gone, keyName(id))
			}
			if len(gone) == 0 {
				a.say(c, "There is no other key than %s.", keyName(keys.Primary()))
				return nil
			}
			if cfg.TemporalEncrypt {
				if err := a.checkTemporal(ctx, s, cfg, keys); err != nil {
					return err
				}
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
