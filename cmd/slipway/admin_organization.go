package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"slipway/models"
)

func (a *admin) organizationCommand() *cobra.Command {
	c := &cobra.Command{Use: "org", Short: "Manage the tree of organizations"}
	c.AddCommand(a.organizationCreate(), a.organizationList(), a.organizationMove(), a.organizationQuota())
	return c
}

func (a *admin) organizationCreate() *cobra.Command {
	var o models.Organization
	var parent string
	c := &cobra.Command{
		Use:   "create CANONICAL",
		Short: "Add an organization",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			o.Canonical = args[0]
			if parent != "" {
				p, err := organizationNamed(ctx, s, parent)
				if err != nil {
					return err
				}
				o.ParentID = &p.ID
			}
			e := &models.AuditEntry{Action: "organization:create", ResourceKind: "organization", ResourceName: o.Canonical, Detail: map[string]any{"parent": parent}}
			err := a.change(ctx, s, e, func(tx *models.Store) error {
				err := tx.CreateOrganization(ctx, &o)
				e.ResourceID = o.ID
				return err
			})
			if err != nil {
				return named(err, "organization '%s'", o.Canonical)
			}
			a.say(c, "Created organization '%s' (%s).", o.Canonical, o.ID)
			return nil
		}),
	}
	c.Flags().StringVar(&o.Name, "name", "", "the name for people")
	c.Flags().StringVar(&o.Kind, "kind", models.OrganizationOrg, "tenant (a root), group or org")
	c.Flags().StringVar(&parent, "parent", "", "the canonical name of the organization above")
	return c
}

func (a *admin) organizationList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the tree of organizations",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			list, err := s.ListOrganizations(ctx)
			if err != nil {
				return err
			}
			type row struct {
				ID        string  `json:"id"`
				Canonical string  `json:"canonical"`
				Name      string  `json:"name"`
				Kind      string  `json:"kind"`
				ParentID  *string `json:"parent_id,omitempty"`
				Depth     int     `json:"-"`
			}
			children := map[string][]models.Organization{}
			for _, o := range list {
				parent := ""
				if o.ParentID != nil {
					parent = *o.ParentID
				}
				children[parent] = append(children[parent], o)
			}
			rows, texts := []row{}, [][]string{}
			var walk func(parent string, depth int)
			walk = func(parent string, depth int) {
				for _, o := range children[parent] {
					rows = append(rows, row{o.ID, o.Canonical, o.Name, o.Kind, o.ParentID, depth})
					texts = append(texts, []string{strings.Repeat("  ", depth) + o.Canonical, o.Kind, o.Name, o.ID})
					walk(o.ID, depth+1)
				}
			}
			walk("", 0)
			return a.print(c, rows, "CANONICAL\tKIND\tNAME\tID", texts)
		}),
	}
}

func (a *admin) organizationMove() *cobra.Command {
	return &cobra.Command{
		Use:   "move CANONICAL [PARENT]",
		Short: "Hang an organization, with all below it, under another one; without PARENT it becomes a root",
		Args:  cobra.RangeArgs(1, 2),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			o, err := organizationNamed(ctx, s, args[0])
			if err != nil {
				return err
			}
			var parentID *string
			to := "the root"
			if len(args) == 2 {
				p, err := organizationNamed(ctx, s, args[1])
				if err != nil {
					return err
				}
				parentID, to = &p.ID, "'"+args[1]+"'"
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: "organization:move", ResourceKind: "organization", ResourceID: o.ID, ResourceName: o.Canonical, Detail: map[string]any{"to": to}},
				func(tx *models.Store) error { return tx.MoveOrganization(ctx, o.ID, parentID) })
			if err != nil {
				return err
			}
			a.say(c, "Moved organization '%s' below %s. Grants from there now reach it.", o.Canonical, to)
			return nil
		}),
	}
}
