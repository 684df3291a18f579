// Package inventory keeps releases: namespaces of applications, their releases with metadata and package files, tags,
// hooks and what is known of dependencies. It is what both the HTTP surface and the workers use. It knows no HTTP and
// decides no permissions: callers ask the policy first.
//
// Errors that people may see are *problem.Error with the texts that the original client shows; what is not there is
// models.ErrNotFound, and a name or package that is taken models.ErrExists.
package inventory

import (
	"context"
	"errors"
	"log/slog"

	"slipway/internal/blob"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// MaxPackage is the default limit of a package file in bytes: 4 GiB.
const MaxPackage = 4 << 30

// Service is the inventory. Store and Blob are required.
type Service struct {
	Store *models.Store
	Blob  *blob.Store
	// Limits bound what checking a package may cost; the zero value means release.DefaultLimits.
	Limits release.Limits
	// MaxPackage is the limit of a package file in bytes; 0 means MaxPackage.
	MaxPackage int64
	// OnUpload is told of every package, in the transaction that makes it visible: what it records there exists if and only
	// if the package does. Its error undoes the upload. Nil: nobody.
	OnUpload func(ctx context.Context, tx *models.Store, u Upload) error
	// Logger; nil means the default one.
	Logger *slog.Logger
}

func (s *Service) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

func (s *Service) limits() release.Limits {
	if s.Limits == (release.Limits{}) {
		return release.DefaultLimits
	}
	return s.Limits
}

func (s *Service) maxPackage() int64 {
	if s.MaxPackage == 0 {
		return MaxPackage
	}
	return s.MaxPackage
}

// nameOf is the name that releases are shown with. Where authentication is off there is nobody to name.
func nameOf(by policies.Subject) string {
	if by.ID == withoutAuthentication {
		return ""
	}
	return by.Name
}

// withoutAuthentication is the id of the subject that everybody is where authentication is off.
const withoutAuthentication = "anonymous-admin"

// invalid turns an error of package release into one that is shown with its text. Other errors stay.
func invalid(err error) error {
	var i *release.InvalidError
	if errors.As(err, &i) {
		return problem.New(problem.Invalid, "%s", i.Message)
	}
	return err
}

// audit writes a line of the audit log about something in a namespace.
func audit(ctx context.Context, tx *models.Store, by policies.Subject, action, kind, name string, n *models.Namespace, detail map[string]any) error {
	e := models.AuditEntry{Action: action, ResourceKind: kind, ResourceID: n.ID, ResourceName: name, Detail: detail}
	if n.ProjectID != nil {
		e.ProjectID = *n.ProjectID
	}
	return tx.Audit(ctx, e.ActorOf(by))
}
