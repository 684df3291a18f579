package models

import (
	"context"
	"strings"
	"time"
)

// Consumer is somebody who installs packages of an organization, with a key pair as user name and password.
type Consumer struct {
	ID             int64
	OrganizationID string
	// Email is whom to write to. Several consumers may have the same. EmailKey is what it is found by.
	Email, EmailKey string
	// PublicKey is unique in the installation: clients send no organization.
	PublicKey        string
	SealedPrivateKey []byte `gorm:"column:private_key" json:"-"`
	// Modified is the consumer's Last-Modified in seconds since 1970: see package_change.go.
	Modified  int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TableName names the table.
func (Consumer) TableName() string { return "consumers" }

// emailKey makes addresses that differ only in case the same one.
func emailKey(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// privateKeyPlace binds a private key to its public one: a ciphertext that was moved to another row is of no use.
func privateKeyPlace(publicKey string) string { return place("consumers", "private_key", publicKey) }

// CreateConsumer adds a consumer, encrypts its private key, and sets its id and times. ErrExists where the public key is
// taken.
func (s *Store) CreateConsumer(ctx context.Context, c *Consumer, privateKey string) error {
	var err error
	if c.SealedPrivateKey, err = s.seal([]byte(privateKey), privateKeyPlace(c.PublicKey)); err != nil {
		return err
	}
	return s.changePackages(ctx, func(ch *packageChange) error {
		c.ID, c.Modified, c.EmailKey = 0, ch.next(), emailKey(c.Email)
		c.CreatedAt = ch.Now()
		c.UpdatedAt = c.CreatedAt
		return created(ch.writer(ctx).Create(c))
	})
}

// PrivateKey opens a consumer's private key.
func (s *Store) PrivateKey(c *Consumer) (string, error) {
	b, err := s.unseal(c.SealedPrivateKey, privateKeyPlace(c.PublicKey))
	return string(b), err
}

// ConsumerByID finds a consumer.
func (s *Store) ConsumerByID(ctx context.Context, id int64) (*Consumer, error) {
	var c Consumer
	return &c, one(s.reader(ctx).Where("id = ?", id).Take(&c))
}

// ConsumerByPublicKey finds a consumer by its public key.
func (s *Store) ConsumerByPublicKey(ctx context.Context, key string) (*Consumer, error) {
	var c Consumer
	if !storable(key) {
		return nil, ErrNotFound
	}
	return &c, one(s.reader(ctx).Where("public_key = ?", key).Take(&c))
}

// ListConsumers gives the consumers of an organization in the order in which they were added. A non-empty email selects
// those with that address, in whatever case it is written.
func (s *Store) ListConsumers(ctx context.Context, organizationID, email string) ([]Consumer, error) {
	q := s.reader(ctx).Where("organization_id = ?", organizationID)
	if email != "" {
		q = q.Where("email_key = ?", clean(emailKey(email)))
	}
	return all[Consumer](q.Order("id"))
}

// UpdateConsumer writes address and keys of a consumer and sets its time. ErrExists where the public key is another one's.
func (s *Store) UpdateConsumer(ctx context.Context, c *Consumer, privateKey string) error {
	var err error
	if c.SealedPrivateKey, err = s.seal([]byte(privateKey), privateKeyPlace(c.PublicKey)); err != nil {
		return err
	}
	return s.changePackages(ctx, func(ch *packageChange) error {
		c.EmailKey, c.UpdatedAt, c.Modified = emailKey(c.Email), ch.Now(), ch.next()
		return found(ch.writer(ctx).Model(&Consumer{}).Where("id = ?", c.ID).
			Select("email", "email_key", "public_key", "private_key", "modified", "updated_at").UpdateColumns(c))
	})
}

// DeleteConsumer removes a consumer with its permissions.
func (s *Store) DeleteConsumer(ctx context.Context, id int64) error {
	return s.changePackages(ctx, func(c *packageChange) error {
		return found(c.writer(ctx).Where("id = ?", id).Delete(&Consumer{}))
	})
}
