package inventory

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// The settings that each type of hook has. "secret" signs deliveries.
var hookSettings = map[string][]string{
	"slack":  {"url", "username", "icon_emoji", "secret"},
	"events": {"url", "secret"},
	"build":  {"url", "secret"},
}

const (
	maxHookText = 2000 // bytes of one setting
)

// checkHooks refuses types and settings that are not known. The two spaces that a mistake in a slack hook is answered
// with are the original's: it names every type but that one.
func checkHooks(h Hooks, types ...string) error {
	for _, kind := range slices.Sorted(maps.Keys(h)) {
		if !slices.Contains(types, kind) {
			return problem.New(problem.Invalid, "Unknown hook type '%s'", kind)
		}
		for _, key := range slices.Sorted(maps.Keys(h[kind])) {
			if !slices.Contains(hookSettings[kind], key) {
				name := kind
				if kind == "slack" {
					name = ""
				}
				return problem.New(problem.Invalid, "Unknown %s hook configuration key '%s'", name, key)
			}
			if len(h[kind][key]) > maxHookText {
				return problem.New(problem.Invalid, "The %s hook configuration key '%s' is over %d bytes", kind, key, maxHookText)
			}
		}
	}
	return nil
}

func hooksText(h Hooks) (string, error) {
	if len(h) == 0 {
		return "", nil
	}
	b, err := json.Marshal(h)
	return string(b), err
}

// SetNamespaceHooks replaces the hooks of a namespace: slack and events.
func (s *Service) SetNamespaceHooks(ctx context.Context, namespace string, h Hooks, by policies.Subject) error {
	if err := checkHooks(h, "slack", "events"); err != nil {
		return err
	}
	text, err := hooksText(h)
	if err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		n, err := tx.NamespaceByName(ctx, namespace)
		if err != nil {
			return err
		}
		if err := tx.SetNamespaceHooks(ctx, n.ID, text); err != nil {
			return err
		}
		return audit(ctx, tx, by, "hook:update", "namespace", namespace, n, map[string]any{"types": slices.Sorted(maps.Keys(h))})
	})
}

// SetApplicationHooks replaces the hooks of an application: slack, events and build.
func (s *Service) SetApplicationHooks(ctx context.Context, namespace, application string, h Hooks, by policies.Subject) error {
	if err := checkHooks(h, "slack", "events", "build"); err != nil {
		return err
	}
	text, err := hooksText(h)
	if err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		n, err := tx.NamespaceByName(ctx, namespace)
		if err != nil {
			return err
		}
		a, err := tx.ApplicationByName(ctx, namespace, application)
		if err != nil {
			return err
		}
		if err := tx.SetApplicationHooks(ctx, a.ID, text); err != nil {
			return err
		}
		return audit(ctx, tx, by, "hook:update", "application", namespace+"/"+application, n, map[string]any{"types": slices.Sorted(maps.Keys(h))})
	})
}
