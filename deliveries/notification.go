package deliveries

import (
	"context"
	"errors"
	"strconv"
	"time"

	"slipway/models"
)

// eventOf is the event of a change of status.
func eventOf(s models.Status) string {
	switch s {
	case models.StatusFailed, models.StatusAbandoned:
		return models.EventFailed
	case models.StatusOK:
		return models.EventOK
	case models.StatusWaiting:
		return models.EventWaiting
	case models.StatusCancelled:
		return models.EventCancelled
	case models.StatusSkipped:
		return models.EventSkipped
	}
	return ""
}

// Expand turns the changes of status that the database noted into deliveries, until there are none to take. A change goes and its
// deliveries come in one transaction.
func (s *Service) Expand(ctx context.Context) error {
	for taken := true; taken; {
		if any, err := s.Store.HasStatusChanges(ctx); err != nil || !any {
			return err
		}
		if err := s.Store.Tx(ctx, func(tx *models.Store) error {
			changes, err := tx.TakeStatusChanges(ctx, 100)
			if err != nil {
				return err
			}
			// There may be some that cannot be taken: those that another process is expanding.
			taken = len(changes) > 0
			rules := map[string][]models.Notification{}
			for _, c := range changes {
				if _, ok := rules[c.ProjectID]; !ok {
					if rules[c.ProjectID], err = tx.ListNotifications(ctx, c.ProjectID); err != nil {
						return err
					}
				}
				if err := s.expand(ctx, tx, c, rules[c.ProjectID]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// expand makes the deliveries of one change.
func (s *Service) expand(ctx context.Context, tx *models.Store, c models.StatusChange, rules []models.Notification) error {
	event := eventOf(c.Status)
	if event == "" || len(rules) == 0 {
		return nil
	}
	e, err := tx.ExecutionByID(ctx, c.ExecutionID)
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// The execution may have gone on since; the message tells of the change.
	e.Status = c.Status
	fixed := false
	if event == models.EventOK {
		if fixed, err = tx.FailedBefore(ctx, e); err != nil {
			return err
		}
	}
	at := tx.Now()
	if c.At != nil {
		at = *c.At
	}
	in := namesOf(e)
	for i := range rules {
		rule := &rules[i]
		if !rule.Tells(e.Kind, e.SubjectName, in.Environment, e.ParentID != "") {
			continue
		}
		p := Payload{Event: rule.EventFor(event, fixed), At: at, Project: in.Project, Notification: rule.Name, Execution: s.payloadExecution(e)}
		if p.Event == "" {
			continue
		}
		list := s.ofRule(tx, rule, p, models.NewDelivery{ExecutionID: e.ID}, strconv.FormatInt(c.ID, 10))
		if err := s.Create(ctx, tx, list...); err != nil {
			return err
		}
	}
	return nil
}

// ofRule makes the deliveries of a payload by a rule: one for a webhook, one for each address of mails. of says what they
// are about; key, where set, tells this event from others.
func (s *Service) ofRule(tx *models.Store, rule *models.Notification, p Payload, of models.NewDelivery, key string) []models.NewDelivery {
	of.Kind, of.Source, of.Event, of.ProjectID, of.NotificationID = rule.Kind, models.DeliveryOfNotification, p.Event, rule.ProjectID, rule.ID
	if key != "" {
		of.DedupeKey = "n/" + rule.ID + "/" + key
	}
	if rule.Kind == models.DeliveryWebhook {
		secret, err := tx.NotificationSecret(rule)
		if err != nil {
			// It will not be readable later either, and what waits behind it must go on.
			s.Log.Error("a notification cannot be sent: its address cannot be decrypted", "notification", rule.ID, "error", err)
			return nil
		}
		of.Target, of.Body = rule.Target, p.encode()
		of.Secret = models.DeliverySecret{URL: secret.URL, Secret: secret.Secret, Headers: secret.Headers}
		return []models.NewDelivery{of}
	}
	var list []models.NewDelivery
	for i, to := range rule.Addresses {
		n := mailTo(of, to, p)
		if key != "" {
			n.DedupeKey += "/" + strconv.Itoa(i)
		}
		list = append(list, n)
	}
	return list
}

// mailTo makes a mail of a payload.
func mailTo(n models.NewDelivery, to string, p Payload) models.NewDelivery {
	n.Kind, n.Target, n.Subject, n.Body = models.DeliveryMail, to, p.title(), p.text()
	n.Secret = models.DeliverySecret{To: to}
	return n
}

// Test sends a test by a rule, in the surrounding transaction.
func (s *Service) Test(ctx context.Context, tx *models.Store, rule *models.Notification, project string) ([]models.Delivery, error) {
	list := s.ofRule(tx, rule, Payload{Event: models.EventTest, At: tx.Now().Truncate(time.Second), Project: project, Notification: rule.Name}, models.NewDelivery{MaxAttempts: 1}, "")
	var out []models.Delivery
	for _, n := range list {
		d, _, err := tx.CreateDelivery(ctx, n)
		if err != nil {
			return nil, err
		}
		s.StartAfterCommit(tx, d.ID)
		out = append(out, *d)
	}
	return out, nil
}
