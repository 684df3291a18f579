package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/models"
)

func (a *admin) tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Manage tokens of users and service accounts"}
	c.AddCommand(a.tokenCreate(), a.tokenList(), a.tokenRevoke())
	return c
}

func (a *admin) tokenCreate() *cobra.Command {
	var organization, expires string
	var t models.Token
	var scopes []string
	c := &cobra.Command{
		Use:   "create SUBJECT",
		Short: "Make a token for user:NAME or service-account:NAME and print it; it is not shown again",
		Args:  cobra.ExactArgs(1),
		Example: "  slipway admin token create user:ann --name laptop --expires 90d\n" +
			"  slipway admin token create service-account:ci --role write --scope project:shop",
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			var err error
			if t.SubjectKind, t.SubjectID, err = tokenSubject(ctx, s, organization, args[0]); err != nil {
				return err
			}
			for _, reference := range scopes {
				_, id, err := scopeNamed(ctx, s, reference)
				if err != nil {
					return err
				}
				t.Scopes = append(t.Scopes, id)
			}
			lifetime, err := parseLifetime(expires)
			if err != nil {
				return err
			}
			if lifetime > 0 {
				end := s.Now().Add(lifetime)
				t.ExpiresAt = &end
			}
			var secret string
			e := &models.AuditEntry{Action: "token:create", ResourceKind: "token", ResourceName: t.Name,
				Detail: map[string]any{"subject": args[0], "role": t.Role, "scopes": scopes}}
			err = a.change(ctx, s, e, func(tx *models.Store) error {
				var err error
				secret, err = tx.CreateToken(ctx, &t)
				e.ResourceID = t.ID
				return err
			})
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.print(c, struct {
					ID      string     `json:"id"`
					Token   string     `json:"token"`
					Expires *time.Time `json:"expires_at,omitempty"`
				}{t.ID, secret, t.ExpiresAt}, "", nil)
			}
			// The token alone goes to standard output, so that TOKEN=$(slipway admin token create ...) works.
			fmt.Fprintf(c.ErrOrStderr(), "Token %s for %s (shown only now):\n", t.ID, args[0])
			_, err = fmt.Fprintln(c.OutOrStdout(), secret)
			return err
		}),
	}
	organizationFlag(c, &organization)
	c.Flags().StringVar(&t.Name, "name", "", "what the token is for")
	c.Flags().StringVar(&t.Role, "role", "", "the strongest role that the token can act with: read, write, owner or admin; empty for no limit")
	c.Flags().StringArrayVar(&scopes, "scope", nil, "the only project:NAME or organization:CANONICAL that the token works on (repeatable)")
	c.Flags().StringVar(&expires, "expires", "", "how long the token lasts, such as 12h or 90d; empty for ever")
	return c
}

func tokenSubject(ctx context.Context, s *models.Store, organization, reference string) (kind, id string, err error) {
	kind, id, err = subjectNamed(ctx, s, organization, reference)
	if err == nil && kind == models.SubjectTeam {
		err = fmt.Errorf("a team has no tokens, expected user:NAME or service-account:NAME")
	}
	return kind, id, err
}

// parseLifetime reads a duration, with d for days, which Go's own lack. Empty means for ever and gives 0.
func parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if err == nil && n > 36500 {
			err = fmt.Errorf("too long")
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("'%s' is no time that a token can last, expected something like 12h or 90d", text)
	}
	return d, nil
}

func (a *admin) tokenList() *cobra.Command {
	var organization string
	c := &cobra.Command{
		Use:   "list SUBJECT",
		Short: "List the tokens of user:NAME or service-account:NAME, without their secrets",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			kind, id, err := tokenSubject(ctx, s, organization, args[0])
			if err != nil {
				return err
			}
			list, err := s.ListTokens(ctx, kind, id, models.TokenAPI)
			if err != nil {
				return err
			}
			type row struct {
				ID       string     `json:"id"`
				Name     string     `json:"name"`
				Ending   string     `json:"ends_in"` // the secret's last characters
				Role     string     `json:"role,omitempty"`
				Scopes   []string   `json:"scopes,omitempty"`
				Created  time.Time  `json:"created_at"`
				Expires  *time.Time `json:"expires_at,omitempty"`
				Revoked  *time.Time `json:"revoked_at,omitempty"`
				LastUsed *time.Time `json:"last_used_at,omitempty"`
			}
			rows, texts := []row{}, [][]string{}
			for _, t := range list {
				rows = append(rows, row{t.ID, t.Name, t.Hint, t.Role, t.Scopes, t.CreatedAt, t.ExpiresAt, t.RevokedAt, t.LastUsedAt})
				state := "live"
				switch {
				case t.RevokedAt != nil:
					state = "revoked"
				case !t.Live(s.Now()):
					state = "expired"
				}
				texts = append(texts, []string{t.ID, orDash(t.Name), "..." + t.Hint, state, orDash(t.Role), strconv.Itoa(len(t.Scopes)), moment(t.ExpiresAt), moment(t.LastUsedAt)})
			}
			return a.print(c, rows, "ID\tNAME\tENDS IN\tSTATE\tROLE\tSCOPES\tEXPIRES\tLAST USED", texts)
		}),
	}
	organizationFlag(c, &organization)
	return c
}

func (a *admin) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token within a second",
		Args:  cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			t, err := s.TokenByID(ctx, args[0])
			if err != nil {
				return named(err, "token with id '%s'", args[0])
			}
			err = a.change(ctx, s, &models.AuditEntry{Action: "token:revoke", ResourceKind: "token", ResourceID: t.ID, ResourceName: t.Name},
				func(tx *models.Store) error { return tx.RevokeToken(ctx, t.ID) })
			if err != nil {
				return err
			}
			a.say(c, "Revoked token %s.", t.ID)
			return nil
		}),
	}
}
