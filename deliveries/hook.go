package deliveries

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/inventory"
	"slipway/models"
)

// Types of hooks.
const (
	hookSlack  = "slack"
	hookEvents = "events"
	hookBuild  = "build"
)

// maxDownstream bounds the event's downstream_hooks: with the types of some 20,000 applications no event could be recorded.
const maxDownstream = 200

// OnUpload records what goes out for a new package: to the hooks slack and events of its namespace and of its application, to
// the hook build of every application that depends on it or extends it, and to the address that the configuration names. It
// is what inventory.Service.OnUpload asks for.
func (s *Service) OnUpload(ctx context.Context, tx *models.Store, u inventory.Upload) error {
	// The settings of hooks are credentials of others: the receivers of one hook do not get them.
	shown := u.Event
	shown.ProjectHooks, shown.UnitHooks, shown.DownstreamHooks = withoutSettings(shown.ProjectHooks), withoutSettings(shown.UnitHooks), []inventory.Hooks{}
	for _, h := range u.Event.DownstreamHooks[:min(len(u.Event.DownstreamHooks), maxDownstream)] {
		shown.DownstreamHooks = append(shown.DownstreamHooks, withoutSettings(h))
	}
	body, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	unit := "unit/" + u.Event.Unit + "/"
	var list []models.NewDelivery
	add := func(namespaceID, owner, kind string, hooks inventory.Hooks) {
		settings, ok := hooks[kind]
		if !ok || settings["url"] == "" {
			return
		}
		n := models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: u.Event.Event, NamespaceID: namespaceID, Hook: owner + kind,
			Target: models.MaskURL(settings["url"]), Body: string(body), Secret: models.DeliverySecret{URL: settings["url"], Secret: settings["secret"]}}
		if kind == hookSlack {
			n.Body = slackBody(u.Event, settings)
		}
		list = append(list, n)
	}
	for _, kind := range []string{hookSlack, hookEvents} {
		add(u.NamespaceID, "namespace/", kind, u.Event.ProjectHooks)
		add(u.NamespaceID, unit, kind, u.Event.UnitHooks)
	}
	for _, d := range u.Dependents {
		add(d.NamespaceID, "unit/"+d.Application+"/", hookBuild, d.Hooks)
	}
	if s.UploadHook.URL != "" {
		n, err := s.UploadHook.delivery(u.Event, string(body))
		if err != nil {
			return err
		}
		list = append(list, n)
	}
	return s.Create(ctx, tx, list...)
}

// readdressByHook sets where a hook sends now.
func (s *Service) readdressByHook(ctx context.Context, tx *models.Store, n *models.NewDelivery) error {
	if n.Hook == models.HookOfInstallation {
		if s.UploadHook.URL == "" {
			return errHookGone
		}
		n.Target, n.Secret.URL, n.Secret.Secret = models.MaskURL(s.UploadHook.URL), s.UploadHook.URL, s.UploadHook.Secret
		return nil
	}
	namespace, err := tx.NamespaceByID(ctx, n.NamespaceID)
	if errors.Is(err, models.ErrNotFound) {
		return errHookGone
	}
	if err != nil {
		return err
	}
	hooks := namespace.Hooks
	owner, kind := path.Split(n.Hook)
	if application, ok := strings.CutPrefix(owner, "unit/"); ok {
		a, err := tx.ApplicationByName(ctx, namespace.Name, strings.TrimSuffix(application, "/"))
		if errors.Is(err, models.ErrNotFound) {
			return errHookGone
		}
		if err != nil {
			return err
		}
		hooks = a.Hooks
	}
	settings := inventory.HooksOf(hooks)[kind]
	if settings["url"] == "" {
		return errHookGone
	}
	n.Target, n.Secret.URL, n.Secret.Secret = models.MaskURL(settings["url"]), settings["url"], settings["secret"]
	return nil
}

// withoutSettings leaves the types of hooks.
func withoutSettings(h inventory.Hooks) inventory.Hooks {
	out := inventory.Hooks{}
	for _, kind := range slices.Sorted(maps.Keys(h)) {
		out[kind] = map[string]string{}
	}
	return out
}

// slackEscape makes a text safe in Slack's markup.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackBody is what Slack's incoming webhooks take, and other chats that understand them.
func slackBody(e inventory.UploadEvent, settings map[string]string) string {
	text := "New release: *" + slackEscape.Replace(e.Release) + "*"
	if e.Username != "" {
		text += ", uploaded by " + slackEscape.Replace(e.Username)
	}
	b, _ := json.Marshal(struct {
		Text      string `json:"text"`
		Username  string `json:"username,omitempty"`
		IconEmoji string `json:"icon_emoji,omitempty"`
	}{text, settings["username"], settings["icon_emoji"]})
	return string(b)
}
