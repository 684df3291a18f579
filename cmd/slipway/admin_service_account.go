package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/models"
)

func (a *admin) serviceAccountCommand() *cobra.Command {
	c := &cobra.Command{Use: "service-account", Short: "Manage service accounts, which log in by token"}
	var organization string
	c.PersistentFlags().StringVar(&organization, "organization", models.DefaultOrganization, "the organization's canonical name")
	c.AddCommand(a.serviceAccountCreate(&organization), a.serviceAccountList(&organization))
	for _, d := range []struct {
		use, short, action string
		change             func(ctx context.Context, s *models.Store, id string) error
	}{
		{"disable NAME", "Lock a service account out within a second", "service-account:disable", func(ctx context.Context, s *models.Store, id string) error {
			return s.SetServiceAccountDisabled(ctx, id, true)
		}},
		{"enable NAME", "Let a disabled service account in again", "service-account:enable", func(ctx context.Context, s *models.Store, id string) error {
			return s.SetServiceAccountDisabled(ctx, id, false)
		}},
		{"delete NAME", "Remove a service account with its tokens and grants", "service-account:delete", func(ctx context.Context, s *models.Store, id string) error {
			return s.DeleteServiceAccount(ctx, id)
		}},
	} {
		c.AddCommand(a.serviceAccountChange(&organization, d.use, d.short, d.action, d.change))
	}
	return c
}

func (a *admin) serviceAccountCreate(organization *string) *cobra.Command {
	var team string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Add a service account; give it roles with 'grant add' and a token with 'token create'",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			o, err := organizationNamed(ctx, s, *organization)
			if err != nil {
				return err
			}
			account := &models.ServiceAccount{OrganizationID: o.ID, Name: args[0]}
			if team != "" {
				t, err := s.TeamByName(ctx, o.ID, team)
				if err != nil {
					return named(err, "team '%s' in organization '%s'", team, *organization)
				}
				account.TeamID = &t.ID
			}
			e := &models.AuditEntry{Action: "service-account:create", ResourceKind: "service_account", ResourceName: account.Name}
			err = a.change(ctx, s, e, func(tx *models.Store) error {
				err := tx.CreateServiceAccount(ctx, account)
				e.ResourceID = account.ID
				return err
			})
			if err != nil {
				return named(err, "service account '%s'", args[0])
			}
			a.say(c, "Created service account '%s' in organization '%s'.", account.Name, *organization)
			return nil
		}),
	}
	c.Flags().StringVar(&team, "team", "", "the team that owns the account")
	return c
}

func (a *admin) serviceAccountList(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List service accounts",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			o, err := organizationNamed(ctx, s, *organization)
			if err != nil {
				return err
			}
			accounts, err := s.ListServiceAccounts(ctx, o.ID)
			if err != nil {
				return err
			}
			teams, err := s.ListTeams(ctx, o.ID)
			if err != nil {
				return err
			}
			teamName := map[string]string{}
			for _, t := range teams {
				teamName[t.ID] = t.Name
			}
			type row struct {
				Name     string `json:"name"`
				Team     string `json:"team,omitempty"`
				Disabled bool   `json:"disabled"`
			}
			rows, texts := []row{}, [][]string{}
			for _, sa := range accounts {
				r := row{Name: sa.Name, Disabled: sa.Disabled}
				if sa.TeamID != nil {
					r.Team = teamName[*sa.TeamID]
				}
				rows, texts = append(rows, r), append(texts, []string{r.Name, orDash(r.Team), yes(r.Disabled)})
			}
			return a.print(c, rows, "NAME\tTEAM\tDISABLED", texts)
		}),
	}
}

// serviceAccountChange makes the command of a change of one account.
func (a *admin) serviceAccountChange(organization *string, use, short, action string, change func(ctx context.Context, s *models.Store, id string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			_, id, err := subjectNamed(ctx, s, *organization, "service-account:"+args[0])
			if err != nil {
				return err
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: action, ResourceKind: "service_account", ResourceID: id, ResourceName: args[0]},
				func(tx *models.Store) error { return change(ctx, tx, id) })
			if err != nil {
				return err
			}
			a.say(c, "Done: %s '%s'.", c.Name(), args[0])
			return nil
		}),
	}
}
