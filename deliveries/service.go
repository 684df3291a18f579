// Package deliveries sends what goes out: webhooks and mails. What is to be sent is recorded first, in the transaction of
// what caused it (models.Store.CreateDelivery), and sent by a workflow of its own (workflows.Delivery), so that no crash
// loses it. An attempt whose worker is lost between sending and recording is made again, with the same id: receivers get
// everything at least once.
//
// Who is told of what stands here too: rules of projects, hooks of the inventory, and the links of confirmations.
package deliveries

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"slipway/executions"
	"slipway/internal/mailer"
	"slipway/internal/netguard"
	"slipway/models"
	"slipway/workflows"
)

// Options are what a Service needs. Store and Client are required.
type Options struct {
	Store  *models.Store
	Client client.Client
	// Sealer opens the codes of confirmations' links.
	Sealer executions.Sealer
	// Network says which addresses webhooks may reach.
	Network netguard.Policy
	// Mail is the server that takes mails; nil where none is configured.
	Mail *mailer.Server
	// MayDecide says whether somebody may decide a confirmation.
	MayDecide executions.Decider
	// UploadHook is told of every upload.
	UploadHook UploadHook
	// PublicURL begins links; without one messages have none. ConfirmationURL makes those of confirmations of it, of the
	// project's name and the code.
	PublicURL       string
	ConfirmationURL func(publicURL, project string, e *models.Execution, code string) string
	// Version is the program's.
	Version string
	// Retention is how long deliveries are kept after their end; 0 means 30 days.
	Retention time.Duration
	// Backoff is the time after an attempt, numbered from 1, that failed; nil means Backoff.
	Backoff func(attempt int) time.Duration
	// Every is how often Run looks for what nobody has started, and for changes of status; 0 means a second.
	Every time.Duration
	// Timeout bounds one webhook; 0 means 10 s.
	Timeout time.Duration
	Log     *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Options
	http    *http.Client
	started chan string
	sent    *prometheus.CounterVec
}

// New makes a Service.
func New(o Options) *Service {
	if o.Retention == 0 {
		o.Retention = 30 * 24 * time.Hour
	}
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{Options: o, http: newClient(o.Network), started: make(chan string, 256), sent: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_delivery_attempts_total", Help: "Attempts at webhooks and mails, by kind and result: ok, again, failed."}, []string{"kind", "result"})}
}

// Register adds the metrics to a registry.
func (s *Service) Register(r prometheus.Registerer) { r.MustRegister(s.sent) }

// Create records deliveries in the surrounding transaction, those without a key in one statement. Their workflows are started
// after its commit. One that is too long to be recorded is logged and left out: it would be so in every repetition, and what
// it tells of must not fail over it.
func (s *Service) Create(ctx context.Context, tx *models.Store, list ...models.NewDelivery) error {
	var plain []models.NewDelivery
	for _, n := range list {
		if err := n.Check(); err != nil {
			s.Log.Error("a message cannot be sent", "source", n.Source, "event", n.Event, "notification", n.NotificationID, "hook", n.Hook, "execution", n.ExecutionID, "error", err)
			continue
		}
		if n.DedupeKey == "" && !n.Child {
			plain = append(plain, n)
			continue
		}
		d, isNew, err := tx.CreateDelivery(ctx, n)
		if err != nil {
			return err
		}
		if isNew && !d.Child {
			s.StartAfterCommit(tx, d.ID)
		}
	}
	ids, err := tx.CreateDeliveries(ctx, plain)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.StartAfterCommit(tx, id)
	}
	return nil
}

// StartAfterCommit starts a delivery's workflow once the transaction has committed, without waiting for it. Where that
// does not happen, Run starts it.
func (s *Service) StartAfterCommit(tx *models.Store, id string) {
	tx.AfterCommit(func() {
		select {
		case s.started <- id:
		default: // Run finds it
		}
	})
}

// startTimeout bounds the call that starts a workflow.
const startTimeout = 3 * time.Second

// start starts the workflow of a delivery. Its id is the delivery's, so that starting twice is starting once.
func (s *Service) start(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := s.Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.QueueDeliveries,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, workflows.DeliveryWorkflow, workflows.DeliveryInput{DeliveryID: id})
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &already) {
		return err
	}
	return s.Store.DeliveryStarted(ctx, id)
}

// CheckAddress says why a webhook may not go to an address, as far as that shows without asking for it: where it names an
// address and no host. All addresses are checked when they are dialled.
func (s *Service) CheckAddress(address string) error {
	if err := models.CheckWebhookURL(address); err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return s.Network.Check(ip)
	}
	return nil
}

// Redeliver sends a delivery again, as a new one, to where its rule, its hook or its pipeline's step sends today; the link of
// a confirmation only to somebody who may still decide. A delivery that has not ended is a conflict, and so is one whose
// rule, hook or step is gone. It belongs in a transaction with the audit line.
func (s *Service) Redeliver(ctx context.Context, tx *models.Store, d *models.Delivery) (*models.Delivery, error) {
	if !d.Status.Final() {
		return nil, errOpen
	}
	secret, err := tx.DeliverySecret(d)
	if err != nil {
		return nil, err
	}
	n := models.NewDelivery{Kind: d.Kind, Source: d.Source, Event: d.Event, ProjectID: d.ProjectID, NamespaceID: d.NamespaceID, NotificationID: d.NotificationID,
		Hook: d.Hook, ExecutionID: d.ExecutionID, ConfirmationID: d.ConfirmationID, RedeliveryOf: d.ID, Subject: d.Subject, Target: d.Target, Body: secret.Body, Secret: secret}
	if secret.Body != d.Body {
		n.ShownBody = d.Body
	}
	n.Secret.Body = ""
	switch d.Source {
	case models.DeliveryOfNotification:
		err = readdressByRule(ctx, tx, &n)
	case models.DeliveryOfHook:
		err = s.readdressByHook(ctx, tx, &n)
	case models.DeliveryOfStep:
		err = readdressByStep(ctx, tx, d, &n)
	case models.DeliveryOfConfirmation:
		err = s.stillDecides(ctx, tx, &n)
	}
	if err != nil {
		return nil, err
	}
	again, _, err := tx.CreateDelivery(ctx, n)
	if err != nil {
		return nil, err
	}
	s.StartAfterCommit(tx, again.ID)
	return again, nil
}

// readdressByRule sets where a rule sends now. A mail goes to its receiver alone, as long as the rule names them.
func readdressByRule(ctx context.Context, tx *models.Store, n *models.NewDelivery) error {
	rule, err := tx.NotificationByID(ctx, n.NotificationID)
	if errors.Is(err, models.ErrNotFound) {
		return errRuleGone
	}
	if err != nil {
		return err
	}
	if rule.Kind != n.Kind || n.Kind == models.DeliveryMail && !slices.Contains(rule.Addresses, n.Secret.To) {
		return errRuleGone
	}
	if n.Kind == models.DeliveryMail {
		return nil
	}
	now, err := tx.NotificationSecret(rule)
	if err != nil {
		return err
	}
	n.Target, n.Secret.URL, n.Secret.Secret, n.Secret.Headers = rule.Target, now.URL, now.Secret, now.Headers
	return nil
}
