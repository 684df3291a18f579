package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/password"
	"slipway/models"
)

func (a *admin) userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Manage users"}
	c.AddCommand(a.userCreate(), a.userList(), a.userPasswd(),
		a.userSwitch("disable NAME", "Lock a user out within a second", "user:disable", func(ctx context.Context, s *models.Store, id string) error { return s.SetDisabled(ctx, id, true) }),
		a.userSwitch("enable NAME", "Let a disabled user in again", "user:enable", func(ctx context.Context, s *models.Store, id string) error { return s.SetDisabled(ctx, id, false) }),
		a.userSwitch("promote NAME", "Make a user an administrator", "user:promote", func(ctx context.Context, s *models.Store, id string) error { return s.SetAdmin(ctx, id, true) }),
		a.userSwitch("demote NAME", "Make an administrator a user like others", "user:demote", func(ctx context.Context, s *models.Store, id string) error { return s.SetAdmin(ctx, id, false) }),
		a.userSwitch("delete NAME", "Remove a user with tokens, grants and memberships", "user:delete", func(ctx context.Context, s *models.Store, id string) error { return s.DeleteUser(ctx, id) }),
	)
	return c
}

func (a *admin) userCreate() *cobra.Command {
	var u models.User
	var fromStdin bool
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Add a user; without --password-stdin a password is made and printed once",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			u.Name = args[0]
			text, made, err := readPassword(c, fromStdin)
			if err != nil {
				return err
			}
			if u.PasswordHash, err = password.Hash(ctx, text); err != nil {
				return err
			}
			e := &models.AuditEntry{Action: "user:create", ResourceKind: "user", ResourceName: u.Name, Detail: map[string]any{"admin": u.Admin}}
			err = a.change(ctx, s, e, func(tx *models.Store) error {
				err := tx.CreateUser(ctx, &u)
				e.ResourceID = u.ID
				return err
			})
			if err != nil {
				return named(err, "user '%s', or another with the same address,", u.Name)
			}
			a.say(c, "Created user '%s'.", u.Name)
			return a.printPassword(c, u.Name, text, made)
		}),
	}
	c.Flags().StringVar(&u.Email, "email", "", "the user's mail address")
	c.Flags().BoolVar(&u.Admin, "admin", false, "make the user an administrator of the installation")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of standard input")
	return c
}

func (a *admin) printPassword(c *cobra.Command, name, text string, made bool) error {
	if !made {
		text = ""
	}
	if a.output == "json" {
		return a.print(c, struct {
			Name     string `json:"name"`
			Password string `json:"password,omitempty"`
		}{name, text}, "", nil)
	}
	if made {
		a.say(c, "Password (shown only now): %s", text)
	}
	return nil
}

func (a *admin) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List users",
		Args:  cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, _ []string) error {
			list, err := s.ListUsers(ctx)
			if err != nil {
				return err
			}
			type row struct {
				Name     string `json:"name"`
				Email    string `json:"email,omitempty"`
				Admin    bool   `json:"admin"`
				Disabled bool   `json:"disabled"`
			}
			rows, texts := make([]row, len(list)), make([][]string, len(list))
			for i, u := range list {
				rows[i] = row{u.Name, u.Email, u.Admin, u.Disabled}
				texts[i] = []string{u.Name, orDash(u.Email), yes(u.Admin), yes(u.Disabled)}
			}
			return a.print(c, rows, "NAME\tEMAIL\tADMIN\tDISABLED", texts)
		}),
	}
}

func (a *admin) userPasswd() *cobra.Command {
	var fromStdin bool
	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Set a new password and end the user's logins; without --password-stdin one is made and printed once",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			u, err := userNamed(ctx, s, args[0])
			if err != nil {
				return err
			}
			text, made, err := readPassword(c, fromStdin)
			if err != nil {
				return err
			}
			hash, err := password.Hash(ctx, text)
			if err != nil {
				return err
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: "user:passwd", ResourceKind: "user", ResourceID: u.ID, ResourceName: u.Name},
				func(tx *models.Store) error { return tx.SetPassword(ctx, u.ID, hash) })
			if err != nil {
				return err
			}
			a.say(c, "Changed the password of user '%s' and ended the user's logins. Tokens stay.", u.Name)
			return a.printPassword(c, u.Name, text, made)
		}),
	}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of standard input")
	return c
}

func (a *admin) userSwitch(use, short, action string, change func(ctx context.Context, s *models.Store, id string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			u, err := userNamed(ctx, s, args[0])
			if err != nil {
				return err
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: action, ResourceKind: "user", ResourceID: u.ID, ResourceName: u.Name},
				func(tx *models.Store) error { return change(ctx, tx, u.ID) })
			if err != nil {
				return err
			}
			a.say(c, "Done: %s '%s'.", c.Name(), u.Name)
			return nil
		}),
	}
}
