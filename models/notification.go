package models

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"net/textproto"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/internal/problem"
)

// Events that notifications tell of.
const (
	EventFailed    = "failed"    // it failed, or could not be started
	EventOK        = "ok"        //
	EventFixed     = "fixed"     // ok, after the one before it had failed
	EventWaiting   = "waiting"   // a pipeline waits for somebody's decision
	EventCancelled = "cancelled" //
	EventSkipped   = "skipped"   // there was nothing to do
	// EventConfirmation is EventWaiting with the link that decides. Whoever gets it may decide, unless the step names a user
	// or a team.
	EventConfirmation = "confirmation"
	// EventTest is sent when somebody asks for it.
	EventTest = "test"
)

// NotificationEvents are the events that a rule can name.
var NotificationEvents = []string{EventFailed, EventOK, EventFixed, EventWaiting, EventCancelled, EventSkipped, EventConfirmation}

// Limits of rules.
const (
	MaxNotifications         = 100 // of a project
	maxNotificationAddresses = 20
	maxNotificationPatterns  = 50
	maxNotificationHeaders   = 20
)

// Notification is a rule of a project: who is told of which executions.
type Notification struct {
	ID        string `gorm:"primaryKey"`
	ProjectID string
	Name      string
	Disabled  bool
	// Kind is webhook or mail.
	Kind string
	// Target is a webhook's address for people: its scheme and host.
	Target string
	Sealed []byte `json:"-"`
	// Addresses are who gets the mails, each one of its own.
	Addresses []string `gorm:"serializer:json"`
	// Events is what it tells of.
	Events []string `gorm:"serializer:json"`
	// Kinds (build, deployment, pipeline), Subjects (names of builds, deployment jobs and pipelines; * stands for any text
	// without a slash) and Environments narrow it; empty ones do not.
	Kinds        []string `gorm:"serializer:json"`
	Subjects     []string `gorm:"serializer:json"`
	Environments []string `gorm:"serializer:json"`
	// Steps also tells of executions that a pipeline started. They are left out otherwise: the pipeline tells.
	Steps     bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// NotificationSecret is what is sealed of a rule for a webhook.
type NotificationSecret struct {
	URL     string            `json:"url,omitempty"`
	Secret  string            `json:"secret,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Tells says whether the rule is for an execution of this kind, subject and environment; step says that a pipeline
// started it.
func (n *Notification) Tells(kind, subject, environment string, step bool) bool {
	if n.Disabled || step && !n.Steps {
		return false
	}
	has := func(list []string, value string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(pattern string) bool {
			ok, err := path.Match(pattern, value)
			return err == nil && ok
		})
	}
	return has(n.Kinds, kind) && has(n.Subjects, subject) && has(n.Environments, environment)
}

// EventFor gives the event of a rule for a change: what happened, or, for ok after a failure, fixed where the rule names
// it. "" says that the rule does not tell of it.
func (n *Notification) EventFor(event string, fixed bool) string {
	if event == EventOK && fixed && slices.Contains(n.Events, EventFixed) {
		return EventFixed
	}
	if slices.Contains(n.Events, event) {
		return event
	}
	return ""
}

var notificationPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// check says what is wrong with a rule.
func (n *Notification) check(secret NotificationSecret) error {
	if err := checkName("a notification", n.Name, notificationPattern); err != nil {
		return err
	}
	if len(n.Events) == 0 {
		return problem.BadField("events", "expected one or more of %s", strings.Join(NotificationEvents, ", "))
	}
	for _, e := range n.Events {
		if !slices.Contains(NotificationEvents, e) {
			return problem.BadField("events", "%q is not one of %s", shorten(e, 100), strings.Join(NotificationEvents, ", "))
		}
	}
	for _, k := range n.Kinds {
		if k != KindBuild && k != KindDeployment && k != KindPipeline {
			return problem.BadField("kinds", "%q is not one of build, deployment, pipeline", shorten(k, 100))
		}
	}
	for field, list := range map[string][]string{"subjects": n.Subjects, "environments": n.Environments} {
		if len(list) > maxNotificationPatterns {
			return problem.BadField(field, "expected at most %d", maxNotificationPatterns)
		}
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > 500 || !storable(p) {
				return problem.BadField(field, "expected names of at most 500 bytes, in which * stands for any text")
			}
		}
	}
	switch n.Kind {
	case DeliveryWebhook:
		if len(n.Addresses) > 0 {
			return problem.BadField("addresses", "a webhook has none")
		}
		return checkWebhook(secret)
	case DeliveryMail:
		if secret.URL != "" || secret.Secret != "" || len(secret.Headers) > 0 {
			return problem.BadField("url", "a mail has no url, secret and headers")
		}
		if len(n.Addresses) == 0 || len(n.Addresses) > maxNotificationAddresses {
			return problem.BadField("addresses", "expected 1 to %d", maxNotificationAddresses)
		}
		for _, a := range n.Addresses {
			if err := CheckMailAddress(a); err != nil {
				return problem.BadField("addresses", "%q: %v", shorten(clean(a), 100), err)
			}
		}
		return nil
	}
	return problem.BadField("kind", "expected webhook or mail")
}

func checkWebhook(secret NotificationSecret) error {
	if err := CheckWebhookURL(secret.URL); err != nil {
		return problem.BadField("url", "%v", err)
	}
	if len(secret.Secret) > 1000 || !storable(secret.Secret) {
		return problem.BadField("secret", "expected at most 1000 bytes of text")
	}
	if err := CheckWebhookHeaders(secret.Headers); err != nil {
		return problem.BadField("headers", "%v", err)
	}
	return nil
}

// CheckWebhookURL says what is wrong with the address of a webhook. Where it leads is checked when it is dialled.
func CheckWebhookURL(address string) error {
	if len(address) > maxDeliveryURL || !storable(address) || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7F }) {
		return fmt.Errorf("expected at most %d characters without spaces", maxDeliveryURL)
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("expected an address that begins with https:// or http://")
	}
	return nil
}

// MaskURL gives an address for people: its scheme and host. The rest often is the credential.
func MaskURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "…"
	}
	shown := u.Scheme + "://" + u.Host
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		shown += "/…"
	}
	return shown
}

// headersOfOurs cannot be set: they are what the receiver relies on, or say how the request is to be read.
var headersOfOurs = []string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Expect", "User-Agent"}

// headerName is a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")

// CheckWebhookHeaders says what is wrong with headers that are to be added to a webhook's request.
func CheckWebhookHeaders(headers map[string]string) error {
	if len(headers) > maxNotificationHeaders {
		return fmt.Errorf("expected at most %d", maxNotificationHeaders)
	}
	for name, value := range headers {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if !headerName.MatchString(name) {
			return fmt.Errorf("%q is not the name of a header", shorten(clean(name), 100))
		}
		if slices.Contains(headersOfOurs, canonical) || strings.HasPrefix(canonical, http.CanonicalHeaderKey("X-Slipway-")) {
			return fmt.Errorf("%s cannot be set", canonical)
		}
		if len(value) > 2000 || !storable(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }) {
			return fmt.Errorf("the value of %s cannot be sent: expected one line of at most 2000 bytes", canonical)
		}
	}
	return nil
}

// CheckMailAddress says what is wrong with a mail's address. It must be a bare one, so that nothing of it can become a
// second receiver or a header.
func CheckMailAddress(address string) error {
	if len(address) > 254 || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
		return fmt.Errorf("expected an address of at most 254 characters of ASCII, without spaces")
	}
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || strings.ContainsAny(address, "\"<>()[],;:\\") {
		return fmt.Errorf("expected an address such as ann@example.com")
	}
	return nil
}

// CreateNotification adds a rule to a project and sets its id and times. ErrExists where the name is taken.
func (s *Store) CreateNotification(ctx context.Context, n *Notification, secret NotificationSecret) error {
	if err := n.check(secret); err != nil {
		return err
	}
	return s.Tx(ctx, func(tx *Store) error {
		count, err := tx.countRows(ctx, "SELECT COUNT(*) FROM notifications WHERE project_id = ?", n.ProjectID)
		if err != nil {
			return err
		}
		if count >= MaxNotifications {
			return problem.New(problem.Conflict, "a project has at most %d notifications", MaxNotifications)
		}
		n.ID, n.CreatedAt, n.UpdatedAt = NewID(), tx.Now(), tx.Now()
		if err := tx.prepareNotification(n, secret); err != nil {
			return err
		}
		return created(tx.writer(ctx).Create(n))
	})
}

// UpdateNotification writes everything of a rule but its project and name.
func (s *Store) UpdateNotification(ctx context.Context, n *Notification, secret NotificationSecret) error {
	if err := n.check(secret); err != nil {
		return err
	}
	n.UpdatedAt = s.Now()
	if err := s.prepareNotification(n, secret); err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Notification{}).Where("id = ?", n.ID).
		Select("disabled", "kind", "target", "sealed", "addresses", "events", "kinds", "subjects", "environments", "steps", "updated_at").Updates(n))
}

func (s *Store) prepareNotification(n *Notification, secret NotificationSecret) error {
	for _, list := range []*[]string{&n.Addresses, &n.Events, &n.Kinds, &n.Subjects, &n.Environments} {
		if *list == nil {
			*list = []string{} // nil would be stored as NULL
		}
	}
	n.Target = strings.Join(n.Addresses, ", ")
	if n.Kind == DeliveryWebhook {
		n.Target = MaskURL(secret.URL)
	}
	var err error
	n.Sealed, err = s.sealJSON(secret, place("notifications", "sealed", n.ID))
	return err
}

// NotificationSecret opens what is sealed of a rule.
func (s *Store) NotificationSecret(n *Notification) (NotificationSecret, error) {
	var out NotificationSecret
	return out, s.unsealJSON(n.Sealed, place("notifications", "sealed", n.ID), &out)
}

// NotificationByName finds a rule of a project.
func (s *Store) NotificationByName(ctx context.Context, projectID, name string) (*Notification, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	return take[Notification](s.reader(ctx).Where("project_id = ? AND name = ?", projectID, name))
}

// NotificationByID finds a rule.
func (s *Store) NotificationByID(ctx context.Context, id string) (*Notification, error) {
	return take[Notification](s.reader(ctx).Where("id = ?", id))
}

// ListNotifications gives the rules of a project, by name.
func (s *Store) ListNotifications(ctx context.Context, projectID string) ([]Notification, error) {
	return all[Notification](s.reader(ctx).Where("project_id = ?", projectID).Order("name"))
}

// DeleteNotification removes a rule and ends its deliveries that have not arrived.
func (s *Store) DeleteNotification(ctx context.Context, id string) error {
	return s.Tx(ctx, func(tx *Store) error {
		if err := tx.writer(ctx).Model(&Delivery{}).Where("notification_id = ? AND status IN ?", id, openDelivery).
			Updates(map[string]any{"status": StatusCancelled, "reason": "the notification was removed", "next_attempt_at": nil, "finished_at": tx.Now()}).Error; err != nil {
			return err
		}
		return found(tx.writer(ctx).Where("id = ?", id).Delete(&Notification{}))
	})
}
