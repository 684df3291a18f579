package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slipway/models"
)

func (a *admin) teamCommand() *cobra.Command {
	c := &cobra.Command{Use: "team", Short: "Manage teams; a team's grants are its members'"}
	var organization string
	c.PersistentFlags().StringVar(&organization, "organization", models.DefaultOrganization, "the organization's canonical name")
	c.AddCommand(a.teamCreate(&organization), a.teamList(&organization), a.teamDelete(&organization),
		a.teamMember(&organization, "add TEAM USER", "Put a user into a team", "team:add-member", "now in", func(ctx context.Context, s *models.Store, teamID, userID string) error {
			return s.AddTeamMember(ctx, teamID, userID)
		}),
		a.teamMember(&organization, "remove TEAM USER", "Take a user out of a team", "team:remove-member", "no longer in", func(ctx context.Context, s *models.Store, teamID, userID string) error {
			return s.RemoveTeamMember(ctx, teamID, userID)
		}))
	return c
}

func (a *admin) teamCreate(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Add a team",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			o, err := organizationNamed(ctx, s, *organization)
			if err != nil {
				return err
			}
			t := &models.Team{OrganizationID: o.ID, Name: args[0]}
			e := &models.AuditEntry{Action: "team:create", ResourceKind: "team", ResourceName: t.Name}
			err = a.change(ctx, s, e, func(tx *models.Store) error {
				err := tx.CreateTeam(ctx, t)
				e.ResourceID = t.ID
				return err
			})
			if err != nil {
				return named(err, "team '%s'", args[0])
			}
			a.say(c, "Created team '%s' in organization '%s'.", t.Name, *organization)
			return nil
		}),
	}
}

func (a *admin) teamList(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List teams with their members",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			o, err := organizationNamed(ctx, s, *organization)
			if err != nil {
				return err
			}
			teams, err := s.ListTeams(ctx, o.ID)
			if err != nil {
				return err
			}
			type row struct {
				Name    string   `json:"name"`
				Members []string `json:"members"`
			}
			rows, texts := []row{}, [][]string{}
			for _, t := range teams {
				members, err := s.TeamMembers(ctx, t.ID)
				if err != nil {
					return err
				}
				r := row{Name: t.Name, Members: []string{}}
				for _, u := range members {
					r.Members = append(r.Members, u.Name)
				}
				rows, texts = append(rows, r), append(texts, []string{t.Name, strconv.Itoa(len(members)), orDash(strings.Join(r.Members, ", "))})
			}
			return a.print(c, rows, "NAME\tMEMBERS\tUSERS", texts)
		}),
	}
}

func (a *admin) teamDelete(organization *string) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Remove a team with its grants",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			t, err := teamNamed(ctx, s, *organization, args[0])
			if err != nil {
				return err
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: "team:delete", ResourceKind: "team", ResourceID: t.ID, ResourceName: t.Name},
				func(tx *models.Store) error { return tx.DeleteTeam(ctx, t.ID) })
			if err != nil {
				return err
			}
			a.say(c, "Removed team '%s'.", t.Name)
			return nil
		}),
	}
}

// teamMember makes the command of a change of who is in a team.
func (a *admin) teamMember(organization *string, use, short, action, done string, change func(ctx context.Context, s *models.Store, teamID, userID string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(2),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			t, err := teamNamed(ctx, s, *organization, args[0])
			if err != nil {
				return err
			}
			u, err := userNamed(ctx, s, args[1])
			if err != nil {
				return err
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: action, ResourceKind: "team", ResourceID: t.ID, ResourceName: t.Name, Detail: map[string]any{"user": u.Name}},
				func(tx *models.Store) error { return change(ctx, tx, t.ID, u.ID) })
			if err != nil {
				return named(err, "membership of user '%s' in team '%s'", u.Name, t.Name)
			}
			a.say(c, "User '%s' is %s team '%s'.", u.Name, done, t.Name)
			return nil
		}),
	}
}

func teamNamed(ctx context.Context, s *models.Store, organization, name string) (*models.Team, error) {
	o, err := organizationNamed(ctx, s, organization)
	if err != nil {
		return nil, err
	}
	t, err := s.TeamByName(ctx, o.ID, name)
	return t, named(err, "team '%s' in organization '%s'", name, organization)
}
