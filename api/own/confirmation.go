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
	// ID is where the next page goes on.
	ID string `json:"id"`
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
	// Shortage says why it cannot be approved as things are: too few people are left who may, the caller included.
	Shortage string `json:"shortage,omitempty"`
	// ConfirmationURL is the page that asks for the decision; see the documented links.
	ConfirmationURL string `json:"confirmation_url"`
}

func (s *surface) confirmationRows() []api.Row {
	return []api.Row{
		{Method: http.MethodGet, Path: base + "confirmations/", Operation: "listPendingConfirmations", Summary: "List the confirmations that wait for the caller's decision, oldest first.",
			Permission: api.Permission{Action: "confirmation:decide", Filtered: true}, Handler: api.Handle(s.pendingConfirmations)},
	}
}

// pendingQuery narrows and pages the list.
type pendingQuery struct {
	// Execution is the id of the one execution that is asked for.
	Execution string `query:"execution" validate:"max=100"`
	// PageSize is 200 where it is absent.
	PageSize int `query:"page_size" validate:"min=0,max=1000"`
	// PageFrom is the id of a confirmation: every item has a higher one, since the oldest come first.
	PageFrom string `query:"page_from" validate:"max=100"`
}

// pendingConfirmations asks of each confirmation that may be the caller's whether it is, in the words that its link is
// decided by. What is not is passed over and not counted: a page is full, or it is the last one.
func (s *surface) pendingConfirmations(ctx context.Context, q *pendingQuery) ([]PendingConfirmation, error) {
	by := api.SubjectOf(ctx)
	size := q.PageSize
	if size == 0 {
		size = 200
	}
	f := models.PendingFilter{ExecutionID: q.Execution, After: q.PageFrom, Limit: size}
	var err error
	if f.Visible, err = s.Policy.Visible(ctx, by, "confirmation:decide"); err != nil {
		return nil, err
	}
	if by.Kind == policies.KindUser {
		f.User = by.Name
		list, err := s.Store.TeamsOf(ctx, by.ID)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			f.Teams = append(f.Teams, t.Name)
		}
	}
	out := []PendingConfirmation{}
	for {
		list, next, err := s.Store.PendingConfirmations(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range list {
			shown, err := s.showPending(ctx, by, &list[i])
			if err != nil {
				return nil, err
			}
			if shown == nil {
				continue
			}
			if out = append(out, *shown); len(out) == size {
				return out, nil
			}
		}
		if f.After = next; next == "" {
			return out, nil
		}
	}
}

// showPending shows a confirmation to who may decide it; nil to anybody else.
func (s *surface) showPending(ctx context.Context, by policies.Subject, p *models.PendingConfirmation) (*PendingConfirmation, error) {
	c, e := &p.Confirmation, &p.Execution
	if may, err := s.confirm.MayDecide(ctx, by, &e.Execution, c); err != nil || !may {
		return nil, err
	}
	code, err := s.Executions.Code(c)
	if err != nil {
		return nil, err
	}
	shortage, err := s.confirm.Shortage(ctx, &e.Execution, c)
	if err != nil {
		return nil, err
	}
	return &PendingConfirmation{Shortage: shortage, ID: c.ID, Execution: e.ID, Number: e.Number, Project: e.ProjectName, Pipeline: e.SubjectName, Step: p.StepName,
		User: c.User, Team: c.Team, Trigger: e.Trigger, CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, ConfirmationURL: confirm.URL(s.PublicURL, e.ProjectName, &e.Execution, code)}, nil
}
