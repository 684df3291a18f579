package models

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"slipway/policies"
)

// AuditEntry is one line of the audit log: who did what to what, and how it ended. The database refuses to change or
// remove a line.
type AuditEntry struct {
	ID string
	At time.Time
	// ActorKind, ActorID and ActorName are the authenticated subject, never a name from a payload.
	ActorKind, ActorID, ActorName string
	// Action is the policy's: "build:trigger".
	Action                                 string
	ResourceKind, ResourceID, ResourceName string
	// ProjectID is the project that the thing belongs to, "" for things of an organization or the installation.
	ProjectID string
	// Result is "ok", or why not: "refused", "failed".
	Result string
	// Detail is anything else worth knowing. It must hold no secrets.
	Detail map[string]any `gorm:"serializer:json"`
}

// AuditNoun is what the policy and the audit log call a kind of execution.
func AuditNoun(kind string) string {
	if kind == KindDeployment {
		return "deployment-job"
	}
	return kind
}

// TableName names the table of the log.
func (AuditEntry) TableName() string { return "audit_log" }

// ActorOf fills an entry's actor from the subject that acts.
func (e AuditEntry) ActorOf(s policies.Subject) AuditEntry {
	e.ActorKind, e.ActorID, e.ActorName = s.Kind, s.ID, s.Name
	return e
}

// Audit writes a line of the audit log in the surrounding transaction, so that there is no change without its line and no
// line without its change. It sets id and time.
func (s *Store) Audit(ctx context.Context, e AuditEntry) error {
	if err := e.prepare(s.Now()); err != nil {
		return err
	}
	return s.writer(ctx).Create(&e).Error
}

// prepare makes a line ready to be stored.
func (e *AuditEntry) prepare(now time.Time) error {
	e.ID, e.At = NewID(), now
	if e.Result == "" {
		e.Result = "ok"
	}
	// A line must not be lost over a text that the database cannot hold.
	for _, t := range []struct {
		text *string
		max  int
	}{{&e.ActorID, 36}, {&e.ActorName, 200}, {&e.Action, 100}, {&e.ResourceKind, 64}, {&e.ResourceID, 64}, {&e.ResourceName, 1000}, {&e.ProjectID, 36}, {&e.Result, 32}} {
		*t.text = shorten(clean(*t.text), t.max)
	}
	if _, err := json.Marshal(e.Detail); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	return nil
}

// about adds the execution that an entry speaks of to its detail, in a copy of that.
func (e AuditEntry) about(x *Execution) AuditEntry {
	detail := map[string]any{"execution": x.ID}
	maps.Copy(detail, e.Detail)
	if x.Number > 0 {
		detail["number"] = x.Number
	}
	e.Detail = detail
	if e.ProjectID == "" {
		e.ProjectID = x.ProjectID
	}
	return e
}

// AuditFilter selects lines of the audit log; empty members select all.
type AuditFilter struct {
	ProjectID, ActorID, Action string
	// Before is the id of a line: only older ones.
	Before string
	// Limit is how many lines at most; 0 means 50, 1000 is the most.
	Limit int
}

// ListAudit gives lines of the audit log, newest first. Lines that belong to no project are for who sees everything.
func (s *Store) ListAudit(ctx context.Context, v policies.Visible, f AuditFilter) ([]AuditEntry, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	q := s.reader(ctx).Scopes(s.visibleProjects(v, "audit_log.project_id"))
	for _, c := range [][2]string{{"project_id", f.ProjectID}, {"actor_id", f.ActorID}, {"action", f.Action}} {
		if c[1] != "" {
			q = q.Where(c[0]+" = ?", clean(c[1]))
		}
	}
	if f.Before != "" {
		q = q.Where("id < ?", clean(f.Before))
	}
	return all[AuditEntry](q.Order("id DESC").Limit(min(f.Limit, 1000)))
}
