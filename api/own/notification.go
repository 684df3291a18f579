package own

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Deliveries sends webhooks and mails. *deliveries.Service is one.
type Deliveries interface {
	// Test sends a test by a rule, Redeliver a delivery again, in the transaction.
	Test(ctx context.Context, tx *models.Store, rule *models.Notification, project string) ([]models.Delivery, error)
	Redeliver(ctx context.Context, tx *models.Store, d *models.Delivery) (*models.Delivery, error)
	// CheckAddress refuses an address that webhooks may not reach, as far as it can be seen without asking for it.
	CheckAddress(url string) error
}

// Notification is a rule: who is told of which executions of a project.
type Notification struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Kind is webhook or mail.
	Kind string `json:"kind"`
	// Target is where it goes: of a webhook's address the scheme and the host, the rest is not shown.
	Target string `json:"target"`
	// HasSecret says that webhooks are signed.
	HasSecret bool `json:"has_secret"`
	// Headers are the names of those that are added; their values are not shown.
	Headers   []string `json:"headers,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// Events are some of failed, ok, fixed (ok after a failure), waiting, cancelled, skipped and confirmation.
	Events       []string  `json:"events"`
	Kinds        []string  `json:"kinds,omitempty"`
	Subjects     []string  `json:"subjects,omitempty"`
	Environments []string  `json:"environments,omitempty"`
	Steps        bool      `json:"steps"`
	Disabled     bool      `json:"disabled"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// NotificationBody is what can be set of a rule.
type NotificationBody struct {
	// Kind is webhook or mail.
	Kind string `json:"kind" validate:"required,oneof=webhook mail"`
	// URL is where a webhook goes. It, Secret and Headers are not shown again; where one is absent in an update, it stays.
	URL *string `json:"url" validate:"omitempty,max=2000"`
	// Secret signs webhooks; "" for none.
	Secret *string `json:"secret" validate:"omitempty,max=1000"`
	// Headers are added to a webhook's request.
	Headers map[string]string `json:"headers" validate:"max=20"`
	// Addresses are who gets mails.
	Addresses []string `json:"addresses" validate:"max=20,dive,max=254"`
	// Events are some of failed, ok, fixed (ok after a failure), waiting, cancelled, skipped and confirmation. The last one
	// brings the link that decides: whoever gets it may decide, unless the step names a user or a team.
	Events []string `json:"events" validate:"required,min=1,max=20"`
	// Kinds are some of build, deployment and pipeline, Subjects names of builds, deployment jobs and pipelines, Environments
	// names of environments; * stands for any text without a slash. None means all.
	Kinds        []string `json:"kinds" validate:"max=10"`
	Subjects     []string `json:"subjects" validate:"max=50,dive,max=500"`
	Environments []string `json:"environments" validate:"max=50,dive,max=500"`
	// Steps also tells of what a pipeline started.
	Steps    bool `json:"steps"`
	Disabled bool `json:"disabled"`
}

// NewNotification is a rule to be made.
type NewNotification struct {
	Name string `json:"name" validate:"required,max=100"`
	NotificationBody
}

func (s *surface) notificationRows() []api.Row {
	const list = base + "projects/{project}/notifications/"
	const one = list + "{notification}/"
	may := func(action string) api.Permission {
		return api.Permission{Action: "notification:" + action, On: s.onProject}
	}
	return []api.Row{
		{Method: http.MethodGet, Path: list, Operation: "listNotifications", Summary: "List the notifications of a project.",
			Permission: may("read"), Handler: api.Handle(s.listNotifications)},
		{Method: http.MethodPost, Path: list, Operation: "createNotification", Summary: "Add a notification: a webhook or mails when executions change their status.",
			Permission: may("create"), Handler: api.Handle(s.createNotification)},
		{Method: http.MethodGet, Path: one, Operation: "getNotification", Summary: "Get a notification.",
			Permission: may("read"), Handler: api.Handle(s.getNotification)},
		{Method: http.MethodPut, Path: one, Operation: "updateNotification", Summary: "Change a notification.",
			Permission: may("update"), Handler: api.Handle(s.updateNotification)},
		{Method: http.MethodDelete, Path: one, Operation: "deleteNotification", Summary: "Remove a notification. What it has not delivered yet is cancelled.",
			Permission: may("delete"), Success: http.StatusNoContent, Handler: api.Handle(s.deleteNotification)},
		{Method: http.MethodPost, Path: one + "test", Operation: "testNotification", Summary: "Send a test by a notification, once. The deliveries tell how it went.",
			Permission: may("test"), Success: http.StatusAccepted, Handler: api.Handle(s.testNotification)},
	}
}

func (s *surface) showNotification(n *models.Notification) (Notification, error) {
	secret, err := s.Store.NotificationSecret(n)
	if err != nil {
		return Notification{}, err
	}
	out := Notification{ID: n.ID, Name: n.Name, Kind: n.Kind, Target: n.Target, HasSecret: secret.Secret != "", Addresses: n.Addresses, Events: n.Events, Kinds: n.Kinds,
		Subjects: n.Subjects, Environments: n.Environments, Steps: n.Steps, Disabled: n.Disabled, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt}
	for name := range secret.Headers {
		out.Headers = append(out.Headers, http.CanonicalHeaderKey(name))
	}
	slices.Sort(out.Headers)
	return out, nil
}

func (b *NotificationBody) into(n *models.Notification, secret *models.NotificationSecret) {
	if b.Kind != n.Kind {
		*secret = models.NotificationSecret{}
	}
	n.Kind, n.Addresses, n.Events, n.Kinds, n.Subjects, n.Environments, n.Steps, n.Disabled = b.Kind, b.Addresses, b.Events, b.Kinds, b.Subjects, b.Environments, b.Steps, b.Disabled
	if b.URL != nil {
		secret.URL = *b.URL
	}
	if b.Secret != nil {
		secret.Secret = *b.Secret
	}
	if b.Headers != nil {
		secret.Headers = b.Headers
	}
}

type projectRequest struct {
	Project string `path:"project" validate:"max=200"`
}

func (s *surface) listNotifications(ctx context.Context, _ *projectRequest) ([]Notification, error) {
	list, err := s.Store.ListNotifications(ctx, projectID(ctx))
	if err != nil {
		return nil, err
	}
	return api.TryEach(list, s.showNotification)
}

type notificationCreate struct {
	projectRequest
	Body NewNotification `body:"json"`
}

func (s *surface) createNotification(ctx context.Context, r *notificationCreate) (*Notification, error) {
	n := &models.Notification{ProjectID: projectID(ctx), Name: r.Body.Name}
	var secret models.NotificationSecret
	r.Body.into(n, &secret)
	return s.writeNotification(ctx, "create", n, secret, (*models.Store).CreateNotification)
}

// writeNotification makes or changes a rule, with its audit line.
func (s *surface) writeNotification(ctx context.Context, verb string, n *models.Notification, secret models.NotificationSecret,
	write func(*models.Store, context.Context, *models.Notification, models.NotificationSecret) error) (*Notification, error) {
	if secret.URL != "" {
		if err := s.Deliveries.CheckAddress(secret.URL); err != nil {
			return nil, problem.BadField("url", "%v", err)
		}
	}
	err := s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := write(tx, ctx, n, secret); err != nil {
			return err
		}
		return s.auditNotification(ctx, tx, verb, n)
	})
	if errors.Is(err, models.ErrExists) {
		return nil, problem.New(problem.Exists, "the project has a notification '%s' already", n.Name)
	}
	if err != nil {
		return nil, err
	}
	out, err := s.showNotification(n)
	return &out, err
}

func (s *surface) auditNotification(ctx context.Context, tx *models.Store, verb string, n *models.Notification) error {
	return tx.Audit(ctx, models.AuditEntry{Action: "notification:" + verb, ResourceKind: "notification", ResourceID: n.ID, ResourceName: n.Name, ProjectID: n.ProjectID,
		Detail: map[string]any{"target": n.Target, "events": n.Events}}.ActorOf(api.SubjectOf(ctx)))
}

type notificationRequest struct {
	projectRequest
	Notification string `path:"notification" validate:"max=200"`
}

func (s *surface) notification(ctx context.Context, name string) (*models.Notification, error) {
	n, err := s.Store.NotificationByName(ctx, projectID(ctx), name)
	if isNotFound(err) {
		return nil, problem.New(problem.NotFound, "the project has no notification '%s'", name)
	}
	return n, err
}

func (s *surface) getNotification(ctx context.Context, r *notificationRequest) (*Notification, error) {
	n, err := s.notification(ctx, r.Notification)
	if err != nil {
		return nil, err
	}
	out, err := s.showNotification(n)
	return &out, err
}

type notificationUpdate struct {
	notificationRequest
	Body NotificationBody `body:"json"`
}

func (s *surface) updateNotification(ctx context.Context, r *notificationUpdate) (*Notification, error) {
	n, err := s.notification(ctx, r.Notification)
	if err != nil {
		return nil, err
	}
	secret, err := s.Store.NotificationSecret(n)
	if err != nil {
		return nil, err
	}
	// A secret is for the receiver that it was agreed with: whoever changes the address, and may not know the secret, must
	// not have it sent elsewhere.
	if r.Body.URL != nil && !sameHost(*r.Body.URL, secret.URL) {
		secret = models.NotificationSecret{}
	}
	r.Body.into(n, &secret)
	return s.writeNotification(ctx, "update", n, secret, (*models.Store).UpdateNotification)
}

// sameHost says whether two addresses lead to the same place, by the same scheme.
func sameHost(a, b string) bool {
	one, err1 := url.Parse(a)
	other, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && one.Scheme == other.Scheme && one.Host == other.Host
}

func (s *surface) deleteNotification(ctx context.Context, r *notificationRequest) (api.Empty, error) {
	n, err := s.notification(ctx, r.Notification)
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.Store.Tx(ctx, func(tx *models.Store) error {
		if err := tx.DeleteNotification(ctx, n.ID); err != nil {
			return err
		}
		return s.auditNotification(ctx, tx, "delete", n)
	})
}

func (s *surface) testNotification(ctx context.Context, r *notificationRequest) ([]Delivery, error) {
	n, err := s.notification(ctx, r.Notification)
	if err != nil {
		return nil, err
	}
	var list []models.Delivery
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if list, err = s.Deliveries.Test(ctx, tx, n, r.Project); err != nil {
			return err
		}
		return s.auditNotification(ctx, tx, "test", n)
	})
	if err != nil {
		return nil, err
	}
	return api.Each(list, showDelivery), nil
}
