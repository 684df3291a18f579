package packages

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/packages"
)

// sourcePrefix is below the paths of the own surface: the document of the packages surface knows no sources.
const sourcePrefix = "/api/v1/slipway/"

// SourceOptions are what the rows of sources need on top of the surface's.
type SourceOptions struct {
	Options
	Mirrors *packages.Mirrors
	// CheckURL says what is wrong with a repository's URL.
	CheckURL func(url string) error
}

type sources struct {
	*surface
	mirrors  *packages.Mirrors
	checkURL func(url string) error
}

// SourceRows are the rows about where packages are mirrored from. They belong to the own surface.
func SourceRows(o SourceOptions) []api.Row {
	o.PublicURL = strings.TrimRight(o.PublicURL, "/")
	s := &sources{&surface{o.Options}, o.Mirrors, o.CheckURL}
	const path = sourcePrefix + "packages/{id}/source"
	return []api.Row{
		{Method: http.MethodGet, Path: path, Operation: "getPackageSource", Permission: s.ofPackage("package:read"), Handler: api.Handle(s.get),
			Summary: "The repository that a package's versions are mirrored from, and how the last run went."},
		{Method: http.MethodPut, Path: path, Operation: "putPackageSource", Permission: s.ofPackage("package:update"), Handler: api.Handle(s.put),
			Summary: "Set the repository that a package's versions are mirrored from."},
		{Method: http.MethodDelete, Path: path, Operation: "deletePackageSource", Permission: s.ofPackage("package:update"), Success: http.StatusNoContent,
			Handler: api.Handle(s.delete), Summary: "End the mirroring of a package. Its versions stay."},
		{Method: http.MethodPost, Path: sourcePrefix + "packages/{id}/mirror", Operation: "mirrorPackage", Permission: s.ofPackage("version:create"),
			Success: http.StatusAccepted, Handler: api.Handle(s.mirror), Summary: "Mirror the tags of a package's repository now."},
		{Method: http.MethodPost, Path: sourcePrefix + "package-hooks/{token}", Operation: "packageWebhook", Permission: api.Permission{Public: true},
			Success: http.StatusAccepted, Handler: api.Handle(s.hook), Summary: "What a forge calls when something was pushed: mirrors the package. The path is the secret.",
			MaxBody: 25 << 20},
	}
}

type sourceBody struct {
	// Repository is the URL of a git repository.
	Repository string `json:"repository" validate:"required,max=2000"`
	// PrivateKey is an ssh key for it. Without the member the one that is there stays; an empty one removes it.
	PrivateKey *string `json:"private_key"`
	// Interval is how often tags are looked at, in seconds; 0 for never.
	Interval int64 `json:"interval" validate:"min=0,max=31536000"`
	// NewWebhook ends the webhook that there is and makes another one.
	NewWebhook bool `json:"new_webhook"`
}

type sourceView struct {
	Repository    string       `json:"repository"`
	HasPrivateKey bool         `json:"has_private_key"`
	Interval      int64        `json:"interval"`
	Webhook       string       `json:"webhook,omitempty"` // its address, when this call has made it
	StartedAt     *time.Time   `json:"started_at,omitempty"`
	FinishedAt    *time.Time   `json:"finished_at,omitempty"`
	Mirrored      int64        `json:"mirrored"` // new versions of the last run
	Message       string       `json:"message,omitempty"`
	Refused       []refusedTag `json:"refused,omitempty"`
}

// refusedTag is a tag that is no version of the package, and why.
type refusedTag struct {
	Tag     string `json:"tag"`
	Commit  string `json:"commit"`
	Message string `json:"message"`
}

func (s *sources) viewSource(ctx context.Context, packageID int64) (sourceView, error) {
	src, err := s.Store.PackageSourceByID(ctx, packageID)
	if err != nil {
		return sourceView{}, err
	}
	v := sourceView{Repository: src.Repository, HasPrivateKey: len(src.SealedPrivateKey) > 0, Interval: src.IntervalSeconds,
		StartedAt: src.StartedAt, FinishedAt: src.FinishedAt, Mirrored: src.Mirrored, Message: src.Message}
	tags, err := s.Store.ListPackageSourceTags(ctx, packageID)
	for _, t := range tags {
		if t.Message != "" {
			v.Refused = append(v.Refused, refusedTag{t.Name, t.CommitID, t.Message})
		}
	}
	return v, err
}

func (s *sources) get(ctx context.Context, req *idPath) (sourceView, error) {
	return s.viewSource(ctx, req.ID)
}

func (s *sources) put(ctx context.Context, req *struct {
	idPath
	Body sourceBody `body:"json"`
}) (sourceView, error) {
	interval := time.Duration(req.Body.Interval) * time.Second
	in := packages.SourceInput{Repository: req.Body.Repository, PrivateKey: req.Body.PrivateKey, Interval: interval, NewWebhook: req.Body.NewWebhook}
	token, err := s.Service.PutSource(ctx, req.ID, in, s.checkURL, api.SubjectOf(ctx))
	if err != nil {
		return sourceView{}, err
	}
	v, err := s.viewSource(ctx, req.ID)
	if err != nil {
		return sourceView{}, err
	}
	if token != "" {
		v.Webhook = s.base(api.From(ctx).HTTP) + sourcePrefix + "package-hooks/" + token
	}
	// A schedule that could not be made is made when the next process starts, so that the new webhook is not lost with
	// the answer.
	if err := s.mirrors.Schedule(ctx, req.ID, interval); err != nil {
		if token == "" {
			return sourceView{}, err
		}
		v.Message = "the schedule is not there yet: " + err.Error()
	}
	return v, nil
}

func (s *sources) delete(ctx context.Context, req *idPath) (api.Empty, error) {
	// The schedule first: a row without a schedule does no harm, and the call can be repeated.
	if err := s.mirrors.Schedule(ctx, req.ID, 0); err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, s.Service.DeleteSource(ctx, req.ID, api.SubjectOf(ctx))
}

type mirrorView struct {
	WorkflowID string `json:"workflow_id"`
}

func (s *sources) mirror(ctx context.Context, req *idPath) (mirrorView, error) {
	if _, err := s.Store.PackageSourceByID(ctx, req.ID); err != nil {
		if errors.Is(err, models.ErrNotFound) {
			err = problem.New(problem.Conflict, "the package has no source to mirror")
		}
		return mirrorView{}, err
	}
	if err := s.Service.AuditMirror(ctx, req.ID, api.SubjectOf(ctx)); err != nil {
		return mirrorView{}, err
	}
	id, err := s.mirrors.Start(ctx, req.ID)
	return mirrorView{id}, err
}

// hook is called by forges, each with a body of its own kind, of which nothing is believed: it only says that something has
// changed. The tags themselves are asked of the repository.
func (s *sources) hook(ctx context.Context, req *struct {
	Token string `path:"token"`
	Body  []byte `body:"raw"`
}) (api.Empty, error) {
	src, err := s.Store.PackageSourceByWebhook(ctx, req.Token)
	if err != nil {
		return api.Empty{}, err
	}
	_, err = s.mirrors.Start(ctx, src.PackageID)
	return api.Empty{}, err
}
