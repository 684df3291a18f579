package app

import (
	"fmt"
	"time"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/deliveries"
	"slipway/internal/buildinfo"
	"slipway/internal/mailer"
	"slipway/models"
)

// openDeliveries makes what sends webhooks and mails, and lets the inventory and executions use it. What this process
// records is started by it, at once; what it could not start is left to the processes that reconcile.
func (a *App) openDeliveries(backoff func(attempt int) time.Duration) error {
	var mail *mailer.Server
	if a.Config.SMTPURL != "" {
		var err error
		if mail, err = mailer.Parse(string(a.Config.SMTPURL), a.Config.SMTPFrom); err != nil {
			return fmt.Errorf("SLIPWAY_SMTP_URL and SLIPWAY_SMTP_FROM: %w", err)
		}
	}
	if a.Config.WebHook != "" {
		if err := models.CheckWebhookURL(string(a.Config.WebHook)); err != nil {
			return fmt.Errorf("SLIPWAY_WEB_HOOK: %w", err)
		}
	}
	scopes := api.NewScopes(a.Store, api.ScopesOptions{NamespaceProject: a.projectOfNamespace})
	links := confirm.Links{Executions: a.Service, Store: a.Store, Scopes: scopes, Policy: a.Policy}
	a.Deliveries = deliveries.New(deliveries.Options{Store: a.Store, Client: a.Temporal, Sealer: a.Keys, Network: a.sourcePolicy().Network, Mail: mail, MayDecide: links.MayDecide,
		UploadHook: deliveries.UploadHook{URL: string(a.Config.WebHook), Secret: string(a.Config.WebHookSecret)},
		PublicURL:  a.Config.PublicURL, ConfirmationURL: confirm.URL, Version: buildinfo.Version, Retention: a.Config.DeliveryRetention, Backoff: backoff, Log: a.Log})
	a.Deliveries.Register(a.Registry)
	a.Inventory.OnUpload = a.Deliveries.OnUpload
	a.Service.SetReminder(a.Deliveries.RemindConfirmation)
	go a.Deliveries.Start(a.ctx)
	return nil
}
