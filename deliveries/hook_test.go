package deliveries

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/inventory"
	"slipway/models"
)

func TestHooksOfAnUpload(t *testing.T) {
	k := onSQLite(t)
	slack := map[string]string{"url": "https://chat.example.com/services/hunter1", "username": "bot", "icon_emoji": ":ship:"}
	u := inventory.Upload{NamespaceID: "ns-id", Event: inventory.UploadEvent{Event: inventory.EventNewUpload, Project: "ns", Unit: "dep", Version: "v1", Release: "ns/dep-v1", Username: "ann <x>",
		ProjectHooks:    inventory.Hooks{"slack": slack, "events": {"url": "https://events.example.com/hunter2", "secret": "hunter3"}},
		UnitHooks:       inventory.Hooks{"events": {"url": "https://unit.example.com/"}, "build": {"url": "https://self.example.com/"}, "slack": {"username": "no url"}},
		DownstreamHooks: []inventory.Hooks{{"build": {"url": "https://ci.example.com/hunter4"}, "slack": slack}}},
		Dependents: []inventory.Dependent{{NamespaceID: "up-id", Application: "above", Hooks: inventory.Hooks{"build": {"url": "https://ci.example.com/hunter4"}, "slack": slack}}}}
	require.NoError(t, k.store.Tx(t.Context(), func(tx *models.Store) error { return k.service.OnUpload(t.Context(), tx, u) }))
	got := map[string]models.Delivery{}
	for _, id := range []string{"ns-id", "up-id"} {
		list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NamespaceID: id})
		require.NoError(t, err)
		for _, d := range k.whole(list) {
			require.Equal(t, models.DeliveryOfHook, d.Source)
			require.NotContains(t, d.Body+d.Target, "hunter", "the settings of hooks are for nobody else")
			got[id+" "+d.Hook] = d
		}
	}
	require.Len(t, got, 4, "an application's own build hook is not called: it would build itself for ever")
	require.JSONEq(t, `{"text":"New release: *ns/dep-v1*, uploaded by ann &lt;x&gt;","username":"bot","icon_emoji":":ship:"}`, got["ns-id namespace/slack"].Body)
	const event = `{"event":"NEW_UPLOAD","project":"ns","project_hooks":{"events":{},"slack":{}},"unit":"dep","unit_hooks":{"build":{},"events":{},"slack":{}},` +
		`"downstream_hooks":[{"build":{},"slack":{}}],"version":"v1","release":"ns/dep-v1","username":"ann \u003cx\u003e"}`
	for _, hook := range []string{"ns-id namespace/events", "ns-id unit/dep/events", "up-id unit/above/build"} {
		require.Equal(t, event, got[hook].Body, hook)
		require.Equal(t, "NEW_UPLOAD", got[hook].Event)
	}
	d, err := k.store.DeliveryByID(t.Context(), got["ns-id namespace/events"].ID)
	require.NoError(t, err)
	secret, err := k.store.DeliverySecret(d)
	require.NoError(t, err)
	require.Equal(t, "hunter3", secret.Secret)
	require.Equal(t, "https://events.example.com/hunter2", secret.URL)
}

// An event stays small however many applications depend on the package, and all of them are told.
func TestManyDependents(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		u := inventory.Upload{NamespaceID: "ns-id", Event: inventory.UploadEvent{Event: inventory.EventNewUpload, Project: "ns", Unit: "dep", Release: "ns/dep-v1"}}
		hooks := inventory.Hooks{"build": {"url": "https://ci.example.com/"}}
		for i := range 25_000 {
			u.Event.DownstreamHooks = append(u.Event.DownstreamHooks, hooks)
			if i < 201 {
				u.Dependents = append(u.Dependents, inventory.Dependent{NamespaceID: "up-id", Application: "above-" + strconv.Itoa(i), Hooks: hooks})
			}
		}
		require.NoError(t, k.store.Tx(t.Context(), func(tx *models.Store) error { return k.service.OnUpload(t.Context(), tx, u) }))
		list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{NamespaceID: "up-id", Limit: 1000})
		require.NoError(t, err)
		require.Len(t, list, 201)
		var event inventory.UploadEvent
		require.NoError(t, json.Unmarshal([]byte(k.whole(list[:1])[0].Body), &event))
		require.Len(t, event.DownstreamHooks, 200)
	})
}
