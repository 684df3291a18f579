package executions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/models"
	"slipway/policies"
)

// maxApprovers bounds how many people are asked about: of a confirmation for which more come into question, nothing is said.
const maxApprovers = 200

// maxExcluded bounds the people that a shortage names.
const maxExcluded = 5

// Shortage says why a confirmation cannot be approved as things are: fewer people are left who may approve than it still
// takes. "" says that it can be, or that nobody in particular has to. It is a sentence without a full stop, and true for the
// moment: people join teams and get roles while a confirmation waits, so nothing is ended over it. may is asked of each person
// who comes into question: those whom the confirmation names or, where it names nobody, users with a role that lets them write in
// the project, and administrators.
func Shortage(ctx context.Context, store *models.Store, may Decider, e *models.Execution, c *models.Confirmation) (string, error) {
	several := c.FourEyes || c.Approvals > 1
	if may == nil || c.Status != models.ConfirmationPending || !several && c.User == "" && c.Team == "" {
		return "", nil // otherwise the link is enough
	}
	people, reasons, err := approvers(ctx, store, e, c)
	if err != nil {
		return "", err
	}
	var starters models.Starters
	if c.FourEyes {
		if starters, err = store.StartersOf(ctx, e); err != nil {
			return "", err
		}
	}
	approved := map[string]bool{}
	if c.ApprovedCount > 0 {
		votes, err := store.VotesOf(ctx, c.ID)
		if err != nil {
			return "", err
		}
		for _, v := range votes {
			approved[v.VoterID] = v.VoterKind == policies.KindUser && v.Decision == models.ConfirmationApproved
		}
	}
	needed := max(c.Approvals, 1) - c.ApprovedCount
	var left, excluded []string
	for _, u := range people {
		switch {
		case approved[u.ID]:
			excluded = append(excluded, u.Name+" has approved already")
		case slices.Contains(starters.Users, u.ID):
			excluded = append(excluded, u.Name+" set the run off")
		default:
			subject, err := store.Subject(ctx, policies.KindUser, u.ID)
			if errors.Is(err, models.ErrNotFound) {
				continue
			}
			if err != nil {
				return "", err
			}
			ok, err := may(ctx, subject, e, c)
			if err != nil {
				return "", err
			}
			if !ok {
				continue
			}
			if left = append(left, u.Name); len(left) >= needed {
				return "", nil
			}
		}
	}
	if len(people) >= maxApprovers {
		return "", nil
	}
	if n := len(excluded) - maxExcluded; n > 0 {
		excluded = append(excluded[:maxExcluded], fmt.Sprintf("%d more did one of the two", n))
	}
	text := "nobody who may approve is left: "
	if len(left) > 0 {
		text = fmt.Sprintf("it takes %d more who approve, and there is only %s: ", needed, strings.Join(left, ", "))
	}
	return text + strings.Join(append(reasons, excluded...), ", "), nil
}

// approvers gives the people who come into question for a confirmation, without those who are disabled, and says in words who
// they are.
func approvers(ctx context.Context, store *models.Store, e *models.Execution, c *models.Confirmation) (people []models.User, said []string, err error) {
	if c.User == "" && c.Team == "" {
		scopes, err := store.ScopePath(ctx, e.ProjectID)
		if err != nil {
			return nil, nil, err
		}
		people, err = store.Writers(ctx, scopes, maxApprovers)
		return people, []string{number(len(people), "user may write in the project", "users may write in the project")}, err
	}
	named, err := store.NamedDeciders(ctx, c.User, c.Team)
	if err != nil {
		return nil, nil, err
	}
	disabled := func(u models.User) bool { return u.Disabled }
	people = slices.DeleteFunc(named.People(), disabled)
	if c.User != "" {
		switch u := named.User; {
		case u == nil:
			said = append(said, "there is no user '"+c.User+"'")
		case u.Disabled:
			said = append(said, "the user '"+c.User+"' is disabled")
		default:
			said = append(said, "the user '"+c.User+"' is named")
		}
	}
	if c.Team != "" {
		if named.Team == nil {
			said = append(said, "there is no team '"+c.Team+"'")
		} else {
			said = append(said, "the team '"+c.Team+"' has "+number(len(slices.DeleteFunc(named.Members, disabled)), "member", "members"))
		}
	}
	return people[:min(len(people), maxApprovers)], said, nil
}

// number is a count of things in words.
func number(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
