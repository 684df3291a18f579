package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Kinds of deliveries: how they go out.
const (
	DeliveryWebhook = "webhook" // a POST
	DeliveryMail    = "mail"
)

// Sources of deliveries: what asked for them.
const (
	DeliveryOfNotification = "notification" // a rule of a project
	DeliveryOfHook         = "hook"         // a hook of a namespace or an application
	DeliveryOfConfirmation = "confirmation" // the link of a confirmation, to somebody who may decide it
	DeliveryOfStep         = "step"         // the step webhook-trigger of a pipeline
)

// HookOfInstallation is the Hook of what goes to the address that the server's configuration names: it belongs to no project
// and no namespace.
const HookOfInstallation = "installation/upload"

// Limits of deliveries.
const (
	// DeliveryAttempts is how often a delivery is tried where it does not say: over about four hours.
	DeliveryAttempts = 10
	// MaxDeliveryAnswer is how much of an answer is kept, in bytes.
	MaxDeliveryAnswer = 4 << 10
	// MaxDeliveryBody is how long a body may be, in bytes.
	MaxDeliveryBody = 256 << 10
	maxDeliveryURL  = 2000
)

// Delivery is one message that goes out, by webhook or mail, and how far it is. What is secret of it (the address, what
// it is signed with, links in the body) is sealed; Target and Body are what may be shown.
type Delivery struct {
	// ID sorts by age. It goes out with every attempt, so that a receiver can tell a repetition, and is the workflow's id.
	ID string `gorm:"primaryKey"`
	// DedupeKey is unique where it is set: the same event for the same receiver twice is one delivery.
	DedupeKey *string
	Kind      string
	Source    string
	// Event is what happened, as in NEW_UPLOAD or failed.
	Event string
	// ProjectID and NamespaceID say whose roles decide who may read it. Neither is set of what belongs to the installation.
	ProjectID   string
	NamespaceID string
	// NotificationID is the rule, Hook the hook (as in namespace/slack, unit/web/events, or HookOfInstallation), ExecutionID
	// and ConfirmationID what it is about.
	NotificationID string
	Hook           string
	ExecutionID    string
	ConfirmationID string
	// RedeliveryOf is the delivery that somebody sent again.
	RedeliveryOf string
	// Target is the address for people: of a URL scheme and host alone.
	Target string
	// Subject is a mail's.
	Subject string
	// Body is what is sent, with secrets replaced.
	Body   string
	Sealed []byte `json:"-"`
	// Status is new, running (an attempt was made), ok, failed, cancelled, or skipped (there was no reason left to send it).
	Status Status
	Reason string
	// Attempts is how many began.
	Attempts    int
	MaxAttempts int
	// Child says that a pipeline's workflow starts the delivery's, as its child.
	Child         bool
	NextAttemptAt *time.Time
	CreatedAt     time.Time
	// StartedAt is when its workflow was started.
	StartedAt  *time.Time
	CheckedAt  time.Time
	FinishedAt *time.Time
}

// DeliveryAttempt is one try. One that has not finished is under way, or its worker was lost: the receiver may have got it.
type DeliveryAttempt struct {
	DeliveryID string `gorm:"primaryKey"`
	Number     int    `gorm:"primaryKey"`
	StartedAt  time.Time
	FinishedAt *time.Time
	// StatusCode is the answer's, of HTTP or SMTP; 0 where none came.
	StatusCode int
	// Answer is the beginning of the answer, Error why there was none.
	Answer string
	Error  string
}

// DeliverySecret is what of a delivery only its sender sees.
type DeliverySecret struct {
	// URL is where a webhook goes.
	URL string `json:"url,omitempty"`
	// Secret signs a webhook; "" for none.
	Secret string `json:"secret,omitempty"`
	// Headers are added to a webhook's request.
	Headers map[string]string `json:"headers,omitempty"`
	// Body is the body where the one that is shown differs.
	Body string `json:"body,omitempty"`
	// To is a mail's receiver.
	To string `json:"to,omitempty"`
	// Hide lists values that must not be shown when an answer repeats them, besides URL, Secret and Headers.
	Hide []string `json:"hide,omitempty"`
}

// NewDelivery is what CreateDelivery needs. Kind, Source, Event and Body are required, of Secret the URL or the receiver.
type NewDelivery struct {
	Kind, Source, Event                       string
	ProjectID, NamespaceID                    string
	NotificationID, Hook                      string
	ExecutionID, ConfirmationID, RedeliveryOf string
	Subject                                   string
	// Target is what is shown of the address.
	Target string
	// Body is what is sent. ShownBody, where set, is what is shown instead.
	Body, ShownBody string
	Secret          DeliverySecret
	// DedupeKey, where set, makes the same delivery twice one.
	DedupeKey string
	// MaxAttempts is how often it is tried; 0 means DeliveryAttempts.
	MaxAttempts int
	// Child says that the caller starts the workflow (see workflows.Delivery) as a child of ExecutionID's. A delivery that is
	// no child is started by the deliverer, soon after the commit.
	Child bool
}

// ErrDeliveryTooLong says that a delivery's body is longer than MaxDeliveryBody. No statement was made: a transaction
// around it can go on.
var ErrDeliveryTooLong = errors.New("the delivery is too long to be recorded")

// Check returns an ErrDeliveryTooLong for a delivery that cannot be recorded.
func (n NewDelivery) Check() error {
	if len(n.Body) > MaxDeliveryBody {
		return fmt.Errorf("%w: its body has %d bytes, more than %d", ErrDeliveryTooLong, len(n.Body), MaxDeliveryBody)
	}
	return nil
}

// newDelivery is a delivery as it is stored. ErrDeliveryTooLong.
func (s *Store) newDelivery(n NewDelivery) (*Delivery, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	now := s.Now()
	d := &Delivery{ID: NewID(), Kind: n.Kind, Source: n.Source, Event: clean(n.Event), ProjectID: n.ProjectID, NamespaceID: n.NamespaceID, NotificationID: n.NotificationID,
		Hook: n.Hook, ExecutionID: n.ExecutionID, ConfirmationID: n.ConfirmationID, RedeliveryOf: n.RedeliveryOf, Target: shorten(clean(n.Target), maxDeliveryURL),
		Subject: shorten(clean(n.Subject), 500), Body: clean(n.Body), Status: StatusNew, MaxAttempts: n.MaxAttempts, Child: n.Child, CreatedAt: now, CheckedAt: now}
	if d.MaxAttempts <= 0 {
		d.MaxAttempts = DeliveryAttempts
	}
	if n.ShownBody != "" {
		d.Body, n.Secret.Body = clean(n.ShownBody), n.Body
	}
	if n.DedupeKey != "" {
		d.DedupeKey = &n.DedupeKey
	}
	var err error
	d.Sealed, err = s.sealJSON(n.Secret, place("deliveries", "sealed", d.ID))
	return d, err
}

// CreateDelivery records a delivery; in a transaction, it goes out if and only if that commits. Where the key is known it
// gives that delivery and false. ErrDeliveryTooLong.
func (s *Store) CreateDelivery(ctx context.Context, n NewDelivery) (*Delivery, bool, error) {
	d, err := s.newDelivery(n)
	if err != nil {
		return nil, false, err
	}
	// An error would end the caller's transaction on PostgreSQL, so a key that is taken is none.
	insert := s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(d)
	if insert.Error != nil || insert.RowsAffected == 1 {
		return d, insert.Error == nil, insert.Error
	}
	var old Delivery
	if err := one(s.writer(ctx).Where("dedupe_key = ?", n.DedupeKey).Take(&old)); err != nil {
		return nil, false, err
	}
	return &old, false, nil
}

// CreateDeliveries is CreateDelivery for many at once, none of which has a key: on PostgreSQL in one statement, so that an
// upload on which thousands of applications depend does not wait for thousands of round trips. It gives their ids.
// ErrDeliveryTooLong, and then nothing was recorded.
func (s *Store) CreateDeliveries(ctx context.Context, list []NewDelivery) ([]string, error) {
	rows := make([]*Delivery, len(list))
	ids := make([]string, len(list))
	for i, n := range list {
		if n.DedupeKey != "" {
			return nil, errors.New("deliveries with a key are recorded one by one")
		}
		d, err := s.newDelivery(n)
		if err != nil {
			return nil, err
		}
		rows[i], ids[i] = d, d.ID
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return ids, s.insertDeliveries(ctx, rows)
}

// DeliverySecret opens what is sealed of a delivery. Its Body is what is to be sent.
func (s *Store) DeliverySecret(d *Delivery) (DeliverySecret, error) {
	var out DeliverySecret
	err := s.unsealJSON(d.Sealed, place("deliveries", "sealed", d.ID), &out)
	if out.Body == "" {
		out.Body = d.Body
	}
	return out, err
}

// DeliveryByID finds a delivery.
func (s *Store) DeliveryByID(ctx context.Context, id string) (*Delivery, error) {
	if !storable(id) {
		return nil, ErrNotFound
	}
	return take[Delivery](s.reader(ctx).Where("id = ?", id))
}

// DeliveryFilter selects deliveries. One of the first three members, or Hook with HookOfInstallation, is required; the other
// empty ones select all.
type DeliveryFilter struct {
	ProjectID, NamespaceID, ExecutionID string
	NotificationID, Hook, Source, Event string
	Status                              Status
	// Before is the id of a delivery: only older ones.
	Before string
	// Limit is how many at most; 0 means 50, 1000 is the most.
	Limit int
}

// ListDeliveries gives deliveries, newest first, without what is sealed and without their bodies.
func (s *Store) ListDeliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error) {
	q := s.reader(ctx).Omit("sealed", "body")
	for _, c := range [][2]string{{"project_id", f.ProjectID}, {"namespace_id", f.NamespaceID}, {"execution_id", f.ExecutionID}, {"notification_id", f.NotificationID},
		{"hook", f.Hook}, {"source", f.Source}, {"event", f.Event}, {"status", string(f.Status)}} {
		switch c[1] {
		case "":
		case HookOfInstallation:
			q = q.Where("hook = '" + HookOfInstallation + "'") // as the condition of its index says it
		default:
			q = q.Where(c[0]+" = ?", clean(c[1]))
		}
	}
	if f.Before != "" {
		q = q.Where("id < ?", clean(f.Before))
	}
	if f.Limit <= 0 {
		f.Limit = 50
	}
	return all[Delivery](q.Order("id DESC").Limit(min(f.Limit, 1000)))
}

// DeliveryAttempts gives the attempts of deliveries, in order.
func (s *Store) DeliveryAttempts(ctx context.Context, ids ...string) ([]DeliveryAttempt, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return all[DeliveryAttempt](s.reader(ctx).Where("delivery_id IN ?", ids).Order("delivery_id, number"))
}

// openDelivery are the statuses of deliveries that have not ended.
var openDelivery = []Status{StatusNew, StatusRunning}

// BeginDeliveryAttempt counts an attempt before it is made, so that one whose worker is lost counts too. It gives the
// attempt's number, from 1. ErrFinal says that the delivery has ended.
func (s *Store) BeginDeliveryAttempt(ctx context.Context, id string) (int, error) {
	var number int
	err := s.Tx(ctx, func(tx *Store) error {
		var rows []Delivery
		now := tx.Now()
		u := tx.writer(ctx).Raw(`UPDATE deliveries SET attempts = attempts + 1, status = ?, next_attempt_at = NULL, started_at = COALESCE(started_at, ?), checked_at = ?
			WHERE id = ? AND status IN ? RETURNING attempts`, StatusRunning, now, now, id, openDelivery).Scan(&rows)
		if u.Error != nil {
			return u.Error
		}
		if len(rows) == 0 {
			return ErrFinal
		}
		number = rows[0].Attempts
		return tx.writer(ctx).Create(&DeliveryAttempt{DeliveryID: id, Number: number, StartedAt: now}).Error
	})
	return number, err
}

// EndDeliveryAttempt records how an attempt went and, with it, that the delivery has ended, or when the next attempt is
// due: to is StatusRunning then. A delivery that was ended meanwhile stays as it is.
func (s *Store) EndDeliveryAttempt(ctx context.Context, a DeliveryAttempt, to Status, reason string, next *time.Time) error {
	return s.Tx(ctx, func(tx *Store) error {
		now := tx.Now()
		if err := tx.writer(ctx).Model(&DeliveryAttempt{}).Where("delivery_id = ? AND number = ? AND finished_at IS NULL", a.DeliveryID, a.Number).
			Updates(map[string]any{"finished_at": now, "status_code": a.StatusCode, "answer": shorten(clean(a.Answer), MaxDeliveryAnswer), "error": shorten(clean(a.Error), 1000)}).Error; err != nil {
			return err
		}
		set := map[string]any{"status": to, "reason": shorten(clean(reason), 1000), "next_attempt_at": next, "checked_at": now}
		if to.Final() {
			set["finished_at"] = now
		}
		return tx.writer(ctx).Model(&Delivery{}).Where("id = ? AND status IN ?", a.DeliveryID, openDelivery).Updates(set).Error
	})
}

// EndDelivery ends a delivery without another attempt. ErrFinal says that it had ended.
func (s *Store) EndDelivery(ctx context.Context, id string, to Status, reason string) error {
	if !to.Final() {
		return fmt.Errorf("status %s does not end a delivery", to)
	}
	err := changed(s.writer(ctx).Model(&Delivery{}).Where("id = ? AND status IN ?", id, openDelivery).
		Updates(map[string]any{"status": to, "reason": shorten(clean(reason), 1000), "next_attempt_at": nil, "finished_at": s.Now()}))
	if errors.Is(err, ErrConflict) {
		return ErrFinal
	}
	return err
}

// DeliveryStarted records that the workflow of a delivery was started.
func (s *Store) DeliveryStarted(ctx context.Context, id string) error {
	now := s.Now()
	return s.writer(ctx).Model(&Delivery{}).Where("id = ?", id).Updates(map[string]any{"started_at": gorm.Expr("COALESCE(started_at, ?)", now), "checked_at": now}).Error
}

// TakeDeliveries gives open deliveries that nobody has looked at since the times given, those that were never started and
// the others, and marks them as looked at, so that several processes share the work.
func (s *Store) TakeDeliveries(ctx context.Context, unstarted, others time.Time, limit int) ([]Delivery, error) {
	var list []Delivery
	err := s.writer(ctx).Raw(s.takeDeliveriesSQL(), map[string]any{"now": s.Now(), "unstarted": unstarted, "others": others, "limit": limit}).Scan(&list).Error
	slices.SortFunc(list, func(a, b Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list, err
}

// DeleteOldDeliveries removes deliveries that ended before a time, limit at most, and says how many. The steps that ran as
// one of them keep how it ended: until then they took that from the delivery.
func (s *Store) DeleteOldDeliveries(ctx context.Context, before time.Time, limit int) (int64, error) {
	var n int64
	err := s.Tx(ctx, func(tx *Store) error {
		n = 0
		var ids, steps []string
		var old []struct{ ID, Source string }
		if err := tx.writer(ctx).Model(&Delivery{}).Select("id", "source").Where("finished_at < ?", before).Order("finished_at").Limit(limit).Find(&old).Error; err != nil {
			return err
		}
		for _, d := range old {
			ids = append(ids, d.ID)
			if d.Source == DeliveryOfStep {
				steps = append(steps, d.ID)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		if len(steps) > 0 {
			if err := tx.writer(ctx).Exec(`UPDATE execution_steps SET delivery_id = '', status = d.status, reason = d.reason, started_at = d.created_at, finished_at = d.finished_at
				FROM deliveries d WHERE d.id = execution_steps.delivery_id AND execution_steps.delivery_id <> '' AND execution_steps.delivery_id IN ?`, steps).Error; err != nil {
				return err
			}
		}
		d := tx.writer(ctx).Where("id IN ?", ids).Delete(&Delivery{})
		n = d.RowsAffected
		return d.Error
	})
	return n, err
}
