package own

import (
	"context"
	"net/http"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// Delivery is one webhook or mail, and how far it is.
type Delivery struct {
	// ID is what receivers get with every attempt, too.
	ID string `json:"id"`
	// Kind is webhook or mail; Source what asked for it: notification, hook, confirmation or step.
	Kind   string `json:"kind"`
	Source string `json:"source"`
	Event  string `json:"event"`
	// Notification is the id of the rule, Hook the hook: namespace/slack, unit/web/events of the application web, or
	// installation/upload.
	Notification string `json:"notification,omitempty"`
	Hook         string `json:"hook,omitempty"`
	Execution    string `json:"execution,omitempty"`
	RedeliveryOf string `json:"redelivery_of,omitempty"`
	// Target is where it goes: of a webhook's address the scheme and the host.
	Target string `json:"target"`
	// Status is new, running (an attempt was made), ok, failed, cancelled or skipped.
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	Attempts    int    `json:"attempts"`
	MaxAttempts int    `json:"max_attempts"`
	// NextAttemptAt is when it is tried again.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	FinishedAt    *time.Time `json:"finished_at,omitempty"`
}

// DeliveryDetail is a delivery with what was sent and what came back.
type DeliveryDetail struct {
	Delivery
	Subject string `json:"subject,omitempty"`
	// Body is what is sent, with the codes of links replaced.
	Body string            `json:"body"`
	Log  []DeliveryAttempt `json:"log"`
}

// DeliveryAttempt is one try.
type DeliveryAttempt struct {
	Number    int       `json:"number"`
	StartedAt time.Time `json:"started_at"`
	// FinishedAt is absent while it is under way, and where its worker was lost: the receiver may have got it then.
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	DurationMS int64      `json:"duration_ms,omitempty"`
	// StatusCode is the answer's, of HTTP or SMTP; absent where none came.
	StatusCode int `json:"status_code,omitempty"`
	// Answer is its beginning, 4 KiB at most, Error why it did not arrive.
	Answer string `json:"answer,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (s *surface) deliveryRows() []api.Row {
	var rows []api.Row
	for _, of := range []struct {
		path, operation, what string
		may                   func(verb string) api.Permission
		list, get, again      api.Handler
	}{
		{base + "projects/{project}/deliveries/", "Project", "of a project's notifications, confirmations and pipelines",
			func(verb string) api.Permission { return api.Permission{Action: "delivery:" + verb, On: s.onProject} },
			api.Handle(s.listProjectDeliveries), api.Handle(s.getProjectDelivery), api.Handle(s.redeliverOfProject)},
		{base + "namespaces/{namespace}/deliveries/", "Namespace", "of the hooks of a namespace and its applications",
			func(verb string) api.Permission {
				return api.Permission{Action: "hook-delivery:" + verb, On: s.onNamespace, ReadAction: "namespace:read"}
			},
			api.Handle(s.listNamespaceDeliveries), api.Handle(s.getNamespaceDelivery), api.Handle(s.redeliverOfNamespace)},
		{base + "deliveries/", "Installation", "to the address that the server's configuration names for uploads",
			func(verb string) api.Permission {
				return api.Permission{Action: map[string]string{"read": "installation:read", "redeliver": "installation:update"}[verb]}
			},
			api.Handle(s.listInstallationDeliveries), api.Handle(s.getInstallationDelivery), api.Handle(s.redeliverOfInstallation)},
	} {
		rows = append(rows,
			api.Row{Method: http.MethodGet, Path: of.path, Operation: "list" + of.operation + "Deliveries", Summary: "List the webhooks and mails " + of.what + ", newest first.",
				Permission: of.may("read"), Handler: of.list},
			api.Row{Method: http.MethodGet, Path: of.path + "{delivery}/", Operation: "get" + of.operation + "Delivery", Summary: "Get a delivery, with every attempt and what was answered.",
				Permission: of.may("read"), Handler: of.get},
			api.Row{Method: http.MethodPost, Path: of.path + "{delivery}/redeliver", Operation: "redeliver" + of.operation + "Delivery",
				Summary: "Send a delivery that has ended again, as a new one.", Permission: of.may("redeliver"), Success: http.StatusAccepted, Handler: of.again})
	}
	return rows
}

// onNamespace resolves {namespace}: it belongs to its project or, without one, to its organization.
func (s *surface) onNamespace(r *api.Request) (api.Resource, error) {
	ctx := r.HTTP.Context()
	n, err := s.Store.NamespaceByName(ctx, r.Param("namespace"))
	if err != nil {
		return resource(api.ProjectScope{}, err, "namespace", "")
	}
	if n.ProjectID != nil {
		p, err := s.Scopes.ProjectByID(ctx, *n.ProjectID)
		return resource(p, err, "namespace", n.ID)
	}
	o, err := s.Scopes.Organization(ctx, n.OrganizationID)
	if err != nil {
		return resource(api.ProjectScope{}, err, "namespace", n.ID)
	}
	return o.Resource("namespace", n.ID), nil
}

func showDelivery(d *models.Delivery) Delivery {
	return Delivery{ID: d.ID, Kind: d.Kind, Source: d.Source, Event: d.Event, Notification: d.NotificationID, Hook: d.Hook, Execution: d.ExecutionID, RedeliveryOf: d.RedeliveryOf,
		Target: d.Target, Status: string(d.Status), Reason: d.Reason, Attempts: d.Attempts, MaxAttempts: d.MaxAttempts, NextAttemptAt: d.NextAttemptAt, CreatedAt: d.CreatedAt, FinishedAt: d.FinishedAt}
}

type deliveryQuery struct {
	// Notification is the name or id of a rule, Hook as in a delivery, Execution an id.
	Notification string `query:"notification" validate:"max=200"`
	Hook         string `query:"hook" validate:"max=200"`
	Execution    string `query:"execution" validate:"max=100"`
	Source       string `query:"source" validate:"omitempty,oneof=notification hook confirmation step"`
	Event        string `query:"event" validate:"max=64"`
	Status       string `query:"status" validate:"omitempty,oneof=new running ok failed cancelled skipped"`
	PageSize     int    `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of a delivery: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (q deliveryQuery) filter() models.DeliveryFilter {
	return models.DeliveryFilter{ExecutionID: q.Execution, NotificationID: q.Notification, Hook: q.Hook, Source: q.Source, Event: q.Event, Status: models.Status(q.Status),
		Before: q.PageFrom, Limit: q.PageSize}
}

func (s *surface) listDeliveries(ctx context.Context, f models.DeliveryFilter) ([]Delivery, error) {
	list, err := s.Store.ListDeliveries(ctx, f)
	if err != nil {
		return nil, err
	}
	return api.Each(list, showDelivery), nil
}

type projectDeliveries struct {
	projectRequest
	deliveryQuery
}

func (s *surface) listProjectDeliveries(ctx context.Context, r *projectDeliveries) ([]Delivery, error) {
	f := r.filter()
	f.ProjectID = projectID(ctx)
	if f.NotificationID != "" {
		// An id of one that is gone still finds what it has sent.
		n, err := s.Store.NotificationByName(ctx, f.ProjectID, f.NotificationID)
		if err == nil {
			f.NotificationID = n.ID
		} else if !isNotFound(err) {
			return nil, err
		}
	}
	return s.listDeliveries(ctx, f)
}

type namespaceRequest struct {
	Namespace string `path:"namespace" validate:"max=200"`
}

type namespaceDeliveries struct {
	namespaceRequest
	deliveryQuery
}

func (s *surface) listNamespaceDeliveries(ctx context.Context, r *namespaceDeliveries) ([]Delivery, error) {
	f := r.filter()
	f.NamespaceID = api.From(ctx).Resource.ID
	return s.listDeliveries(ctx, f)
}

type installationDeliveries struct {
	Event    string `query:"event" validate:"max=64"`
	Status   string `query:"status" validate:"omitempty,oneof=new running ok failed cancelled skipped"`
	PageSize int    `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of a delivery: every item has a lower one.
	PageFrom string `query:"page_from" validate:"max=100"`
}

func (s *surface) listInstallationDeliveries(ctx context.Context, r *installationDeliveries) ([]Delivery, error) {
	return s.listDeliveries(ctx, models.DeliveryFilter{Hook: models.HookOfInstallation, Event: r.Event, Status: models.Status(r.Status), Before: r.PageFrom, Limit: r.PageSize})
}

type projectDelivery struct {
	projectRequest
	Delivery string `path:"delivery" validate:"max=100"`
}

type namespaceDelivery struct {
	namespaceRequest
	Delivery string `path:"delivery" validate:"max=100"`
}

type installationDelivery struct {
	Delivery string `path:"delivery" validate:"max=100"`
}

// delivery finds a delivery where the caller looks for it.
func (s *surface) delivery(ctx context.Context, id string, belongs func(*models.Delivery) bool) (*models.Delivery, error) {
	d, err := s.Store.DeliveryByID(ctx, id)
	if isNotFound(err) || err == nil && !belongs(d) {
		return nil, problem.New(problem.NotFound, "there is no such delivery")
	}
	return d, err
}

func ofProject(ctx context.Context) func(*models.Delivery) bool {
	return func(d *models.Delivery) bool { return d.ProjectID == projectID(ctx) }
}

func ofNamespace(ctx context.Context) func(*models.Delivery) bool {
	return func(d *models.Delivery) bool { return d.NamespaceID == api.From(ctx).Resource.ID }
}

func ofInstallation(d *models.Delivery) bool { return d.Hook == models.HookOfInstallation }

func (s *surface) getInstallationDelivery(ctx context.Context, r *installationDelivery) (*DeliveryDetail, error) {
	return s.detail(ctx, r.Delivery, ofInstallation)
}

func (s *surface) redeliverOfInstallation(ctx context.Context, r *installationDelivery) (*Delivery, error) {
	return s.redeliver(ctx, r.Delivery, ofInstallation, "installation:update")
}

func (s *surface) getProjectDelivery(ctx context.Context, r *projectDelivery) (*DeliveryDetail, error) {
	return s.detail(ctx, r.Delivery, ofProject(ctx))
}

func (s *surface) getNamespaceDelivery(ctx context.Context, r *namespaceDelivery) (*DeliveryDetail, error) {
	return s.detail(ctx, r.Delivery, ofNamespace(ctx))
}

func (s *surface) detail(ctx context.Context, id string, belongs func(*models.Delivery) bool) (*DeliveryDetail, error) {
	d, err := s.delivery(ctx, id, belongs)
	if err != nil {
		return nil, err
	}
	attempts, err := s.Store.DeliveryAttempts(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := &DeliveryDetail{Delivery: showDelivery(d), Subject: d.Subject, Body: d.Body, Log: []DeliveryAttempt{}}
	for _, a := range attempts {
		shown := DeliveryAttempt{Number: a.Number, StartedAt: a.StartedAt, FinishedAt: a.FinishedAt, StatusCode: a.StatusCode, Answer: a.Answer, Error: a.Error}
		if a.FinishedAt != nil {
			shown.DurationMS = a.FinishedAt.Sub(a.StartedAt).Milliseconds()
		}
		out.Log = append(out.Log, shown)
	}
	return out, nil
}

func (s *surface) redeliverOfProject(ctx context.Context, r *projectDelivery) (*Delivery, error) {
	return s.redeliver(ctx, r.Delivery, ofProject(ctx), "delivery:redeliver")
}

func (s *surface) redeliverOfNamespace(ctx context.Context, r *namespaceDelivery) (*Delivery, error) {
	return s.redeliver(ctx, r.Delivery, ofNamespace(ctx), "hook-delivery:redeliver")
}

func (s *surface) redeliver(ctx context.Context, id string, belongs func(*models.Delivery) bool, action string) (*Delivery, error) {
	d, err := s.delivery(ctx, id, belongs)
	if err != nil {
		return nil, err
	}
	var again *models.Delivery
	err = s.Store.Tx(ctx, func(tx *models.Store) error {
		var err error
		if again, err = s.Deliveries.Redeliver(ctx, tx, d); err != nil {
			return err
		}
		return tx.Audit(ctx, models.AuditEntry{Action: action, ResourceKind: "delivery", ResourceID: d.ID, ResourceName: d.Event + " to " + d.Target, ProjectID: s.auditedProject(ctx, d),
			Detail: map[string]any{"redelivery": again.ID}}.ActorOf(api.SubjectOf(ctx)))
	})
	if err != nil {
		return nil, err
	}
	out := showDelivery(again)
	return &out, nil
}

// auditedProject is the project that a delivery's audit line belongs to: its own or its namespace's, "" for none.
func (s *surface) auditedProject(ctx context.Context, d *models.Delivery) string {
	if d.ProjectID != "" {
		return d.ProjectID
	}
	if d.NamespaceID == "" {
		return ""
	}
	if p, err := s.Scopes.ProjectByID(ctx, api.From(ctx).Resource.Scopes[0]); err == nil {
		return p.ID
	}
	return ""
}
