package models

import (
	"context"
	"errors"
	"slices"

	"slipway/policies"
)

// Starters are the people behind an execution: the first pair of eyes on it, where it takes four.
type Starters struct {
	// Users are the ids of the users who set it off, or one of those that led to it: by triggering it, by asking for the
	// backfill of a schedule, by having saved the schedule, or by triggering or retrying an execution that it repeats.
	Users []string
	// Known says that it was a user who set it off, and nobody else can have. Where it was a webhook, a service account or a
	// script, whoever has the token can have done it: no name in a request proves who that was.
	Known bool
}

// maxStarters bounds the way up from an execution.
const maxStarters = 500

// StartersOf finds the people behind an execution. The way leads through its parents, through the executions whose end
// triggered something, and through those that were retried.
func (s *Store) StartersOf(ctx context.Context, e *Execution) (Starters, error) {
	out := Starters{Known: true}
	type link struct {
		id string
		// repeated says that the way came through a retry: who triggered what is repeated has no part in whether a user set
		// off the repetition.
		repeated bool
	}
	seen := map[string]bool{e.ID: true}
	var next []link
	add := func(x *Execution, repeated bool) {
		who := [][2]string{{x.Trigger.SubjectKind, x.Trigger.SubjectID}}
		if a := x.Trigger.AskedBy; a != nil {
			who = append(who, [2]string{a.Kind, a.ID})
		}
		for _, w := range who {
			switch {
			case w[0] == policies.KindUser && w[1] != "":
				if !slices.Contains(out.Users, w[1]) {
					out.Users = append(out.Users, w[1])
				}
			case !repeated:
				out.Known = false
			}
		}
		for _, l := range []link{{x.ParentID, repeated}, {x.RetryOf, true}, {x.Trigger.Execution, repeated || x.RetryOf != ""}} {
			if l.id != "" && !seen[l.id] && len(seen) < maxStarters {
				seen[l.id] = true
				next = append(next, l)
			}
		}
	}
	add(e, false)
	for len(next) > 0 {
		l := next[0]
		next = next[1:]
		var x Execution
		err := one(s.reader(ctx).Select("id", "parent_id", "retry_of", "trigger").Where("id = ?", l.id).Take(&x))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Starters{}, err
		}
		add(&x, l.repeated)
	}
	return out, nil
}

// twoPeople makes a confirmation under four eyes take two people where nobody knows who set its execution off: one of them
// may be who did, the other is not. Where one named person alone may decide, there is no second one to ask: that person,
// whom the pipeline names, is the second pair of eyes.
func (s *Store) twoPeople(ctx context.Context, c *Confirmation) error {
	if !c.FourEyes || c.Approvals > 1 || c.User != "" && c.Team == "" {
		return nil
	}
	e := &Execution{}
	switch err := one(s.reader(ctx).Select("id", "parent_id", "retry_of", "trigger").Where("id = ?", c.ExecutionID).Take(e)); {
	case errors.Is(err, ErrNotFound):
		c.Approvals = 2
		return nil
	case err != nil:
		return err
	}
	who, err := s.StartersOf(ctx, e)
	if err == nil && !who.Known {
		c.Approvals = 2
	}
	return err
}
