package packages

import (
	"context"
	"net/mail"

	"slipway/models"
	"slipway/policies"
)

// ConsumerInput is what a caller says of a consumer. What is nil stays as it is; keys that a new consumer is not given are
// made.
type ConsumerInput struct {
	Email, PublicKey, PrivateKey *string
}

func (in ConsumerInput) check() error {
	var f fields
	if in.Email != nil {
		if a, err := mail.ParseAddress(*in.Email); err != nil || a.Address != *in.Email || len(*in.Email) > 320 {
			f.add("email", "must be an e-mail address")
		}
	}
	if in.PublicKey != nil {
		checkPublicKey(&f, *in.PublicKey)
	}
	if in.PrivateKey != nil {
		checkPrivateKey(&f, *in.PrivateKey)
	}
	return f.err()
}

// Consumer is a consumer with its private key.
type Consumer struct {
	models.Consumer
	PrivateKey string
}

// CreateConsumer adds a consumer to an organization.
func (s *Service) CreateConsumer(ctx context.Context, organizationID string, in ConsumerInput, by policies.Subject) (*Consumer, error) {
	// A client that has no keys may say so with empty ones.
	in.PublicKey, in.PrivateKey = given(in.PublicKey), given(in.PrivateKey)
	if in.Email == nil {
		return nil, badField("email", "is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	c := &Consumer{Consumer: models.Consumer{OrganizationID: organizationID, Email: *in.Email}}
	if in.PublicKey != nil {
		c.PublicKey = *in.PublicKey
	} else {
		c.PublicKey = NewKey()
	}
	if in.PrivateKey != nil {
		c.PrivateKey = *in.PrivateKey
	} else {
		c.PrivateKey = NewKey()
	}
	err := s.tx(ctx, by, "consumer:create", func(tx *models.Store) (audited, error) {
		err := tx.CreateConsumer(ctx, &c.Consumer, c.PrivateKey)
		return auditConsumer(&c.Consumer), err
	})
	return c, taken(err, "public_key", "is the key of another consumer already")
}

func given(text *string) *string {
	if text != nil && *text == "" {
		return nil
	}
	return text
}

// UpdateConsumer changes a consumer. The old keys end with it.
func (s *Service) UpdateConsumer(ctx context.Context, id int64, in ConsumerInput, by policies.Subject) (*Consumer, error) {
	in.PublicKey, in.PrivateKey = given(in.PublicKey), given(in.PrivateKey)
	if err := in.check(); err != nil {
		return nil, err
	}
	var c *Consumer
	err := s.tx(ctx, by, "consumer:update", func(tx *models.Store) (audited, error) {
		m, err := tx.ConsumerByID(ctx, id)
		if err != nil {
			return audited{}, err
		}
		private, err := tx.PrivateKey(m)
		if err != nil {
			return audited{}, err
		}
		m.Email, m.PublicKey = value(in.Email, m.Email), value(in.PublicKey, m.PublicKey)
		private = value(in.PrivateKey, private)
		if err := tx.UpdateConsumer(ctx, m, private); err != nil {
			return audited{}, err
		}
		c = &Consumer{Consumer: *m, PrivateKey: private}
		a := auditConsumer(m)
		a.detail["new_keys"] = in.PublicKey != nil || in.PrivateKey != nil
		return a, nil
	})
	return c, taken(err, "public_key", "is the key of another consumer already")
}

// DeleteConsumer removes a consumer with its permissions: its keys are refused from now on.
func (s *Service) DeleteConsumer(ctx context.Context, id int64, by policies.Subject) error {
	return s.tx(ctx, by, "consumer:delete", func(tx *models.Store) (audited, error) {
		c, err := tx.ConsumerByID(ctx, id)
		if err != nil {
			return audited{}, err
		}
		return auditConsumer(c), tx.DeleteConsumer(ctx, id)
	})
}

// ReadConsumer gives a consumer with its private key, and notes in the audit log that somebody has seen it.
func (s *Service) ReadConsumer(ctx context.Context, id int64, by policies.Subject) (*Consumer, error) {
	m, err := s.Store.ConsumerByID(ctx, id)
	if err != nil {
		return nil, err
	}
	list, err := s.open([]models.Consumer{*m})
	if err != nil {
		return nil, err
	}
	// Without its line in the log no key goes out.
	if err := s.Store.Audit(ctx, auditConsumer(m).entry(by, "consumer:read")); err != nil {
		return nil, err
	}
	return &list[0], nil
}

// maxAudited is how many consumers a line of the audit log names. A longer list was one of all of them.
const maxAudited = 500

// ReadConsumers gives the consumers of an organization with their private keys, and notes in the audit log that somebody
// has seen them. A non-empty email selects those with that address.
func (s *Service) ReadConsumers(ctx context.Context, organizationID, email string, by policies.Subject) ([]Consumer, error) {
	stored, err := s.Store.ListConsumers(ctx, organizationID, email)
	if err != nil {
		return nil, err
	}
	list, err := s.open(stored)
	if err != nil || len(list) == 0 {
		return list, err
	}
	seen := make([]int64, 0, min(len(list), maxAudited))
	for i := range min(len(list), maxAudited) {
		seen = append(seen, list[i].ID)
	}
	a := audited{kind: "consumers", name: email, detail: map[string]any{"organization": organizationID, "count": len(list), "consumers": seen}}
	if err := s.Store.Audit(ctx, a.entry(by, "consumer:read")); err != nil {
		return nil, err
	}
	return list, nil
}

func (s *Service) open(stored []models.Consumer) ([]Consumer, error) {
	list := make([]Consumer, 0, len(stored))
	for i := range stored {
		private, err := s.Store.PrivateKey(&stored[i])
		if err != nil {
			return nil, err
		}
		list = append(list, Consumer{Consumer: stored[i], PrivateKey: private})
	}
	return list, nil
}

// auditConsumer names a consumer in the audit log, never its private key.
func auditConsumer(c *models.Consumer) audited {
	return audited{kind: "consumer", id: c.ID, name: c.Email, detail: map[string]any{"organization": c.OrganizationID}}
}
