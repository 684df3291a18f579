package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/password"
	"slipway/models"
)

// admin is what the commands below `slipway admin` share. They work on the database itself, so whoever can reach it is an
// administrator; that is how the first one is made, and how one who is locked out gets back in.
type admin struct {
	open   func(ctx context.Context) (*models.Store, error)
	output string
}

// newAdminCommand makes `slipway admin`. open gives the store that the configuration names; it is closed after the
// command.
func newAdminCommand(open func(ctx context.Context) (*models.Store, error)) *cobra.Command {
	a := &admin{open: open}
	c := &cobra.Command{
		Use:   "admin",
		Short: "Manage users, teams, service accounts, tokens, organizations, grants and encryption keys",
		Long: `Manage users, teams, service accounts, tokens, organizations, grants and encryption keys.

These commands work on the database itself and ask no login: who can reach it is an administrator. They need the
configuration of the server, at least SLIPWAY_DATABASE_URL; that of slipway dev is sqlite:PATH of slipway.db in its data
folder. A server that runs takes changes up within a second.`,
		Example: "  slipway admin user create ada --admin\n" +
			"  SLIPWAY_DATABASE_URL=sqlite:$HOME/.slipway/slipway.db slipway admin user list",
	}
	c.PersistentFlags().StringVarP(&a.output, "output", "o", "table", "table or json")
	c.AddCommand(a.userCommand(), a.teamCommand(), a.serviceAccountCommand(), a.tokenCommand(), a.organizationCommand(), a.grantCommand(), a.keyCommand())
	return c
}

// with opens the store, which must have the newest schema, for one command.
func (a *admin) with(fn func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if a.output != "table" && a.output != "json" {
			return fmt.Errorf("--output is %q, expected table or json", a.output)
		}
		ctx := c.Context()
		return withStore(ctx, a.open, func(s *models.Store) error { return fn(ctx, s, c, args) })
	}
}

// withStore opens the store, which must have the newest schema, for fn, and closes it.
func withStore(ctx context.Context, open func(ctx context.Context) (*models.Store, error), fn func(s *models.Store) error) (err error) {
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.CheckMigrated(ctx); err != nil {
		return err
	}
	return fn(s)
}

// change runs a command's change with its line in the audit log. A change that makes something fills in its id.
func (a *admin) change(ctx context.Context, s *models.Store, e *models.AuditEntry, fn func(tx *models.Store) error) error {
	return s.Tx(ctx, func(tx *models.Store) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Audit(ctx, byOperator(*e))
	})
}

// byOperator says in a line of the audit log that the person at the command line has done it.
func byOperator(e models.AuditEntry) models.AuditEntry {
	e.ActorKind, e.ActorName = "operator", operator()
	return e
}

// operator names the person at the command line as far as the system knows.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// print writes rows as a table with a heading, or value as JSON.
func (a *admin) print(c *cobra.Command, value any, heading string, rows [][]string) error {
	if a.output == "json" {
		return writeJSON(c.OutOrStdout(), value)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// say writes a line for people, except where JSON is wanted.
func (a *admin) say(c *cobra.Command, format string, args ...any) {
	if a.output != "json" {
		fmt.Fprintf(c.OutOrStdout(), format+"\n", args...)
	}
}

// named gives "not found" and "exists" a text that says what.
func named(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return fmt.Errorf("there is no %s", what)
	case errors.Is(err, models.ErrExists):
		return fmt.Errorf("%s exists already", what)
	}
	return err
}

// readPassword takes a new password from the first line of standard input, or makes one. A password never comes as a
// flag: other users of the machine see the command line.
func readPassword(c *cobra.Command, fromStdin bool) (text string, made bool, err error) {
	if !fromStdin {
		return password.Generate(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 8192)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

// organizationFlag adds --organization to the command of a thing that belongs to one.
func organizationFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "organization", models.DefaultOrganization, "the organization's canonical name")
}

func organizationNamed(ctx context.Context, s *models.Store, canonical string) (*models.Organization, error) {
	o, err := s.OrganizationByCanonical(ctx, canonical)
	return o, named(err, "organization '%s'", canonical)
}

func userNamed(ctx context.Context, s *models.Store, name string) (*models.User, error) {
	u, err := s.UserByName(ctx, name)
	return u, named(err, "user '%s'", name)
}

// subjectNamed finds what user:NAME, service-account:NAME or team:NAME speaks of; the latter two in an organization.
func subjectNamed(ctx context.Context, s *models.Store, organization, reference string) (kind, id string, err error) {
	sort, name, ok := strings.Cut(reference, ":")
	if !ok {
		return "", "", fmt.Errorf("'%s' names no subject, expected user:NAME, service-account:NAME or team:NAME", reference)
	}
	if sort == "user" {
		u, err := userNamed(ctx, s, name)
		if err != nil {
			return "", "", err
		}
		return models.SubjectUser, u.ID, nil
	}
	o, err := organizationNamed(ctx, s, organization)
	if err != nil {
		return "", "", err
	}
	switch sort {
	case "service-account":
		sa, err := s.ServiceAccountByName(ctx, o.ID, name)
		if err != nil {
			return "", "", named(err, "service account '%s' in organization '%s'", name, organization)
		}
		return models.SubjectServiceAccount, sa.ID, nil
	case "team":
		t, err := s.TeamByName(ctx, o.ID, name)
		if err != nil {
			return "", "", named(err, "team '%s' in organization '%s'", name, organization)
		}
		return models.SubjectTeam, t.ID, nil
	}
	return "", "", fmt.Errorf("'%s' names no subject, expected user:NAME, service-account:NAME or team:NAME", reference)
}

// scopeNamed finds what organization:CANONICAL, project:NAME (of the default organization) or
// project:CANONICAL/NAME speaks of.
func scopeNamed(ctx context.Context, s *models.Store, reference string) (kind, id string, err error) {
	sort, name, _ := strings.Cut(reference, ":")
	switch sort {
	case "organization":
		o, err := organizationNamed(ctx, s, name)
		if err != nil {
			return "", "", err
		}
		return models.ScopeOrganization, o.ID, nil
	case "project":
		organization := models.DefaultOrganization
		if canonical, project, ok := strings.Cut(name, "/"); ok {
			organization, name = canonical, project
		}
		o, err := organizationNamed(ctx, s, organization)
		if err != nil {
			return "", "", err
		}
		p, err := s.ProjectInOrganization(ctx, o.ID, name)
		if err != nil {
			return "", "", named(err, "project '%s' in organization '%s'", name, organization)
		}
		return models.ScopeProject, p.ID, nil
	}
	return "", "", fmt.Errorf("'%s' names no scope, expected organization:CANONICAL or project:NAME", reference)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
