package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"slipway/models"
)

func (a *admin) grantCommand() *cobra.Command {
	c := &cobra.Command{Use: "grant", Short: "Manage who has which role where; roles are inherited by everything below"}
	var organization string
	c.PersistentFlags().StringVar(&organization, "organization", models.DefaultOrganization, "the organization of the service account or team")
	c.AddCommand(a.grantAdd(&organization), a.grantRemove(&organization), a.grantList(&organization))
	return c
}

func (a *admin) grantAdd(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:     "add SUBJECT ROLE SCOPE",
		Short:   "Give a role (read, write or owner); an earlier role on the same scope is replaced",
		Example: "  slipway admin grant add user:ann owner project:shop\n  slipway admin grant add team:Ops write organization:default",
		Args:    cobra.ExactArgs(3),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			g := models.Grant{Role: args[1]}
			var err error
			if g.SubjectKind, g.SubjectID, err = subjectNamed(ctx, s, *organization, args[0]); err != nil {
				return err
			}
			if g.ScopeKind, g.ScopeID, err = scopeNamed(ctx, s, args[2]); err != nil {
				return err
			}
			err = a.change(ctx, s, grantEntry("grant:add", g.ScopeKind, g.ScopeID, args[2], args[0], args[1]), func(tx *models.Store) error { return tx.AddGrant(ctx, &g) })
			if err != nil {
				return err
			}
			a.say(c, "%s has the role %s on %s.", args[0], args[1], args[2])
			return nil
		}),
	}
}

func (a *admin) grantRemove(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove SUBJECT SCOPE",
		Short: "Take a role away within a second",
		Args:  cobra.ExactArgs(2),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			subjectKind, subjectID, err := subjectNamed(ctx, s, *organization, args[0])
			if err != nil {
				return err
			}
			scopeKind, scopeID, err := scopeNamed(ctx, s, args[1])
			if err != nil {
				return err
			}
			err = a.change(ctx, s, grantEntry("grant:remove", scopeKind, scopeID, args[1], args[0], ""),
				func(tx *models.Store) error { return tx.RemoveGrant(ctx, subjectKind, subjectID, scopeKind, scopeID) })
			if err != nil {
				return named(err, "role of %s on %s", args[0], args[1])
			}
			a.say(c, "%s has no role of its own on %s any more.", args[0], args[1])
			return nil
		}),
	}
}

func (a *admin) grantList(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list [SUBJECT|SCOPE]",
		Short: "List grants: all, those of a subject, or those on a scope",
		Args:  cobra.MaximumNArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			var f models.GrantFilter
			var err error
			if len(args) == 1 {
				if strings.HasPrefix(args[0], "project:") || strings.HasPrefix(args[0], "organization:") {
					f.ScopeKind, f.ScopeID, err = scopeNamed(ctx, s, args[0])
				} else {
					f.SubjectKind, f.SubjectID, err = subjectNamed(ctx, s, *organization, args[0])
				}
				if err != nil {
					return err
				}
			}
			grants, err := s.ListGrants(ctx, f)
			if err != nil {
				return err
			}
			type row struct {
				Subject string `json:"subject"`
				Role    string `json:"role"`
				Scope   string `json:"scope"`
			}
			rows, texts := []row{}, [][]string{}
			for _, g := range grants {
				r := row{strings.ReplaceAll(g.SubjectKind, "_", "-") + ":" + g.SubjectName, g.Role, g.ScopeKind + ":" + g.ScopeName}
				rows, texts = append(rows, r), append(texts, []string{r.Subject, r.Role, r.Scope})
			}
			return a.print(c, rows, "SUBJECT\tROLE\tSCOPE", texts)
		}),
	}
}

func grantEntry(action, scopeKind, scopeID, scope, subject, role string) *models.AuditEntry {
	e := &models.AuditEntry{Action: action, ResourceKind: scopeKind, ResourceID: scopeID, ResourceName: scope, Detail: map[string]any{"subject": subject, "role": role}}
	if scopeKind == models.ScopeProject {
		e.ProjectID = scopeID
	}
	return e
}
