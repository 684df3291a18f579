// Package packages is a private Composer repository: packages with versions and their archives, consumers with key pairs,
// and permissions that admit a consumer to the versions that a constraint matches. Service changes these things and writes
// the audit log; Repository answers what a consumer's Composer asks for. It knows no HTTP and decides no permissions of
// people: callers ask the policy first.
//
// Errors that people may see are *problem.Error; what is not there is models.ErrNotFound.
package packages

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"slipway/internal/blob"
	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/policies"
)

// Service changes packages, versions, consumers and permissions. Store is required, Blob for uploads and downloads.
type Service struct {
	Store *models.Store
	Blob  *blob.Store
	// Limits bound what an archive may be and hold; zero fields mean composer.DefaultArchiveLimits.
	Limits composer.ArchiveLimits
	// TempDir is where an archive is while it is checked; "" means the system's.
	TempDir string
	// Logger; nil means the default one.
	Logger *slog.Logger
}

func (s *Service) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

// maxText bounds free text, in bytes.
const maxText = 10_000

// fields collects what is wrong with an input, by member.
type fields []problem.Field

func (f *fields) add(name, message string) {
	*f = append(*f, problem.Field{Name: name, Message: message})
}

func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return &problem.Error{Kind: problem.Invalid, Message: "The given data was invalid.", Fields: f}
}

// badField is an error about one member.
func badField(name, message string) error {
	var f fields
	f.add(name, message)
	return f.err()
}

func (f *fields) status(status *int) {
	if status != nil && *status != models.StatusEnabled && *status != models.StatusDisabled {
		f.add("status", "must be 0 or 1")
	}
}

func (f *fields) text(name string, text *string, max int) {
	if text != nil && len(*text) > max {
		f.add(name, "must not be longer than "+strconv.Itoa(max)+" bytes")
	}
}

// taken turns ErrExists into a message about a member.
func taken(err error, name, message string) error {
	if errors.Is(err, models.ErrExists) {
		return badField(name, message)
	}
	return err
}

// tx runs a change and writes its line of the audit log in one transaction.
func (s *Service) tx(ctx context.Context, by policies.Subject, action string, change func(tx *models.Store) (audited, error)) error {
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		a, err := change(tx)
		if err != nil {
			return err
		}
		return tx.Audit(ctx, a.entry(by, action))
	})
}

// audited is the thing that a line of the audit log speaks of.
type audited struct {
	kind, name string
	id         int64
	detail     map[string]any
}

func (a audited) entry(by policies.Subject, action string) models.AuditEntry {
	e := models.AuditEntry{Action: action, ResourceKind: a.kind, ResourceName: a.name, Detail: a.detail}
	if a.id != 0 {
		e.ResourceID = strconv.FormatInt(a.id, 10)
	}
	return e.ActorOf(by)
}

func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
