package deliveries

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// A commit whose members are as long as git allows stops neither its own notification nor those of other projects.
func TestLongCommitsAreCutInMessages(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		hook := k.rule(models.Notification{Name: "hook", Events: []string{"failed"}})
		mail := k.rule(models.Notification{Name: "mail", Kind: models.DeliveryMail, Addresses: []string{"a@example.com"}, Events: []string{"failed"}})
		long := strings.Repeat("é", 150_000)
		k.ends(k.execution(models.KindBuild, "web", func(n *models.NewExecution) {
			n.Commit = &models.Commit{Revision: "abc", Branch: "b" + long, Message: "m" + long, Author: "a" + long}
		}), models.StatusFailed, "")
		require.Equal(t, []string{"failed web failed"}, k.expanded(hook))
		require.Len(t, k.expanded(mail), 1)
		list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NotificationID: hook.ID})
		require.NoError(t, err)
		d, err := k.store.DeliveryByID(t.Context(), list[0].ID)
		require.NoError(t, err)
		require.Less(t, len(d.Body), 8<<10)
		var p Payload
		require.NoError(t, json.Unmarshal([]byte(d.Body), &p))
		c := p.Execution.Commit
		require.Equal(t, "abc", c.Revision)
		for _, member := range []string{c.Branch[1:], c.Message[1:], c.Author[1:]} {
			require.Empty(t, strings.Trim(member, "é"), "cut between characters")
		}
		require.True(t, utf8.ValidString(d.Body))
	})
}

// A message that cannot be recorded is left out and logged. What caused it, and the messages of others, do not fail over it.
func TestMessagesThatAreTooLongAreLeftOut(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		rule := k.rule(models.Notification{Name: "all", Events: []string{"failed"}})
		k.ends(k.execution(models.KindBuild, "long", func(n *models.NewExecution) {
			n.Definition = map[string]string{"project": strings.Repeat("x", models.MaxDeliveryBody)}
		}), models.StatusFailed, "")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "")
		require.Equal(t, []string{"failed web failed"}, k.expanded(rule))
		require.Contains(t, k.log.String(), "more than 262144")
	})
}

// Changes that another process is expanding are its own: there is nothing to wait for.
func TestExpandDoesNotSpinOnWhatOthersTook(t *testing.T) {
	k := newKit(t, testenv.PostgresTemplate(t, "deliveries", migrated)) // SQLite has one writer, and locks no rows
	rule := k.rule(models.Notification{Name: "all", Events: []string{"failed"}})
	k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "")
	require.NoError(t, k.store.Tx(t.Context(), func(tx *models.Store) error {
		changes, err := tx.TakeStatusChanges(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, changes, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.NoError(t, k.service.Expand(ctx))
		return k.service.expand(t.Context(), tx, changes[0], []models.Notification{*rule})
	}))
	require.Len(t, k.expanded(rule), 1)
}

// Abandoned counts as failed, as it does for the event failed.
func TestFixedAfterAbandoned(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		rule := k.rule(models.Notification{Name: "bad", Events: []string{"failed", "fixed"}})
		for _, to := range []models.Status{models.StatusOK, models.StatusAbandoned, models.StatusCancelled, models.StatusOK, models.StatusOK} {
			k.ends(k.execution(models.KindBuild, "web", nil), to, "")
		}
		require.Equal(t, []string{"failed web abandoned", "fixed web ok"}, k.expanded(rule))
	})
}
