package own

import (
	"context"
	"net/http"
	"time"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/models"
	"slipway/policies"
)

// PendingConfirmation is a decision that waits for the caller.
type PendingConfirmation struct {
	// Execution is the pipeline's execution that waits, Number its number.
	Execution string `json:"execution"`
	Number    int64  `json:"number"`
	Project   string `json:"project"`
	Pipeline  string `json:"pipeline"`
	// Step is the name of the step. User and Team are who is asked; nobody named is whoever may write in the project.
	Step string `json:"step"`
	User string `json:"user,omitempty"`
	Team string `json:"team,omitempty"`
	// Trigger says who started the execution.
	Trigger   models.Trigger `json:"trigger"`
	CreatedAt time.Time      `json:"created_at"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty"`
	// ConfirmationURL is the page that asks for the decision; see the documented links.
	ConfirmationURL string `json:"confirmation_url"`
}

func (s *surface) confirmationRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "confirmations/", Operation: "listPendingConfirmations", Summary: "List the confirmations that wait for the caller's decision, oldest first.",
			Permission: api.Permission{Action: "confirmation:decide", Filtered: true}, Handler: api.Handle(s.pendingConfirmations)},
	}
}

// pendingConfirmations asks of each confirmation that may be the caller's whether it is, in the words that its link is
// decided by.
func (s *surface) pendingConfirmations(ctx context.Context, _ *struct{}) ([]PendingConfirmation, error) {
	by := api.SubjectOf(ctx)
	v, err := s.Policy.Visible(ctx, by, "confirmation:decide")
	if err != nil {
		return nil, err
	}
	var user string
	var teams []string
	if by.Kind == policies.KindUser {
		user = by.Name
		list, err := s.Store.TeamsOf(ctx, by.ID)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			teams = append(teams, t.Name)
		}
	}
	list, err := s.Store.PendingConfirmations(ctx, v, user, teams)
	if err != nil {
		return nil, err
	}
	out := []PendingConfirmation{}
	for i := range list {
		c, e := &list[i].Confirmation, &list[i].Execution
		may, err := s.confirm.MayDecide(ctx, by, &e.Execution, c)
		if err != nil {
			return nil, err
		}
		if !may {
			continue
		}
		code, err := s.Executions.Code(c)
		if err != nil {
			return nil, err
		}
		out = append(out, PendingConfirmation{Execution: e.ID, Number: e.Number, Project: e.ProjectName, Pipeline: e.SubjectName, Step: list[i].StepName,
			User: c.User, Team: c.Team, Trigger: e.Trigger, CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, ConfirmationURL: confirm.URL(s.PublicURL, e.ProjectName, &e.Execution, code)})
	}
	return out, nil
}
