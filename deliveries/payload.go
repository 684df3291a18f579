package deliveries

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipway/models"
)

// Payload is the body of a notification's webhook.
type Payload struct {
	// Event is failed, ok, fixed, waiting, cancelled, skipped, confirmation or test.
	Event string `json:"event"`
	// At is when it happened.
	At           time.Time `json:"at"`
	Project      string    `json:"project"`
	Notification string    `json:"notification"`
	// Execution is absent in a test.
	Execution *PayloadExecution `json:"execution,omitempty"`
	// Confirmation is there where the event is confirmation.
	Confirmation *PayloadConfirmation `json:"confirmation,omitempty"`
}

// PayloadExecution is the execution that a notification is about.
type PayloadExecution struct {
	ID string `json:"id"`
	// Kind is build, deployment or pipeline, Subject the name of what ran.
	Kind        string `json:"kind"`
	Environment string `json:"environment,omitempty"`
	Subject     string `json:"subject"`
	Number      int64  `json:"number"`
	// Outcome is the exact status.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// TriggerType and TriggeredBy say what started it, and who.
	TriggerType string         `json:"trigger_type"`
	TriggeredBy string         `json:"triggered_by,omitempty"`
	Parent      string         `json:"parent,omitempty"`
	RetryOf     string         `json:"retry_of,omitempty"`
	Commit      *models.Commit `json:"commit,omitempty"`
	// Releases are those that a build made, or the one that was deployed.
	Releases   []string   `json:"releases,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	// URL is where it can be read, where the address of the server is configured.
	URL string `json:"url,omitempty"`
}

// PayloadConfirmation is what waits for a decision.
type PayloadConfirmation struct {
	ID    string `json:"id"`
	Phase string `json:"phase,omitempty"`
	Step  string `json:"step"`
	// User and Team, where set, are who may decide; otherwise whoever has the link.
	User      string     `json:"user,omitempty"`
	Team      string     `json:"team,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Reminder counts the times that this was sent before.
	Reminder int `json:"reminder,omitempty"`
	// Shortage says why it cannot be approved as things are: too few people are left who may.
	Shortage string `json:"shortage,omitempty"`
	// URL shows a page with both buttons. It is a secret: whoever has it may decide, unless a user or a team is named.
	URL string `json:"url,omitempty"`
}

// names are what an execution's snapshot calls the things it ran in.
type names struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
}

func namesOf(e *models.Execution) names {
	var n names
	_ = json.Unmarshal(e.Definition, &n)
	return n
}

// Limits of what a message repeats; all of it can be read from the execution.
const (
	maxMessage  = 4 << 10 // bytes of a commit's message
	maxReleases = 200
)

func (s *Service) payloadExecution(e *models.Execution) *PayloadExecution {
	p := &PayloadExecution{ID: e.ID, Kind: e.Kind, Environment: namesOf(e).Environment, Subject: e.SubjectName, Number: e.Number, Outcome: string(e.Status), Reason: e.Reason,
		TriggerType: e.Trigger.Type, TriggeredBy: e.Trigger.SubjectName, Parent: e.ParentID, RetryOf: e.RetryOf, Commit: e.Commit,
		CreatedAt: e.CreatedAt, StartedAt: e.StartedAt, FinishedAt: e.FinishedAt}
	if p.Commit != nil {
		c := p.Commit.Cut(maxMessage)
		p.Commit = &c
	}
	made := e.ResultOf()
	made.Releases = made.Releases[:min(len(made.Releases), maxReleases)]
	for _, r := range made.Releases {
		p.Releases = append(p.Releases, r.Release)
	}
	if made.Release != "" {
		p.Releases = append(p.Releases, made.Release)
	}
	if s.PublicURL != "" {
		p.URL = strings.TrimSuffix(s.PublicURL, "/") + "/api/v1/slipway/executions/" + url.PathEscape(e.ID) + "/"
	}
	return p
}

// encode writes a payload. It cannot fail: all members can be written.
func (p Payload) encode() string {
	b, _ := json.Marshal(p)
	return string(b)
}

// happened says in words what happened.
var happened = map[string]string{
	models.EventFailed: "failed", models.EventOK: "succeeded", models.EventFixed: "succeeded again", models.EventWaiting: "waits for a decision",
	models.EventCancelled: "was cancelled", models.EventSkipped: "had nothing to do", models.EventConfirmation: "waits for your decision",
}

func (p Payload) happened() string {
	if p.Confirmation != nil && p.Confirmation.Shortage != "" {
		return "waits for a decision that too few are left to make"
	}
	return happened[p.Event]
}

// title says in one line what a notification is about.
func (p Payload) title() string {
	if p.Execution == nil {
		return fmt.Sprintf("[%s] This is a test", p.Project)
	}
	title := fmt.Sprintf("[%s] %s %s #%d %s", p.Project, p.Execution.Kind, p.Execution.Subject, p.Execution.Number, p.happened())
	if p.Confirmation != nil && p.Confirmation.Reminder > 0 {
		title = "Reminder: " + title
	}
	return title
}

// text is a notification for people to read, the text of mails.
func (p Payload) text() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s%s\n", name+":", value)
		}
	}
	if p.Execution == nil {
		fmt.Fprintf(&b, "This is a test of the notification %q of project %s. It arrived.\n", p.Notification, p.Project)
		return b.String()
	}
	e := p.Execution
	fmt.Fprintf(&b, "%s %s #%d of project %s %s.\n\n", strings.ToUpper(e.Kind[:1])+e.Kind[1:], e.Subject, e.Number, p.Project, p.happened())
	line("Reason", e.Reason)
	line("Environment", e.Environment)
	if e.Commit != nil {
		line("Commit", strings.TrimSpace(e.Commit.Revision+" "+e.Commit.Branch))
		first, _, _ := strings.Cut(e.Commit.Message, "\n")
		line("Message", first)
		line("Author", e.Commit.Author)
	}
	line("Releases", strings.Join(e.Releases, ", "))
	line("Triggered by", strings.TrimSpace(e.TriggeredBy+" ("+e.TriggerType+")"))
	if e.FinishedAt != nil {
		line("Finished", e.FinishedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	line("Execution", e.URL)
	if c := p.Confirmation; c != nil {
		line("Phase", c.Phase)
		line("Step", c.Step)
		if c.ExpiresAt != nil {
			line("Decide by", c.ExpiresAt.UTC().Format("2006-01-02 15:04:05 MST"))
		}
		if c.Shortage != "" {
			fmt.Fprintf(&b, "\nAs things are this cannot be approved: %s. Somebody else has to be allowed to, or the run be cancelled.\n", c.Shortage)
		}
		switch {
		case c.URL != "":
			b.WriteString("\nDecide here. The link shows a page with both buttons; opening it decides nothing:\n\n" + c.URL + "\n")
			if c.User == "" && c.Team == "" {
				b.WriteString("\nWhoever has this link may decide: do not pass it on.\n")
			}
		case c.Shortage == "":
			b.WriteString("\nThere is no link in this message, because the server's address is not configured.\n")
		}
	}
	if p.Notification != "" {
		fmt.Fprintf(&b, "\nYou get this by the notification %q of project %s.\n", p.Notification, p.Project)
	}
	return b.String()
}
