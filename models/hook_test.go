package models

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/policies"
)

// S11: the addresses and secrets of hooks are encrypted at rest, each for its own row.
func TestS11HooksAreSealed(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		const hooks = `{"events":{"url":"https://example.com/hunter2","secret":"hunter3"}}`
		n := &Namespace{Name: "ns"}
		require.NoError(t, s.CreateNamespace(ctx, n))
		require.ErrorIs(t, s.SetNamespaceHooks(ctx, n.ID, hooks), ErrNoKey)
		s.UseEncrypter(plainSecrets{})
		require.NoError(t, s.SetNamespaceHooks(ctx, n.ID, hooks))
		a, err := s.ensureApplication(ctx, n.ID, "app")
		require.NoError(t, err)
		require.NoError(t, s.SetApplicationHooks(ctx, a.ID, hooks))
		stored := func(table string) (text string) {
			require.NoError(t, s.reader(ctx).Table(table).Select("hooks").Take(&text).Error)
			return text
		}
		require.NotContains(t, stored("namespaces")+stored("applications"), "hunter")
		read := func() []string {
			one, err := s.NamespaceByName(ctx, "ns")
			require.NoError(t, err)
			list, err := s.ListNamespaces(ctx, NamespaceFilter{Visible: policies.Visible{All: true}})
			require.NoError(t, err)
			app, err := s.ApplicationByName(ctx, "ns", "app")
			require.NoError(t, err)
			apps, err := s.ListApplications(ctx, n.ID)
			require.NoError(t, err)
			return []string{one.Hooks, list[0].Hooks, app.Hooks, apps[0].Hooks}
		}
		require.Equal(t, []string{hooks, hooks, hooks, hooks}, read())
		// What an earlier version wrote in the clear can still be read.
		require.NoError(t, s.writer(ctx).Exec("UPDATE namespaces SET hooks = ?", hooks).Error)
		require.Equal(t, hooks, read()[0])
		// Hooks of another row cannot be read here.
		require.NoError(t, s.writer(ctx).Exec("UPDATE namespaces SET hooks = (SELECT hooks FROM applications)").Error)
		_, err = s.NamespaceByName(ctx, "ns")
		require.Error(t, err)
		require.NoError(t, s.SetNamespaceHooks(ctx, n.ID, ""))
		require.Empty(t, stored("namespaces"))
	})
}
