package deliveries

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// rule adds a rule to the project.
func (k *kit) rule(n models.Notification) *models.Notification {
	k.t.Helper()
	n.ProjectID = k.project.ID
	secret := models.NotificationSecret{}
	if n.Kind == "" {
		n.Kind, secret = models.DeliveryWebhook, models.NotificationSecret{URL: "https://chat.example.com/hooks/hunter2", Secret: "hunter3"}
	}
	require.NoError(k.t, k.store.CreateNotification(k.t.Context(), &n, secret))
	return &n
}

// execution records an execution of a subject.
func (k *kit) execution(kind, subject string, change func(*models.NewExecution)) *models.Execution {
	k.t.Helper()
	n := models.NewExecution{Kind: kind, ProjectID: k.project.ID, SubjectID: "id-of-" + subject, SubjectName: subject, Trigger: models.Trigger{Type: "api", SubjectName: "ann"},
		Definition: map[string]string{"project": "shop", "environment": "dev"}}
	if change != nil {
		change(&n)
	}
	e, _, err := k.store.CreateExecution(k.t.Context(), n)
	require.NoError(k.t, err)
	return e
}

// ends claims and ends an execution.
func (k *kit) ends(e *models.Execution, to models.Status, reason string) {
	k.t.Helper()
	if to != models.StatusAbandoned {
		_, err := k.store.ClaimExecution(k.t.Context(), e.ID, "run", nil)
		require.NoError(k.t, err)
	}
	_, err := k.store.FinishExecution(k.t.Context(), e.ID, to, reason)
	require.NoError(k.t, err)
}

// whole reads deliveries of a list with their bodies.
func (k *kit) whole(list []models.Delivery) []models.Delivery {
	k.t.Helper()
	for i := range list {
		d, err := k.store.DeliveryByID(k.t.Context(), list[i].ID)
		require.NoError(k.t, err)
		list[i] = *d
	}
	return list
}

// expanded turns the changes into deliveries and gives those of a rule as "event subject#number", oldest first.
func (k *kit) expanded(rule *models.Notification) []string {
	k.t.Helper()
	require.NoError(k.t, k.service.Expand(k.t.Context()))
	list, err := k.store.ListDeliveries(k.t.Context(), models.DeliveryFilter{NotificationID: rule.ID})
	require.NoError(k.t, err)
	var out []string
	for _, d := range slices.Backward(k.whole(list)) {
		text := d.Event
		if d.Kind == models.DeliveryWebhook {
			var p Payload
			require.NoError(k.t, json.Unmarshal([]byte(d.Body), &p))
			require.Equal(k.t, d.Event, p.Event)
			text += " " + p.Execution.Subject + " " + p.Execution.Outcome
		} else {
			text += " " + d.Target + " " + d.Subject
		}
		out = append(out, text)
	}
	return out
}

func TestNotificationsTellOfChanges(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		all := k.rule(models.Notification{Name: "all", Events: []string{"failed", "ok", "cancelled", "skipped", "waiting"}, Steps: true})
		bad := k.rule(models.Notification{Name: "bad", Events: []string{"failed", "fixed"}, Kinds: []string{"build"}, Subjects: []string{"web*"}})
		off := k.rule(models.Notification{Name: "off", Events: models.NotificationEvents, Disabled: true})
		elsewhere := k.rule(models.Notification{Name: "elsewhere", Events: models.NotificationEvents, Environments: []string{"prod-*"}})
		mails := k.rule(models.Notification{Name: "mails", Kind: models.DeliveryMail, Addresses: []string{"a@example.com", "b@example.com"}, Events: []string{"fixed"}, Subjects: []string{"web"}})

		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusOK, "")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "exit 3")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusAbandoned, "away")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusCancelled, "")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusOK, "")
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusOK, "")
		k.ends(k.execution(models.KindBuild, "other", nil), models.StatusFailed, "")
		k.ends(k.execution(models.KindDeployment, "web", nil), models.StatusSkipped, "")
		pipeline := k.execution(models.KindPipeline, "ship", nil)
		_, err := k.store.ClaimExecution(t.Context(), pipeline.ID, "run", nil)
		require.NoError(t, err)
		require.NoError(t, k.store.SetExecutionStatus(t.Context(), pipeline.ID, models.StatusWaiting, 1))
		require.NoError(t, k.store.SetExecutionStatus(t.Context(), pipeline.ID, models.StatusRunning, 2))
		step := k.execution(models.KindBuild, "web-step", func(n *models.NewExecution) { n.ParentID = pipeline.ID })
		k.ends(step, models.StatusFailed, "")

		require.Equal(t, []string{"ok web ok", "failed web failed", "failed web abandoned", "cancelled web cancelled", "ok web ok", "ok web ok", "failed other failed", "skipped web skipped",
			"waiting ship waiting", "failed web-step failed"}, k.expanded(all))
		require.Equal(t, []string{"failed web failed", "failed web abandoned", "fixed web ok"}, k.expanded(bad), "not of steps, and fixed once")
		require.Empty(t, k.expanded(off))
		require.Empty(t, k.expanded(elsewhere))
		require.Equal(t, []string{"fixed a@example.com [shop] build web #5 succeeded again", "fixed b@example.com [shop] build web #5 succeeded again"}, k.expanded(mails))
		// Nothing is told twice.
		require.Len(t, k.expanded(all), 10)
		list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NotificationID: bad.ID})
		require.NoError(t, err)
		d, err := k.store.DeliveryByID(t.Context(), list[2].ID)
		require.NoError(t, err)
		secret, err := k.store.DeliverySecret(d)
		require.NoError(t, err)
		require.Equal(t, "https://chat.example.com/hooks/hunter2", secret.URL)
		require.Equal(t, "hunter3", secret.Secret)
		require.NotContains(t, d.Target+d.Body, "hunter")
		require.Contains(t, d.Body, `"reason":"exit 3"`)
		require.Contains(t, d.Body, `"url":"https://slipway.example.com/api/v1/slipway/executions/`)
	})
}

// An execution in a project without rules leaves nothing behind, and none of another project.
func TestProjectsWithoutRulesNoteNothing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		k.rule(models.Notification{Name: "off", Events: []string{"failed"}, Disabled: true})
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "")
		noted, err := k.store.HasStatusChanges(t.Context())
		require.NoError(t, err)
		require.False(t, noted)
		rule := k.rule(models.Notification{Name: "on", Events: []string{"failed"}})
		other := &models.Project{Name: "other"}
		require.NoError(t, k.store.CreateProject(t.Context(), other))
		k.ends(k.execution(models.KindBuild, "web", func(n *models.NewExecution) { n.ProjectID = other.ID }), models.StatusFailed, "")
		require.Empty(t, k.expanded(rule))
		// A rule that goes between the change and its deliveries takes them with it.
		k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "")
		require.NoError(t, k.store.DeleteNotification(t.Context(), rule.ID))
		require.Empty(t, k.expanded(rule))
		noted, err = k.store.HasStatusChanges(t.Context())
		require.NoError(t, err)
		require.False(t, noted)
	})
}

// The change and its note are one transaction, and so are the note's end and the deliveries: what breaks off in between is
// done again, once.
func TestCrashesNeitherLoseNorDoubleNotifications(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		rule := k.rule(models.Notification{Name: "all", Events: []string{"failed"}})
		e := k.execution(models.KindBuild, "web", nil)
		undone := errors.New("the connection is lost")
		require.ErrorIs(t, k.store.Tx(ctx, func(tx *models.Store) error {
			if _, err := tx.FinishExecution(ctx, e.ID, models.StatusFailed, ""); err != nil {
				return err
			}
			return undone
		}), undone)
		require.Empty(t, k.expanded(rule), "it has not failed")
		k.ends(e, models.StatusFailed, "")
		require.ErrorIs(t, k.store.Tx(ctx, func(tx *models.Store) error {
			changes, err := tx.TakeStatusChanges(ctx, 10)
			require.NoError(t, err)
			require.Len(t, changes, 1)
			require.NoError(t, k.service.expand(ctx, tx, changes[0], []models.Notification{*rule}))
			return undone
		}), undone)
		require.Len(t, k.expanded(rule), 1)
	})
}

func TestTestsAreSentOnce(t *testing.T) {
	k := onSQLite(t)
	r := newReceiver(t, status(500))
	rule := &models.Notification{ProjectID: k.project.ID, Name: "x", Kind: models.DeliveryWebhook, Events: []string{"ok"}}
	require.NoError(t, k.store.CreateNotification(t.Context(), rule, models.NotificationSecret{URL: r.URL}))
	list, err := k.service.Test(t.Context(), k.store, rule, "shop")
	require.NoError(t, err)
	require.Len(t, list, 1)
	out, again, _ := k.attempt(&list[0])
	require.Nil(t, again)
	require.Equal(t, models.StatusFailed, out.Status)
	require.JSONEq(t, `{"event":"test","at":"`+list[0].CreatedAt.Format("2006-01-02T15:04:05")+`Z","project":"shop","notification":"x"}`, r.bodies[0])
	// A redelivery goes to where the rule sends now.
	moved := newReceiver(t, nil)
	require.NoError(t, k.store.UpdateNotification(t.Context(), rule, models.NotificationSecret{URL: moved.URL, Secret: "new"}))
	d, err := k.store.DeliveryByID(t.Context(), list[0].ID)
	require.NoError(t, err)
	again2, err := k.service.Redeliver(t.Context(), k.store, d)
	require.NoError(t, err)
	require.Equal(t, d.ID, again2.RedeliveryOf)
	k.attempt(again2)
	require.Equal(t, r.bodies, moved.bodies)
	require.NotEmpty(t, moved.got[0].Header.Get(HeaderSignature))
	require.Equal(t, again2.ID, moved.got[0].Header.Get(HeaderDelivery))
}
