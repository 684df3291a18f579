package deliveries

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/executions"
	"slipway/models"
	"slipway/policies"
)

// maxConfirmationMails bounds how many people are asked for one decision by mail.
const maxConfirmationMails = 100

// ConfirmationLinks makes the messages that ask for a decision: by mail, where a mail server is configured, to those who may
// decide, and by the rules of the project that name the event confirmation. reminder is 0 for the first message; the same
// number twice is the same message. They are sent with Create, in the transaction that opens the confirmation.
//
// It reads outside of any transaction, and may take a while.
func (s *Service) ConfirmationLinks(ctx context.Context, e *models.Execution, c *models.Confirmation, code string, reminder int) ([]models.NewDelivery, error) {
	rules, err := s.Store.ListNotifications(ctx, e.ProjectID)
	if err != nil {
		return nil, err
	}
	p, err := s.confirmationPayload(e, c, code, reminder)
	if err != nil {
		return nil, err
	}
	if p.Confirmation.Shortage, err = executions.Shortage(ctx, s.Store, s.MayDecide, e, c); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("confirmation/%s/%d", c.ID, reminder)
	of := models.NewDelivery{ExecutionID: e.ID, ConfirmationID: c.ID}
	var list []models.NewDelivery
	for i := range rules {
		rule := &rules[i]
		if rule.EventFor(models.EventConfirmation, false) == "" || !rule.Tells(e.Kind, e.SubjectName, "", e.ParentID != "") {
			continue
		}
		p.Notification = rule.Name
		list = append(list, s.ofRule(s.Store, rule, p, of, key)...)
	}
	if s.Mail != nil {
		p.Notification = ""
		people, err := s.deciders(ctx, e, c)
		if err != nil {
			return nil, err
		}
		if p.Confirmation.Shortage != "" {
			// Those who wait for it must know, or nobody does. They have no part in the decision, so they get no link.
			starters, err := s.starters(ctx, e, people)
			if err != nil {
				return nil, err
			}
			unlinked := p
			about := *p.Confirmation
			about.URL = ""
			unlinked.Confirmation = &about
			for _, u := range starters {
				list = append(list, s.confirmationMail(of, u, unlinked, e, key))
			}
		}
		for _, u := range people {
			if models.CheckMailAddress(u.Email) != nil {
				continue
			}
			list = append(list, s.confirmationMail(of, u, p, e, key))
		}
	}
	for i := range list {
		hideCode(&list[i], code)
	}
	return list, nil
}

// confirmationMail is the mail to one person.
func (s *Service) confirmationMail(of models.NewDelivery, u models.User, p Payload, e *models.Execution, key string) models.NewDelivery {
	n := mailTo(of, u.Email, p)
	n.Source, n.Event, n.ProjectID = models.DeliveryOfConfirmation, models.EventConfirmation, e.ProjectID
	n.DedupeKey = key + "/" + u.ID
	return n
}

// starters are the people with an address behind an execution, without those who are asked.
func (s *Service) starters(ctx context.Context, e *models.Execution, asked []models.User) ([]models.User, error) {
	who, err := s.Store.StartersOf(ctx, e)
	if err != nil {
		return nil, err
	}
	var list []models.User
	for _, id := range who.Users {
		if len(list) == maxConfirmationMails || slices.ContainsFunc(asked, func(u models.User) bool { return u.ID == id }) {
			continue
		}
		u, err := s.Store.UserByID(ctx, id)
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !u.Disabled && models.CheckMailAddress(u.Email) == nil {
			list = append(list, *u)
		}
	}
	return list, nil
}

// RemindConfirmation sends the links of a confirmation again, to those who may decide now. number counts the reminders,
// from 1; the same one twice is sent once. A confirmation that is not open any more needs none.
func (s *Service) RemindConfirmation(ctx context.Context, confirmationID string, number int) error {
	c, err := s.Store.ConfirmationByID(ctx, confirmationID)
	if errors.Is(err, models.ErrNotFound) || err == nil && c.Status != models.ConfirmationPending {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := s.Store.ExecutionByID(ctx, c.ExecutionID)
	if err != nil {
		return err
	}
	code, err := s.Sealer.Decrypt(c.CodeSealed, "confirmation:"+c.ExecutionID)
	if err != nil {
		return fmt.Errorf("open the code of a confirmation: %w", err)
	}
	list, err := s.ConfirmationLinks(ctx, e, c, string(code), number)
	if err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx *models.Store) error { return s.Create(ctx, tx, list...) })
}

func (s *Service) confirmationPayload(e *models.Execution, c *models.Confirmation, code string, reminder int) (Payload, error) {
	var d models.PipelineDefinition
	if err := e.DefinitionInto(&d); err != nil {
		return Payload{}, err
	}
	about := &PayloadConfirmation{ID: c.ID, User: c.User, Team: c.Team, ExpiresAt: c.ExpiresAt, Reminder: reminder}
	if c.Phase < len(d.Phases) && c.Step < len(d.Phases[c.Phase].Steps) {
		about.Phase, about.Step = d.Phases[c.Phase].Name, executions.StepName(d.Phases[c.Phase].Steps[c.Step])
	}
	if s.PublicURL != "" {
		about.URL = s.ConfirmationURL(s.PublicURL, d.Project, e, code)
	}
	execution := s.payloadExecution(e)
	execution.Outcome = string(models.StatusWaiting)
	return Payload{Event: models.EventConfirmation, At: s.Store.Now(), Project: d.Project, Execution: execution, Confirmation: about}, nil
}

// deciders are the people with an address who may decide a confirmation.
func (s *Service) deciders(ctx context.Context, e *models.Execution, c *models.Confirmation) ([]models.User, error) {
	candidates, err := s.candidates(ctx, e, c)
	if err != nil {
		return nil, err
	}
	var people []models.User
	for _, u := range candidates {
		if u.Email == "" || u.Disabled {
			continue
		}
		if s.MayDecide != nil {
			subject, err := s.Store.Subject(ctx, policies.KindUser, u.ID)
			if errors.Is(err, models.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if may, err := s.MayDecide(ctx, subject, e, c); err != nil || !may {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		people = append(people, u)
	}
	return people, nil
}

func (s *Service) candidates(ctx context.Context, e *models.Execution, c *models.Confirmation) ([]models.User, error) {
	if c.User == "" && c.Team == "" {
		scopes, err := s.Store.ScopePath(ctx, e.ProjectID)
		if err != nil {
			return nil, err
		}
		return s.Store.MailRecipients(ctx, scopes, []string{policies.RoleWrite, policies.RoleOwner}, maxConfirmationMails)
	}
	named, err := s.Store.NamedDeciders(ctx, c.User, c.Team)
	if err != nil {
		return nil, err
	}
	people := named.People()
	return people[:min(len(people), maxConfirmationMails)], nil
}

// hideCode keeps the code of a link out of what is shown of a message.
func hideCode(n *models.NewDelivery, code string) {
	if !strings.Contains(n.Body, code) {
		return
	}
	n.ShownBody = strings.ReplaceAll(n.Body, code, "***")
	n.Secret.Hide = append(n.Secret.Hide, code)
}
