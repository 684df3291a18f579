// Package confirm answers the links of confirmations: a page for people, an act for programs.
package confirm

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Executions decides confirmations; see executions.Service.
type Executions interface {
	Confirmation(ctx context.Context, executionID, code string, by policies.Subject) (*models.Confirmation, *models.Execution, bool, error)
	Decide(ctx context.Context, executionID, code string, approve bool, by policies.Subject) (*models.Confirmation, error)
}

// Links answers requests for confirmations.
type Links struct {
	Executions Executions
	Store      *models.Store
	Scopes     *api.Scopes
	Policy     api.Policy
}

// URL is the link that goes to people: the documented path, which shows a page with both buttons. publicURL may be "";
// then it is a path of this server.
func URL(publicURL, project string, e *models.Execution, code string) string {
	return strings.TrimSuffix(publicURL, "/") + "/api/v1/pipelines/by-project/" + url.PathEscape(project) + "/by-name/" + url.PathEscape(e.SubjectName) +
		"/executions/" + url.PathEscape(e.ID) + "/confirmation/" + url.PathEscape(code) + "/approve"
}

// holder is who decides by having the link, where no login is asked for: the record says so.
var holder = policies.Subject{Kind: policies.KindAnonymous, Name: "somebody with the link"}

// Decision is the answer to a program.
type Decision struct {
	// Status is approved or disapproved.
	Status    string     `json:"status"`
	DecidedBy string     `json:"decided_by"`
	DecidedAt *time.Time `json:"decided_at"`
	// Approvals is how many people have approved, ApprovalsNeeded how many it takes; absent where one is enough. Until they
	// all have, Status is pending.
	Approvals       int `json:"approvals,omitempty"`
	ApprovalsNeeded int `json:"approvals_needed,omitempty"`
}

// MayDecide says who may decide a confirmation and see its link: the user it names, the members of the team it names,
// or, where it names nobody, whoever may write in the project.
func (l *Links) MayDecide(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error) {
	if ok, err := l.person(ctx, by, e, c); err != nil || !ok {
		return false, err
	}
	if c.User != "" || c.Team != "" {
		return l.named(ctx, by, c)
	}
	p, err := l.Scopes.ProjectByID(ctx, e.ProjectID)
	if err != nil {
		if errors.Is(err, models.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	return l.Policy.Allow(ctx, by, "confirmation:decide", policies.Resource{Kind: "confirmation", Scopes: p.Scopes})
}

// Shortage says why a confirmation cannot be approved as things are; see executions.Shortage.
func (l *Links) Shortage(ctx context.Context, e *models.Execution, c *models.Confirmation) (string, error) {
	return executions.Shortage(ctx, l.Store, l.MayDecide, e, c)
}

// MayDecideByLink is MayDecide for somebody who came with the code of the link. Where nobody is named the link is enough:
// only those who may decide were shown it, and a mail has no credential. Where somebody is named, it takes that person,
// logged in. It is what executions.Service asks.
func (l *Links) MayDecideByLink(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error) {
	if c.FourEyes || c.Approvals > 1 {
		return l.MayDecide(ctx, by, e, c) // a link is nobody in particular
	}
	if c.User == "" && c.Team == "" {
		return by.Kind != policies.KindRun, nil
	}
	return l.named(ctx, by, c)
}

// person says whether by is somebody whose word counts where it takes more than one pair of eyes: a user, since a service
// account may be anybody's, and not who set the execution off.
func (l *Links) person(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error) {
	switch {
	case !c.FourEyes && c.Approvals <= 1:
		return true, nil
	case by.Kind != policies.KindUser:
		return false, nil
	}
	first, err := l.setOff(ctx, by, e, c)
	return !first, err
}

// setOff says whether by is who may not decide since the confirmation takes four eyes: one of those behind the execution.
func (l *Links) setOff(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) (bool, error) {
	if !c.FourEyes || by.Kind != policies.KindUser || by.ID == "" {
		return false, nil
	}
	who, err := l.Store.StartersOf(ctx, e)
	return slices.Contains(who.Users, by.ID), err
}

// named says whether by is who the confirmation asks for. The identity is the authenticated id, looked up now: a name in
// a request proves nothing. Administrators are not somebody else.
func (l *Links) named(ctx context.Context, by policies.Subject, c *models.Confirmation) (bool, error) {
	if by.Kind != policies.KindUser {
		return false, nil
	}
	if c.User != "" {
		u, err := l.Store.UserByName(ctx, c.User)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return false, err
		}
		if err == nil && u.ID == by.ID && !u.Disabled {
			return true, nil
		}
	}
	if c.Team == "" {
		return false, nil
	}
	teams, err := l.Store.TeamsOf(ctx, by.ID)
	if err != nil {
		return false, err
	}
	org, err := l.Store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	if err != nil {
		return false, err
	}
	for _, t := range teams {
		if t.Name == c.Team && t.OrganizationID == org.ID {
			return true, nil
		}
	}
	return false, nil
}

// namesJSON says whether an Accept header asks for application/json by name. "*/*" does not: mail scanners send it.
func namesJSON(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		t, params, err := mime.ParseMediaType(part)
		if err == nil && t == "application/json" && params["q"] != "0" {
			return true
		}
	}
	return false
}

// Link answers GET of the documented link.
func (l *Links) Link(w http.ResponseWriter, r *api.Request, project, pipeline, id, code, accept string, approve bool) error {
	ctx := r.HTTP.Context()
	by := subject(r)
	c, e, may, err := l.Executions.Confirmation(ctx, id, code, by)
	if err != nil {
		return err
	}
	d, err := snapshot(e)
	if err != nil {
		return err
	}
	// The code is of this execution; the names in the path must be its too, or the link is not one that we sent.
	if d.Project != project || e.SubjectName != pipeline {
		return problem.New(problem.NotFound, "this link is not valid: no such confirmation")
	}
	if r.HTTP.Method == http.MethodGet && namesJSON(accept) {
		return l.act(w, r, c, e, id, code, approve, by, may)
	}
	return l.page(ctx, w, r, http.StatusOK, c, e, d, code, may, "")
}

func (l *Links) act(w http.ResponseWriter, r *api.Request, c *models.Confirmation, e *models.Execution, id, code string, approve bool, by policies.Subject, may bool) error {
	if !may {
		return l.refusal(r.HTTP.Context(), by, e, c)
	}
	c, err := l.decide(r.HTTP.Context(), id, code, approve, by)
	if err != nil {
		return err
	}
	d := Decision{Status: c.Status, DecidedBy: c.DecidedByName, DecidedAt: c.DecidedAt}
	if c.Approvals > 1 {
		d.Approvals, d.ApprovalsNeeded = c.ApprovedCount, c.Approvals
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(b, '\n'))
	return err
}

// decide decides, and reads back what now stands: who, and when.
func (l *Links) decide(ctx context.Context, id, code string, approve bool, by policies.Subject) (*models.Confirmation, error) {
	if _, err := l.Executions.Decide(ctx, id, code, approve, by); err != nil {
		return nil, err
	}
	return l.Store.ConfirmationByCode(ctx, id, code)
}

// refusal tells somebody who may not decide what it takes.
func (l *Links) refusal(ctx context.Context, by policies.Subject, e *models.Execution, c *models.Confirmation) error {
	if by.Kind == policies.KindAnonymous {
		return problem.New(problem.Unauthenticated, "%s: log in first", who(c))
	}
	switch first, err := l.setOff(ctx, by, e, c); {
	case err != nil:
		return err
	case first:
		return problem.New(problem.Forbidden, "%s triggered this, and four eyes must see it: somebody else decides", by.Name)
	}
	return problem.New(problem.Forbidden, "%s, not %s", who(c), by.Name)
}

// who says in words whose decision it is.
func who(c *models.Confirmation) string {
	switch {
	case c.User != "" && c.Team != "":
		return "only the user '" + c.User + "' or a member of the team '" + c.Team + "' may decide this"
	case c.User != "":
		return "only the user '" + c.User + "' may decide this"
	case c.Team != "":
		return "only a member of the team '" + c.Team + "' may decide this"
	}
	if c.FourEyes || c.Approvals > 1 {
		return "only users who may write in the project may decide this"
	}
	return "whoever has the link may decide this"
}

// subject is who asks, with a name for the record.
func subject(r *api.Request) policies.Subject {
	if r.Subject.Kind == policies.KindAnonymous || r.Subject.Kind == "" {
		return holder
	}
	return r.Subject
}

func snapshot(e *models.Execution) (models.PipelineDefinition, error) {
	var d models.PipelineDefinition
	return d, e.DefinitionInto(&d)
}
