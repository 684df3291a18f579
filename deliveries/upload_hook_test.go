package deliveries

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/inventory"
	"slipway/models"
)

func anUpload() inventory.Upload {
	slack := map[string]string{"url": "https://chat.example.com/services/hunter1", "username": "bot", "icon_emoji": ":ship:", "secret": "hunter2"}
	return inventory.Upload{NamespaceID: "ns-id", Event: inventory.UploadEvent{Event: inventory.EventNewUpload, Project: "ns", Unit: "dep", Version: "v1", Release: "ns/dep-v1",
		ProjectHooks: inventory.Hooks{"slack": slack}, UnitHooks: inventory.Hooks{"events": {"url": "https://events.example.com/hunter3", "secret": "hunter4"}},
		DownstreamHooks: []inventory.Hooks{{"build": {"url": "https://ci.example.com/hunter5", "secret": "hunter6"}}}}}
}

func (k *kit) uploaded(u inventory.Upload) []models.Delivery {
	k.t.Helper()
	require.NoError(k.t, k.store.Tx(k.t.Context(), func(tx *models.Store) error { return k.service.OnUpload(k.t.Context(), tx, u) }))
	list, err := k.store.ListDeliveries(k.t.Context(), models.DeliveryFilter{Hook: models.HookOfInstallation})
	require.NoError(k.t, err)
	return k.whole(list)
}

// The one receiver that the configuration names gets the event of facts 1.3 as the original sends it, with the settings of
// hooks and without what signs their deliveries; readers of the delivery see the types alone, also in what was answered.
func TestTheConfiguredReceiverGetsEveryUpload(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		require.Empty(t, k.uploaded(anUpload()), "nothing is configured")
		r := newReceiver(t, nil)
		r.answer = func(w http.ResponseWriter, _ *http.Request) {
			r.mu.Lock()
			defer r.mu.Unlock()
			_, _ = w.Write([]byte("got " + r.bodies[len(r.bodies)-1]))
		}
		k.service.UploadHook = UploadHook{URL: r.URL + "/api/v1/internal/notification?key=hunter7", Secret: "hunter8"}
		list := k.uploaded(anUpload())
		require.Len(t, list, 1)
		d := &list[0]
		require.Equal(t, []string{models.DeliveryOfHook, "NEW_UPLOAD", "installation/upload", "", ""}, []string{d.Source, d.Event, d.Hook, d.NamespaceID, d.ProjectID})
		require.Equal(t, r.URL+"/…", d.Target)
		require.Equal(t, `{"event":"NEW_UPLOAD","project":"ns","project_hooks":{"slack":{}},"unit":"dep","unit_hooks":{"events":{}},"downstream_hooks":[{"build":{}}],`+
			`"version":"v1","release":"ns/dep-v1","username":""}`, d.Body)

		out, again, attempt := k.attempt(d)
		require.Nil(t, again)
		require.True(t, out.Ok(), out.Reason)
		require.Equal(t, `{"event":"NEW_UPLOAD","project":"ns","project_hooks":{"slack":{"icon_emoji":":ship:","url":"https://chat.example.com/services/hunter1","username":"bot"}},`+
			`"unit":"dep","unit_hooks":{"events":{"url":"https://events.example.com/hunter3"}},"downstream_hooks":[{"build":{"url":"https://ci.example.com/hunter5"}}],`+
			`"version":"v1","release":"ns/dep-v1","username":""}`, r.bodies[0])
		require.True(t, Verify(r.got[0].Header.Get(HeaderSignature), "hunter8", []byte(r.bodies[0]), k.store.Now()))
		require.NotContains(t, attempt.Answer, "hunter", "the receiver repeats what it got")

		// It goes again to where the configuration says now, with the same body; without one it goes nowhere.
		d, err := k.store.DeliveryByID(ctx, d.ID)
		require.NoError(t, err)
		k.service.UploadHook = UploadHook{URL: r.URL + "/moved"}
		next, err := k.service.Redeliver(ctx, k.store, d)
		require.NoError(t, err)
		require.Equal(t, d.Body, next.Body)
		out, _, _ = k.attempt(next)
		require.True(t, out.Ok(), out.Reason)
		require.Equal(t, []string{"/moved", r.bodies[0]}, []string{r.got[1].URL.Path, r.bodies[1]})
		require.Empty(t, r.got[1].Header.Get(HeaderSignature))
		k.service.UploadHook = UploadHook{}
		_, err = k.service.Redeliver(ctx, k.store, d)
		require.ErrorIs(t, err, errHookGone)
	})
}

// However many hooks there are and however long their settings, the event can be recorded.
func TestTheConfiguredReceiverIsToldOfManyHooks(t *testing.T) {
	k := onSQLite(t)
	k.service.UploadHook = UploadHook{URL: "https://events.example.com/"}
	u := anUpload()
	long := map[string]string{"url": "https://x.example.com/" + strings.Repeat("<", 1900), "username": strings.Repeat("<", 2000), "icon_emoji": strings.Repeat("<", 2000)}
	u.Event.ProjectHooks = inventory.Hooks{"slack": long, "events": long}
	u.Event.UnitHooks = inventory.Hooks{"slack": long, "events": long, "build": long}
	for i := range 5000 {
		u.Event.DownstreamHooks = append(u.Event.DownstreamHooks, inventory.Hooks{"build": {"url": "https://ci.example.com/" + strconv.Itoa(i)}})
	}
	list := k.uploaded(u)
	require.Len(t, list, 1)
	u.Event.ProjectHooks, u.Event.UnitHooks = nil, nil
	list = k.uploaded(u)
	require.Len(t, list, 2)
	secret, err := k.store.DeliverySecret(&list[0])
	require.NoError(t, err)
	var event inventory.UploadEvent
	require.NoError(t, json.Unmarshal([]byte(secret.Body), &event))
	require.Greater(t, len(event.DownstreamHooks), 2000)
	require.Less(t, len(secret.Body), models.MaxDeliveryBody)
	require.NotContains(t, k.log.String(), "cannot be sent")
}

// A hook of a chat is signed where it has a secret, as every other is.
func TestSlackHooksAreSigned(t *testing.T) {
	k := onSQLite(t)
	k.uploaded(anUpload())
	list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NamespaceID: "ns-id", Hook: "namespace/slack"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	d := k.whole(list)[0]
	secret, err := k.store.DeliverySecret(&d)
	require.NoError(t, err)
	require.Equal(t, "hunter2", secret.Secret)
}

// Thousands of dependents do not hold up an upload: on PostgreSQL all deliveries take one statement.
func TestThousandsOfDependentsAtOnce(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		const dependents = 5000
		u := anUpload()
		hooks := inventory.Hooks{"build": {"url": "https://ci.example.com/", "secret": "hunter9"}}
		u.Event.DownstreamHooks = nil
		for i := range dependents {
			u.Event.DownstreamHooks = append(u.Event.DownstreamHooks, hooks)
			u.Dependents = append(u.Dependents, inventory.Dependent{NamespaceID: "up-id", Application: "above-" + strconv.Itoa(i), Hooks: hooks})
		}
		var statements atomic.Int64
		counted, err := models.Open(t.Context(), k.store.URL(), models.Options{Faults: &models.Faults{Before: func() error { statements.Add(1); return nil }}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, counted.Close()) })
		counted.UseEncrypter(k.keys)
		started := time.Now()
		require.NoError(t, counted.Tx(t.Context(), func(tx *models.Store) error { return k.service.OnUpload(t.Context(), tx, u) }))
		t.Logf("%d deliveries were recorded in %v", dependents, time.Since(started))
		if counted.Dialect() == models.PostgreSQL {
			require.Equal(t, int64(1), statements.Load())
		} else {
			require.Less(t, statements.Load(), int64(dependents/100), "a statement takes as many as the database allows")
		}
		seen := map[string]bool{}
		before := ""
		for {
			list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NamespaceID: "up-id", Limit: 1000, Before: before})
			require.NoError(t, err)
			if len(list) == 0 {
				break
			}
			for _, d := range list {
				seen[d.Hook] = true
				require.Equal(t, []any{models.StatusNew, models.DeliveryAttempts, 0, "https://ci.example.com"}, []any{d.Status, d.MaxAttempts, d.Attempts, d.Target})
				before = d.ID
			}
		}
		require.Len(t, seen, dependents)
		last, err := k.store.DeliveryByID(t.Context(), before)
		require.NoError(t, err)
		secret, err := k.store.DeliverySecret(last)
		require.NoError(t, err)
		require.Equal(t, "hunter9", secret.Secret)
		require.Contains(t, secret.Body, "NEW_UPLOAD")
		// They are started like any other, by whoever looks.
		taken, err := k.store.TakeDeliveries(t.Context(), k.store.Now().Add(time.Hour), k.store.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Len(t, taken, 10)
	})
}
