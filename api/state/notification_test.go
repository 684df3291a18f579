package state_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/deliveries"
	"slipway/models"
)

const (
	notifications     = "/api/v1/slipway/projects/shop/notifications/"
	projectDeliveries = "/api/v1/slipway/projects/shop/deliveries/"
)

func aHook(name string) map[string]any {
	return map[string]any{"name": name, "kind": "webhook", "url": "https://user:hunter1@chat.example.com/hooks/hunter2?token=hunter3", "secret": "hunter4",
		"headers": map[string]string{"authorization": "Bearer hunter5"}, "events": []string{"failed", "fixed"}, "kinds": []string{"build"}, "subjects": []string{"web*"}}
}

// end ends all deliveries of the project and gives the last.
func end(k *kit, f models.DeliveryFilter) string {
	k.t.Helper()
	list, err := k.store.ListDeliveries(k.t.Context(), f)
	require.NoError(k.t, err)
	require.NotEmpty(k.t, list)
	for _, d := range list {
		_ = k.store.EndDelivery(k.t.Context(), d.ID, models.StatusFailed, "it answered 404")
	}
	return list[0].ID
}

// notifyAndRedeliver makes one of each change of notifications and deliveries.
func notifyAndRedeliver(k *kit, olga *caller) {
	k.t.Helper()
	ctx := k.t.Context()
	project, err := k.store.ProjectByName(ctx, "shop")
	require.NoError(k.t, err)
	olga.post(notifications, aHook("chat")).ok()
	olga.put(notifications+"chat/", map[string]any{"kind": "webhook", "events": []string{"ok"}}).ok()
	olga.post(notifications+"chat/test", nil).is(http.StatusAccepted)
	olga.post(projectDeliveries+end(k, models.DeliveryFilter{ProjectID: project.ID})+"/redeliver", nil).is(http.StatusAccepted)
	olga.delete(notifications + "chat/").is(http.StatusNoContent)
	n, err := k.store.NamespaceByName(ctx, "shop-ns")
	require.NoError(k.t, err)
	require.NoError(k.t, k.store.SetNamespaceHooks(ctx, n.ID, `{"events":{"url":"https://example.com/"}}`))
	_, _, err = k.store.CreateDelivery(ctx, models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: "NEW_UPLOAD", NamespaceID: n.ID, Hook: "namespace/events",
		Body: "{}", Secret: models.DeliverySecret{URL: "https://example.com/"}})
	require.NoError(k.t, err)
	olga.post("/api/v1/slipway/namespaces/shop-ns/deliveries/"+end(k, models.DeliveryFilter{NamespaceID: n.ID})+"/redeliver", nil).is(http.StatusAccepted)
	_, _, err = k.store.CreateDelivery(ctx, models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: "NEW_UPLOAD", Hook: models.HookOfInstallation,
		Body: "{}", Secret: models.DeliverySecret{URL: "https://example.com/"}})
	require.NoError(k.t, err)
	k.as("admin").post("/api/v1/slipway/deliveries/"+end(k, models.DeliveryFilter{Hook: models.HookOfInstallation})+"/redeliver", nil).is(http.StatusAccepted)
}

func TestNotificationsShowNoSecret(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		olga := k.as("olga")
		made := olga.post(notifications, aHook("chat"))
		require.Equal(t, "https://chat.example.com/…", made.object()["target"])
		require.Equal(t, true, made.object()["has_secret"])
		require.Equal(t, []any{"Authorization"}, made.object()["headers"])
		// What is absent stays, for the same host.
		olga.put(notifications+"chat/", map[string]any{"kind": "webhook", "events": []string{"ok", "confirmation"}}).ok()
		rule := func() models.NotificationSecret {
			p, err := k.store.ProjectByName(t.Context(), "shop")
			require.NoError(t, err)
			n, err := k.store.NotificationByName(t.Context(), p.ID, "chat")
			require.NoError(t, err)
			s, err := k.store.NotificationSecret(n)
			require.NoError(t, err)
			return s
		}
		require.Equal(t, "hunter4", rule().Secret)
		require.Contains(t, rule().URL, "hunter3")
		olga.put(notifications+"chat/", map[string]any{"kind": "webhook", "events": []string{"ok"}, "url": "https://chat.example.com/other"}).ok()
		require.Equal(t, "hunter4", rule().Secret)
		// Another host gets none of the secrets that were agreed with this one.
		olga.put(notifications+"chat/", map[string]any{"kind": "webhook", "events": []string{"ok"}, "url": "https://evil.example.com/"}).ok()
		require.Equal(t, models.NotificationSecret{URL: "https://evil.example.com/"}, rule())
		olga.put(notifications+"chat/", aHookBody()).ok()
		tested := olga.post(notifications+"chat/test", nil)
		tested.is(http.StatusAccepted)
		var list []map[string]any
		k.as("walter").get(projectDeliveries + "?notification=chat&status=new&source=notification").into(&list)
		require.Len(t, list, 1)
		id := list[0]["id"].(string)
		detail := k.as("walter").get(projectDeliveries + id + "/")
		require.Contains(t, detail.object()["body"], `"event":"test"`)
		olga.post(projectDeliveries+id+"/redeliver", nil).is(http.StatusConflict)
		for _, text := range []string{string(made.body), string(tested.body), string(detail.body), olga.get(notifications).ok(), olga.get(notifications + "chat/").ok(),
			olga.get("/api/v1/slipway/projects/shop/audit/").ok()} {
			require.NotContains(t, text, "hunter")
		}
		olga.delete(notifications + "chat/").is(http.StatusNoContent)
		require.Equal(t, "cancelled", k.as("walter").get(projectDeliveries + id + "/").object()["status"])
		refused := olga.post(projectDeliveries+id+"/redeliver", nil)
		refused.is(http.StatusConflict)
		require.Contains(t, string(refused.body), "was removed")

		require.Equal(t, "ops@example.com", olga.post(notifications, map[string]any{"name": "mail", "kind": "mail", "addresses": []string{"ops@example.com"}, "events": []string{"failed"}}).object()["target"])
		olga.post(notifications, map[string]any{"name": "mail", "kind": "mail", "addresses": []string{"ops@example.com"}, "events": []string{"failed"}}).is(http.StatusConflict)
		k.as("rita").get(notifications).is(http.StatusForbidden)
		k.as("sam").get(notifications).is(http.StatusNotFound)
		k.as("walter").delete(notifications + "mail/").is(http.StatusForbidden)
	})
}

func aHookBody() map[string]any {
	b := aHook("")
	delete(b, "name")
	return b
}

func TestNotificationsRefuseBadInput(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	olga := k.as("olga")
	for _, c := range []struct {
		change map[string]any
		says   string
	}{
		{map[string]any{"name": "a b"}, "name"},
		{map[string]any{"name": ""}, "name"},
		{map[string]any{"kind": "pigeon"}, "kind"},
		{map[string]any{"url": ""}, "url"},
		{map[string]any{"url": "ftp://example.com/"}, "url"},
		{map[string]any{"url": "https:///x"}, "url"},
		{map[string]any{"url": "https://example.com/a b"}, "url"},
		{map[string]any{"url": "http://127.0.0.1/"}, "loopback"},
		{map[string]any{"url": "http://[::1]:80/"}, "loopback"},
		{map[string]any{"url": "http://169.254.169.254/latest"}, "metadata"},
		{map[string]any{"url": "http://10.0.0.1/"}, "private"},
		{map[string]any{"url": "https://example.com/" + strings.Repeat("x", 2000)}, "url"},
		{map[string]any{"secret": strings.Repeat("x", 1001)}, "secret"},
		{map[string]any{"headers": map[string]string{"Host": "x"}}, "Host"},
		{map[string]any{"headers": map[string]string{"x-slipway-signature": "x"}}, "cannot be set"},
		{map[string]any{"headers": map[string]string{"X A": "x"}}, "headers"},
		{map[string]any{"headers": map[string]string{"X-A": "x\r\nX-B: y"}}, "X-A"},
		{map[string]any{"events": []string{}}, "events"},
		{map[string]any{"events": []string{"sunset"}}, "sunset"},
		{map[string]any{"kinds": []string{"asset-scan"}}, "kinds"},
		{map[string]any{"subjects": []string{"["}}, "subjects"},
		{map[string]any{"environments": []string{""}}, "environments"},
		{map[string]any{"addresses": []string{"a@example.com"}}, "addresses"},
		{map[string]any{"kind": "mail"}, "no url"},
		{map[string]any{"kind": "mail", "url": nil, "secret": nil, "headers": nil}, "addresses"},
		{map[string]any{"kind": "mail", "url": nil, "secret": nil, "headers": nil, "addresses": []string{"Ann <ann@example.com>"}}, "addresses"},
		{map[string]any{"kind": "mail", "url": nil, "secret": nil, "headers": nil, "addresses": []string{"ann@example.com\r\nBcc: x@example.com"}}, "addresses"},
		{map[string]any{"kind": "mail", "url": nil, "secret": nil, "headers": nil, "addresses": []string{"ann@example.com,bob@example.com"}}, "addresses"},
		{map[string]any{"surprise": 1}, "surprise"},
	} {
		body := aHook("chat")
		for name, v := range c.change {
			body[name] = v
		}
		a := olga.post(notifications, body)
		a.is(http.StatusBadRequest)
		require.Contains(t, string(a.body), c.says, "%v", c.change)
	}
	for i := range models.MaxNotifications {
		olga.post(notifications, aHook("n"+strings.Repeat("x", i%90)+string(rune('a'+i/90)))).ok()
	}
	olga.post(notifications, aHook("one-too-many")).is(http.StatusConflict)
}

// A namespace's deliveries are for its owners: the hooks are.
func TestDeliveriesOfHooksAreForOwners(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		ctx := t.Context()
		k.as("olga").post("/api/v1/state/shop/add-namespace", map[string]any{"name": "shop-ns"}).ok()
		n, err := k.store.NamespaceByName(ctx, "shop-ns")
		require.NoError(t, err)
		d, _, err := k.store.CreateDelivery(ctx, models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: "NEW_UPLOAD", NamespaceID: n.ID, Hook: "unit/web/slack",
			Body: "{}", Target: "https://example.com", Secret: models.DeliverySecret{URL: "https://example.com/"}})
		require.NoError(t, err)
		_, err = k.store.BeginDeliveryAttempt(ctx, d.ID)
		require.NoError(t, err)
		require.NoError(t, k.store.EndDeliveryAttempt(ctx, models.DeliveryAttempt{DeliveryID: d.ID, Number: 1, StatusCode: 404, Answer: "no such hook", Error: "it answered 404"}, models.StatusFailed, "it answered 404", nil))
		const path = "/api/v1/slipway/namespaces/shop-ns/deliveries/"
		var list []map[string]any
		k.as("olga").get(path + "?hook=unit/web/slack&event=NEW_UPLOAD&page_size=1").into(&list)
		require.Len(t, list, 1)
		k.as("olga").get(path + "?page_from=" + d.ID).into(&list)
		require.Empty(t, list)
		log := k.as("olga").get(path + d.ID + "/").object()["log"].([]any)[0].(map[string]any)
		require.Equal(t, 404.0, log["status_code"])
		require.Equal(t, "no such hook", log["answer"])
		k.as("walter").get(path).is(http.StatusForbidden)
		k.as("walter").get(path + d.ID + "/").is(http.StatusForbidden)
		k.as("sam").get(path).is(http.StatusNotFound)
		// It is not the project's, and no other namespace's.
		k.as("olga").get(projectDeliveries + d.ID + "/").is(http.StatusNotFound)
		k.as("olga").post("/api/v1/state/shop/add-namespace", map[string]any{"name": "other-ns"}).ok()
		k.as("olga").get("/api/v1/slipway/namespaces/other-ns/deliveries/" + d.ID + "/").is(http.StatusNotFound)
		// It goes where the hook sends now, and nowhere without one.
		k.as("olga").post(path+d.ID+"/redeliver", nil).is(http.StatusConflict)
		require.NoError(t, k.store.Tx(ctx, func(tx *models.Store) error {
			_, err := tx.RegisterRelease(ctx, n.ID, models.NewRelease{Application: "web", Version: "1"})
			return err
		}))
		web, err := k.store.ApplicationByName(ctx, "shop-ns", "web")
		require.NoError(t, err)
		require.NoError(t, k.store.SetApplicationHooks(ctx, web.ID, `{"slack":{"url":"https://example.com/"}}`))
		again := k.as("olga").post(path+d.ID+"/redeliver", nil)
		again.is(http.StatusAccepted)
		require.Contains(t, string(again.body), `"redelivery_of":"`+d.ID+`"`)
	})
}

// S12: a hook of one installation starts a build of another, or of the same: signed, and once however often it is tried.
func TestS12BuildsTakeSlipwaysOwnWebhooks(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	token := k.as("olga").post(devBuilds, aBuild("web")).object()["webhook_token"].(string)
	path := devBuilds + "webhook/" + token
	const body = `{"event":"NEW_UPLOAD","project":"shop"}`
	for name, signature := range map[string]string{
		"another secret": deliveries.Sign("other", time.Now(), []byte(body)),
		"another body":   deliveries.Sign("signing-secret", time.Now(), []byte(body+" ")),
		"too old":        deliveries.Sign("signing-secret", time.Now().Add(-10*time.Minute), []byte(body)),
		"no time":        "v1=" + sign(body, "signing-secret"),
	} {
		hook(k, path, body, deliveries.HeaderSignature, signature).is(http.StatusNotFound)
		require.Empty(t, k.temporal.started, name)
	}
	first := hook(k, path, body, deliveries.HeaderSignature, deliveries.Sign("signing-secret", time.Now(), []byte(body)), "Idempotency-Key", "d-1").id()
	again := hook(k, path, body, deliveries.HeaderSignature, deliveries.Sign("signing-secret", time.Now(), []byte(body)), "Idempotency-Key", "d-1").id()
	require.Equal(t, first, again)
}
