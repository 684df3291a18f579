package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/models"
)

// maxNamed is how many executions a refusal names.
const maxNamed = 5

// withTemporal does something with Temporal, once that has answered.
func withTemporal(ctx context.Context, cfg *config.Config, f func(c client.Client) error) error {
	c, err := executions.Connect(executions.ConnectOptions{Address: cfg.TemporalAddress, Namespace: cfg.TemporalNamespace})
	if err != nil {
		return err
	}
	defer c.Close()
	try, cancel := context.WithTimeout(ctx, temporalPatience)
	defer cancel()
	if _, err := c.CheckHealth(try, &client.CheckHealthRequest{}); err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("Temporal at %s does not answer: %w", cfg.TemporalAddress, err)} //nolint:staticcheck // a name
	}
	return f(c)
}

// underOldKeys says whether one of the keys encrypted a value, and not the one that does now. A namespace may have those of
// other installations, whose keys are none of these.
func underOldKeys(keys *keyring.Keyring) func(sealed []byte) bool {
	old := slices.DeleteFunc(keys.IDs(), func(id uint32) bool { return id == keys.Primary() })
	return func(sealed []byte) bool {
		id, ok := keyring.KeyOf(sealed)
		return ok && slices.Contains(old, id)
	}
}

// resealSchedules encrypts again what Temporal's schedules start their workflows with: it is what they begin with for years.
func (a *admin) resealSchedules(ctx context.Context, c *cobra.Command, cfg *config.Config, keys *keyring.Keyring) error {
	err := withTemporal(ctx, cfg, func(temporal client.Client) error {
		changed, err := executions.ResealSchedules(ctx, temporal, cfg.TemporalNamespace, keys, underOldKeys(keys))
		if err == nil {
			a.say(c, "%d schedules in Temporal were encrypted again.", changed)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the database is done, the schedules in Temporal are not: %w (go on with `slipway admin key reseal`)", err)
	}
	return nil
}

// checkTemporal refuses to remove keys that something open in Temporal needs, and names that.
func (a *admin) checkTemporal(ctx context.Context, s *models.Store, cfg *config.Config, keys *keyring.Keyring) error {
	return withTemporal(ctx, cfg, func(temporal client.Client) error {
		found, err := executions.FindSealedPayloads(ctx, temporal, cfg.TemporalNamespace, underOldKeys(keys))
		if err != nil {
			return err
		}
		if n := len(found.Schedules); n > 0 {
			return fmt.Errorf("%d schedules in Temporal begin workflows with what an old key encrypts, such as %s: run `slipway admin key reseal`", n, found.Schedules[0])
		}
		n := len(found.Workflows)
		if n == 0 {
			return nil
		}
		var names []string
		for _, id := range found.Workflows[:min(n, maxNamed)] {
			name := "workflow " + id
			e, err := s.ExecutionByID(ctx, id)
			if err == nil {
				name = fmt.Sprintf("%s '%s' #%d (%s)", e.Kind, e.SubjectName, e.Number, e.ID)
			} else if !errors.Is(err, models.ErrNotFound) {
				return err
			}
			names = append(names, name)
		}
		if n > maxNamed {
			names = append(names, fmt.Sprintf("%d more", n-maxNamed))
		}
		return fmt.Errorf("%d open executions began before the rotation, and need an old key to go on: %s. Wait until they have ended, or cancel them", n, strings.Join(names, ", "))
	})
}
