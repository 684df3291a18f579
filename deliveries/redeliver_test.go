package deliveries

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/mailer"
	"slipway/models"
	"slipway/policies"
)

// ended ends a delivery and reads it back.
func (k *kit) ended(id string) *models.Delivery {
	k.t.Helper()
	require.NoError(k.t, k.store.EndDelivery(k.t.Context(), id, models.StatusFailed, "it answered 404"))
	d, err := k.store.DeliveryByID(k.t.Context(), id)
	require.NoError(k.t, err)
	return d
}

// An address that was replaced or removed, because it leaked, say, gets nothing any more.
func TestRedeliveriesGoWhereTheHookSendsNow(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		ns := &models.Namespace{Name: "ns"}
		require.NoError(t, k.store.CreateNamespace(ctx, ns))
		of := func(hook string) *models.Delivery {
			return k.ended(k.webhook("https://old.example.com/hunter1", func(n *models.NewDelivery) {
				n.Source, n.NamespaceID, n.Hook = models.DeliveryOfHook, ns.ID, hook
			}).ID)
		}
		events, unit := of("namespace/events"), of("unit/app/build")
		for _, d := range []*models.Delivery{events, unit} {
			_, err := k.service.Redeliver(ctx, k.store, d)
			require.ErrorIs(t, err, errHookGone)
		}
		require.NoError(t, k.store.SetNamespaceHooks(ctx, ns.ID, `{"events":{"url":"https://new.example.com/hunter2","secret":"hunter3"},"build":{"url":"https://wrong.example.com/"}}`))
		again, err := k.service.Redeliver(ctx, k.store, events)
		require.NoError(t, err)
		require.Equal(t, "https://new.example.com/…", again.Target)
		secret, err := k.store.DeliverySecret(again)
		require.NoError(t, err)
		require.Equal(t, []string{"https://new.example.com/hunter2", "hunter3", events.Body}, []string{secret.URL, secret.Secret, secret.Body})
		_, err = k.service.Redeliver(ctx, k.store, unit)
		require.ErrorIs(t, err, errHookGone, "the namespace's hook is not the application's")
		require.NoError(t, k.store.Tx(ctx, func(tx *models.Store) error {
			_, err := tx.RegisterRelease(ctx, ns.ID, models.NewRelease{Application: "app", Version: "1"})
			return err
		}))
		app, err := k.store.ApplicationByName(ctx, "ns", "app")
		require.NoError(t, err)
		require.NoError(t, k.store.SetApplicationHooks(ctx, app.ID, `{"build":{"url":"https://ci.example.com/x"}}`))
		again, err = k.service.Redeliver(ctx, k.store, unit)
		require.NoError(t, err)
		require.Equal(t, "https://ci.example.com/…", again.Target)
		gone := of("namespace/events")
		gone.NamespaceID = "gone"
		_, err = k.service.Redeliver(ctx, k.store, gone)
		require.ErrorIs(t, err, errHookGone)
	})
}

// A mail goes again to those whom its rule still names.
func TestRedeliveriesOfMailsFollowTheRule(t *testing.T) {
	k := onSQLite(t)
	ctx := t.Context()
	rule := k.rule(models.Notification{Name: "mails", Kind: models.DeliveryMail, Addresses: []string{"a@example.com", "b@example.com"}, Events: []string{"failed"}})
	k.ends(k.execution(models.KindBuild, "web", nil), models.StatusFailed, "")
	require.Len(t, k.expanded(rule), 2)
	list, err := k.store.ListDeliveries(ctx, models.DeliveryFilter{NotificationID: rule.ID})
	require.NoError(t, err)
	b, a := k.ended(list[0].ID), k.ended(list[1].ID)
	require.Equal(t, "b@example.com", b.Target)
	rule.Addresses = []string{"a@example.com"}
	require.NoError(t, k.store.UpdateNotification(ctx, rule, models.NotificationSecret{}))
	_, err = k.service.Redeliver(ctx, k.store, b)
	require.ErrorIs(t, err, errRuleGone)
	again, err := k.service.Redeliver(ctx, k.store, a)
	require.NoError(t, err)
	require.Equal(t, "a@example.com", again.Target)
}

// The request of a pipeline's step goes to where the step sends now, signed with what the pipeline has now.
func TestRedeliveriesOfStepsFollowThePipeline(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		call := func(name, url string) models.PipelineStep {
			return models.PipelineStep{Type: models.StepWebhook, Name: name, WebhookURL: url}
		}
		phases := func(steps ...models.PipelineStep) []models.PipelinePhase {
			return []models.PipelinePhase{{Steps: steps}}
		}
		p := &models.Pipeline{ProjectID: k.project.ID, Name: "ship", ProjectName: "shop", Phases: phases(call("tell", "https://old.example.com/hunter1"), call("", "https://old.example.com/"))}
		require.NoError(t, k.store.CreatePipeline(ctx, p))
		e, _, err := k.store.CreateExecution(ctx, models.NewExecution{Kind: models.KindPipeline, ProjectID: k.project.ID, SubjectID: p.ID, SubjectName: "ship", Definition: p.Definition()})
		require.NoError(t, err)
		sent := func(step string) *models.Delivery {
			return k.ended(k.webhook("https://old.example.com/hunter1", func(n *models.NewDelivery) {
				n.Source, n.ExecutionID, n.DedupeKey, n.Child = models.DeliveryOfStep, e.ID, "step:"+e.ID+"/0/"+step, true
			}).ID)
		}
		named, unnamed := sent("0"), sent("1")
		goes := func(d *models.Delivery, url string) *models.Delivery {
			t.Helper()
			again, err := k.service.Redeliver(ctx, k.store, d)
			require.NoError(t, err)
			secret, err := k.store.DeliverySecret(again)
			require.NoError(t, err)
			require.Equal(t, []string{url, "signs-now", d.Body}, []string{secret.URL, secret.Secret, secret.Body})
			return again
		}
		refused := func(d *models.Delivery) {
			t.Helper()
			_, err := k.service.Redeliver(ctx, k.store, d)
			require.ErrorIs(t, err, errStepGone)
		}
		change := func(steps ...models.PipelineStep) {
			p.Phases = phases(steps...)
			require.NoError(t, k.store.UpdatePipeline(ctx, p))
		}
		require.NoError(t, k.store.SetSigningSecret(ctx, p, "signs-now"))
		change(call("tell", "https://new.example.com/hunter2"), call("", "https://other.example.com/x"))
		again := goes(named, "https://new.example.com/hunter2")
		require.Equal(t, "https://new.example.com", again.Target)
		goes(unnamed, "https://other.example.com/x")
		goes(k.ended(again.ID), "https://new.example.com/hunter2")

		change(call("", "https://other.example.com/x"), call("tell", "https://new.example.com/hunter3"))
		goes(named, "https://new.example.com/hunter3")
		refused(unnamed)
		change(call("a", "https://a.example.com/"), call("tell", "https://b.example.com/"), call("tell", "https://c.example.com/"))
		refused(named)
		_, err = k.store.FinishExecution(ctx, e.ID, models.StatusOK, "")
		require.NoError(t, err)
		require.NoError(t, k.store.DeletePipeline(ctx, p.ID))
		refused(named)
	})
}

// The link of a confirmation goes again only to somebody who may still decide.
func TestRedeliveriesOfLinksGoToThoseWhoMayDecide(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		olga := k.person("olga", policies.RoleOwner)
		mail, err := mailer.Parse("smtp://127.0.0.1:1?starttls=off", "slipway@example.com")
		require.NoError(t, err)
		k.service.Mail = mail
		e, c := k.waits("ship", "", "")
		require.Equal(t, []string{"olga@example.com"}, k.asked(e, c, 0))
		list, err := k.store.ListDeliveries(ctx, models.DeliveryFilter{ExecutionID: e.ID})
		require.NoError(t, err)
		d := k.ended(list[0].ID)
		again, err := k.service.Redeliver(ctx, k.store, d)
		require.NoError(t, err)
		require.NotContains(t, again.Body, code)
		secret, err := k.store.DeliverySecret(again)
		require.NoError(t, err)
		require.Contains(t, secret.Body, code)
		require.NoError(t, k.store.SetDisabled(ctx, olga.ID, true))
		_, err = k.service.Redeliver(ctx, k.store, d)
		require.ErrorIs(t, err, errPersonGone)
	})
}
