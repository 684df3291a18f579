package models

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"slipway/policies"
)

// Namespace groups applications in the inventory. It belongs to a project, whose roles decide who may do what in it; one
// without a project belongs to its organization alone.
type Namespace struct {
	ID             string
	Name           string
	ProjectID      *string
	OrganizationID string
	Description    string
	OrgURL         string `gorm:"column:org_url"`
	Logo           string // image data in base64, or whatever the client sent
	IsPublic       bool
	Hooks          string // JSON object, "" for none
	CreatedBy      string
	CreatedAt      time.Time
}

// TableName names the table.
func (Namespace) TableName() string { return "namespaces" }

// NamespaceByName finds a namespace. ErrNotFound.
func (s *Store) NamespaceByName(ctx context.Context, name string) (*Namespace, error) {
	if !storable(name) {
		return nil, ErrNotFound
	}
	var n Namespace
	if err := one(s.reader(ctx).Where("name = ?", name).Take(&n)); err != nil {
		return nil, err
	}
	return &n, s.openHooks("namespaces", n.ID, &n.Hooks)
}

// NamespaceByID finds a namespace. ErrNotFound.
func (s *Store) NamespaceByID(ctx context.Context, id string) (*Namespace, error) {
	var n Namespace
	if err := one(s.reader(ctx).Where("id = ?", id).Take(&n)); err != nil {
		return nil, err
	}
	return &n, s.openHooks("namespaces", n.ID, &n.Hooks)
}

// CreateNamespace adds a namespace and fills in its id, its organization and its time. ErrExists if the name is taken.
func (s *Store) CreateNamespace(ctx context.Context, n *Namespace) error {
	if err := s.prepareNamespace(ctx, n); err != nil {
		return err
	}
	return created(s.writer(ctx).Create(n))
}

// EnsureNamespace gives the namespace of that name, and adds n if there is none. It says whether it added one.
func (s *Store) EnsureNamespace(ctx context.Context, n *Namespace) (*Namespace, bool, error) {
	have, err := s.NamespaceByName(ctx, n.Name)
	if err == nil {
		return have, false, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, false, err
	}
	if err := s.prepareNamespace(ctx, n); err != nil {
		return nil, false, err
	}
	// Others may add it at the same time. An error would end the transaction on PostgreSQL, so there is none.
	res := s.writer(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(n)
	if res.Error != nil {
		return nil, false, res.Error
	}
	have, err = s.NamespaceByName(ctx, n.Name)
	return have, res.RowsAffected > 0, err
}

// prepareNamespace gives a new namespace its id, time and organization: its project's, else the default one.
func (s *Store) prepareNamespace(ctx context.Context, n *Namespace) error {
	n.ID, n.CreatedAt = NewID(), s.Now()
	q := s.reader(ctx).Table("organizations").Select("id").Where("canonical = ?", "default")
	if n.ProjectID != nil {
		q = s.reader(ctx).Table("projects").Select("organization_id").Where("id = ?", *n.ProjectID)
	}
	return one(q.Take(&n.OrganizationID))
}

// UpdateNamespace replaces what people may change of a namespace: description, URL, logo, visibility and project.
func (s *Store) UpdateNamespace(ctx context.Context, n *Namespace) error {
	return found(s.writer(ctx).Model(&Namespace{}).Where("id = ?", n.ID).Updates(map[string]any{
		"description": n.Description, "org_url": n.OrgURL, "logo": n.Logo, "is_public": n.IsPublic,
		"project_id": n.ProjectID, "organization_id": n.OrganizationID,
	}))
}

// SetNamespaceHooks replaces the hooks of a namespace.
func (s *Store) SetNamespaceHooks(ctx context.Context, id, hooks string) error {
	sealed, err := s.sealHooks("namespaces", id, hooks)
	if err != nil {
		return err
	}
	return found(s.writer(ctx).Model(&Namespace{}).Where("id = ?", id).Update("hooks", sealed))
}

// DeleteNamespace removes a namespace with its applications, releases, tags, providers and dependencies. The package
// files stay for a while, for the downloads that are running; the sweeper of uploads removes them. It must run in a
// transaction: see Tx.
func (s *Store) DeleteNamespace(ctx context.Context, id string) error {
	if err := s.discardPackages(ctx, "application_id IN (SELECT id FROM applications WHERE namespace_id = ?)", id); err != nil {
		return err
	}
	return found(s.writer(ctx).Where("id = ?", id).Delete(&Namespace{}))
}

// NamespaceFilter narrows ListNamespaces. Empty members do not narrow.
type NamespaceFilter struct {
	Visible   policies.Visible
	ProjectID string
	Names     []string
}

// ListNamespaces gives the namespaces that a subject may see, by name.
func (s *Store) ListNamespaces(ctx context.Context, f NamespaceFilter) ([]Namespace, error) {
	var out []Namespace
	err := s.namespaces(ctx, f).Order("namespaces.name").Find(&out).Error
	for i := range out {
		err = errors.Join(err, s.openHooks("namespaces", out[i].ID, &out[i].Hooks))
	}
	return out, err
}

// NamespaceIDs is ListNamespaces for the ids alone.
func (s *Store) NamespaceIDs(ctx context.Context, f NamespaceFilter) (map[string]bool, error) {
	var ids []string
	if err := s.namespaces(ctx, f).Pluck("namespaces.id", &ids).Error; err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, nil
}

func (s *Store) namespaces(ctx context.Context, f NamespaceFilter) *gorm.DB {
	q := s.reader(ctx).Model(&Namespace{}).Scopes(s.visibleNamespaces(f.Visible))
	if f.ProjectID != "" {
		q = q.Where("namespaces.project_id = ?", f.ProjectID)
	}
	if len(f.Names) > 0 {
		q = q.Where("namespaces.name IN ?", f.Names)
	}
	return q
}
