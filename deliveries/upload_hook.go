package deliveries

import (
	"encoding/json"
	"maps"
	"slices"

	"slipway/inventory"
	"slipway/models"
)

// UploadHook is the one receiver that the server's configuration names: it is told of every upload, in all namespaces. The
// original inventory has the same, for a service that passes the news on to the hooks; so, unlike the receiver of any other
// hook, it gets the settings of the hooks that the upload concerns. Whoever configures it can read them anyway.
//
// What signs the deliveries of a hook, its member "secret", stays here. It is no member of the original, and the receiver
// has no use for it.
type UploadHook struct {
	// URL is where the event goes; "" for nowhere.
	URL string
	// Secret signs it; "" for no signature.
	Secret string
}

// maxUploadHooks bounds the settings in one event, in bytes of JSON. Hooks of dependents that do not fit are left out.
const maxUploadHooks = models.MaxDeliveryBody / 2

// delivery makes the delivery of an event. shown is what readers of deliveries see: the event without the settings.
func (u UploadHook) delivery(e inventory.UploadEvent, shown string) (models.NewDelivery, error) {
	n := models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: e.Event, Hook: models.HookOfInstallation, Target: models.MaskURL(u.URL),
		ShownBody: shown, Secret: models.DeliverySecret{URL: u.URL, Secret: u.Secret}}
	// The receiver may repeat in its answer what it got, and the answer can be read.
	hide := func(h inventory.Hooks) {
		for _, settings := range h {
			n.Secret.Hide = append(n.Secret.Hide, settings["url"])
		}
	}
	left := maxUploadHooks
	take := func(h inventory.Hooks) (inventory.Hooks, error) {
		h = withoutSecrets(h)
		b, err := json.Marshal(h)
		left -= len(b) + 1
		return h, err
	}
	var err error
	if e.ProjectHooks, err = take(e.ProjectHooks); err != nil {
		return n, err
	}
	if e.UnitHooks, err = take(e.UnitHooks); err != nil {
		return n, err
	}
	hide(e.ProjectHooks)
	hide(e.UnitHooks)
	downstream := []inventory.Hooks{}
	for _, h := range e.DownstreamHooks {
		if h, err = take(h); err != nil {
			return n, err
		}
		if left < 0 {
			break
		}
		hide(h)
		downstream = append(downstream, h)
	}
	e.DownstreamHooks = downstream
	slices.Sort(n.Secret.Hide)
	n.Secret.Hide = slices.Compact(n.Secret.Hide)
	body, err := json.Marshal(e)
	n.Body = string(body)
	return n, err
}

// withoutSecrets leaves the settings that the original knows.
func withoutSecrets(h inventory.Hooks) inventory.Hooks {
	out := inventory.Hooks{}
	for kind, settings := range h {
		out[kind] = maps.Clone(settings)
		delete(out[kind], "secret")
	}
	return out
}
