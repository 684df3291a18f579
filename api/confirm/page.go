package confirm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// csrfCookie holds what the form must send back. A page of another site can send the form, but can neither read the
// cookie nor set it.
const csrfCookie = "slipway_confirmation"

// PostPath is where the page's form goes: a row of the own surface.
const PostPath = "/api/v1/slipway/confirmations/{execution_id}/{code}"

type pageData struct {
	Nonce, Title, Project, Pipeline, Step, Phase string
	Number                                       int64
	Releases                                     []string
	Deploys                                      []string // what the phases after this one deploy
	TriggeredBy, CreatedAt, Asked                string
	Open, May                                    bool
	Who, Decision, Message                       string
	Action, CSRF                                 string
	// Expires is when an open one times out; Rule and Votes are there where it takes several people.
	Expires, Rule, Refusal string
	Votes                  []string
	// Shortage says why nobody is left to approve it.
	Shortage string
}

// page writes the page of a confirmation. It works without scripts, and nothing else may be loaded by it.
func (l *Links) page(ctx context.Context, w http.ResponseWriter, r *api.Request, status int, c *models.Confirmation, e *models.Execution, d models.PipelineDefinition, code string, may bool, message string) error {
	p := pageData{Nonce: random(), Title: "Confirmation", Project: d.Project, Pipeline: d.Name, Number: e.Number, Who: who(c), Message: message,
		Open: c.Status == models.ConfirmationPending, May: may, TriggeredBy: e.Trigger.SubjectName, CreatedAt: e.CreatedAt.UTC().Format("2006-01-02 15:04 MST"),
		Action: "/api/v1/slipway/confirmations/" + url.PathEscape(e.ID) + "/" + url.PathEscape(code)}
	switch {
	case e.Trigger.Type == "webhook":
		p.TriggeredBy = "a webhook" // its subject is what was called
	case p.TriggeredBy == "":
		p.TriggeredBy = e.Trigger.Type
	}
	if p.Asked = c.CreatedAt.UTC().Format("2006-01-02 15:04 MST"); c.Reminders > 0 {
		p.Asked += fmt.Sprintf("; reminded %d times since", c.Reminders)
	}
	if c.Phase < len(d.Phases) && c.Step < len(d.Phases[c.Phase].Steps) {
		p.Phase, p.Step = d.Phases[c.Phase].Name, executions.StepName(d.Phases[c.Phase].Steps[c.Step])
		for _, ph := range d.Phases[c.Phase+1:] {
			for _, st := range ph.Steps {
				p.Deploys = append(p.Deploys, executions.StepName(st))
			}
		}
	}
	var err error
	if p.Releases, err = l.releases(ctx, e); err != nil {
		return err
	}
	if !p.Open {
		p.Decision = decided(c)
	}
	if p.Open && c.ExpiresAt != nil {
		p.Expires = c.ExpiresAt.UTC().Format("2006-01-02 15:04 MST")
		if p.Open = c.ExpiresAt.After(l.Store.Now()); !p.Open {
			p.Expires, p.Decision = "", timedOut
		}
	}
	if p.Open {
		cancelled, err := l.Store.ConfirmationCancelled(ctx, c.ID)
		if err != nil {
			return err
		}
		if cancelled {
			p.Open, p.Expires, p.Decision = false, "", ended
		}
	}
	if err := l.votes(ctx, e, c, &p); err != nil {
		return err
	}
	if p.Open {
		if p.Shortage, err = l.Shortage(ctx, e, c); err != nil {
			return err
		}
	}
	p.Refusal = l.refusal(ctx, subject(r), e, c).Error()
	if p.Open && p.May {
		p.CSRF = csrf(w, r, p.Action)
	}
	var buf bytes.Buffer
	if err := pageTemplate.Execute(&buf, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the code is in the address
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, err = w.Write(buf.Bytes())
	return err
}

// votes fills in what several people have said, and what it still takes.
func (l *Links) votes(ctx context.Context, e *models.Execution, c *models.Confirmation, p *pageData) error {
	if c.Approvals > 1 {
		p.Rule = fmt.Sprintf("%d of %d people have approved", c.ApprovedCount, c.Approvals)
	}
	if c.FourEyes {
		if p.Rule != "" {
			p.Rule += "; "
		}
		p.Rule += "whoever triggered the run may not decide"
		who, err := l.Store.StartersOf(ctx, e)
		if err != nil {
			return err
		}
		if !who.Known {
			p.Rule += ", and since nobody knows who that was it takes two people"
		}
	}
	if c.Approvals <= 1 {
		return nil
	}
	list, err := l.Store.VotesOf(ctx, c.ID)
	for _, v := range list {
		p.Votes = append(p.Votes, v.Decision+" by "+v.VoterName+" on "+v.CreatedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return err
}

const ended = "The pipeline's execution has ended, or was cancelled: there is nothing left to decide."

const timedOut = "Nobody decided in time: this timed out."

// releases are what the pipeline's builds have made so far.
func (l *Links) releases(ctx context.Context, e *models.Execution) ([]string, error) {
	children, err := l.Store.ListExecutions(ctx, models.ExecutionFilter{ParentID: e.ID, PageSize: 1000})
	if err != nil {
		return nil, err
	}
	var out []string
	for i := len(children) - 1; i >= 0; i-- {
		for _, r := range children[i].ResultOf().Releases {
			out = append(out, r.Release)
		}
	}
	return out, nil
}

func decided(c *models.Confirmation) string {
	switch c.Status {
	case models.ConfirmationApproved, models.ConfirmationDisapproved:
		at := ""
		if c.DecidedAt != nil {
			at = " on " + c.DecidedAt.UTC().Format("2006-01-02 15:04:05 MST")
		}
		return "This was " + c.Status + " by " + c.DecidedByName + at + "."
	case models.ConfirmationTimedOut:
		return timedOut
	}
	return ended
}

// tooLate begins the message of a refusal; that one has approved already is no reproach.
func tooLate(message string) string {
	if strings.HasPrefix(message, "you have approved") {
		return message
	}
	return "Too late: " + message
}

func random() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func csrf(w http.ResponseWriter, r *api.Request, path string) string {
	token := random()
	http.SetCookie(w, &http.Cookie{Name: csrfCookie, Value: token, Path: path, MaxAge: int((12 * time.Hour).Seconds()), HttpOnly: true,
		Secure: r.HTTP.TLS != nil, SameSite: http.SameSiteStrictMode})
	return token
}

// Form is the POST of the page's buttons.
type Form struct {
	ExecutionID string `path:"execution_id" validate:"max=100"`
	Code        string `path:"code" validate:"max=200"`
	Body        []byte `body:"raw"`
}

// Post decides by the page's form, and shows the page again.
func (l *Links) Post(w http.ResponseWriter, r *api.Request, f *Form) error {
	ctx := r.HTTP.Context()
	form, err := url.ParseQuery(string(f.Body))
	if err != nil {
		return problem.New(problem.Invalid, "expected the form of the confirmation's page")
	}
	decision := form.Get("decision")
	if decision != "approve" && decision != "disapprove" {
		return problem.BadField("decision", "expected approve or disapprove")
	}
	by := subject(r)
	c, e, may, err := l.Executions.Confirmation(ctx, f.ExecutionID, f.Code, by)
	if err != nil {
		return err
	}
	d, err := snapshot(e)
	if err != nil {
		return err
	}
	status, message := http.StatusOK, ""
	switch cookie, err := r.HTTP.Cookie(csrfCookie); {
	case err != nil || len(cookie.Value) < 20 || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(form.Get("csrf"))) != 1:
		// Whoever opens the link twice has this in the first tab: the page comes again, with a token that is good.
		status, message = http.StatusForbidden, "Not decided: this page had expired, or the form came from another one. Decide here."
	case may:
		now, err := l.decide(ctx, f.ExecutionID, f.Code, decision == "approve", by)
		var p *problem.Error
		switch {
		case err == nil:
			c = now
		case errors.As(err, &p) && p.Kind == problem.Conflict:
			status, message = http.StatusConflict, tooLate(p.Message)
			if c, _, _, err = l.Executions.Confirmation(ctx, f.ExecutionID, f.Code, by); err != nil {
				return err
			}
		default:
			return err
		}
	default:
		status, message = http.StatusForbidden, "Not decided: "+l.refusal(ctx, by, e, c).Error()+"."
		if by.Kind == policies.KindAnonymous {
			status = http.StatusUnauthorized
			api.ChallengePage(w.Header())
		}
	}
	return l.page(ctx, w, r, status, c, e, d, f.Code, may, message)
}
