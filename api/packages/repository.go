package packages

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"slipway/api"
	"slipway/internal/composer"
	"slipway/internal/problem"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
)

// Where the repository is. It is at the root of the host: the address that consumers configure has no path.
const (
	rootPath      = "/packages.json"
	packagePrefix = "/p2/"
	distPrefix    = "/dist/"
	downloadsPath = "/downloads"
)

func isRepositoryPath(p string) bool {
	return p == rootPath || p == downloadsPath || strings.HasPrefix(p, packagePrefix) || strings.HasPrefix(p, distPrefix)
}

// repositoryRows are what Composer asks for. Consumers have their keys for it; who may read an organization's packages can
// install all of them with an API token in the password's place.
func (s *surface) repositoryRows() []api.Row {
	install := api.Permission{Action: "package:install", ReadAction: "package:install", On: s.onRepository}
	return []api.Row{
		{Method: http.MethodGet, Path: rootPath, Operation: "getRepositoryRoot", Permission: install,
			Head: true, Handler: api.Stream(s.getRoot), Summary: "The first file that Composer reads."},
		{Method: http.MethodGet, Path: packagePrefix + "{vendor}/{file}", Operation: "getRepositoryPackage", Permission: install,
			Head: true, Handler: api.Stream(s.getPackageFile), Summary: "The versions of a package: {package}.json the releases, {package}~dev.json the others."},
		{Method: http.MethodGet, Path: distPrefix + "{vendor}/{package}/{archive}", Operation: "getRepositoryArchive", Permission: install,
			Head: true, Handler: api.Stream(s.getArchive), Summary: "The archive of a version."},
		{Method: http.MethodPost, Path: downloadsPath, Operation: "notifyRepositoryDownloads", Permission: install,
			Handler: api.Handle(s.notifyDownloads), Summary: "Composer's report of what it has installed.", Success: http.StatusNoContent},
	}
}

// onRepository resolves the organization whose repository the caller uses: a consumer's own, else the caller's.
func (s *surface) onRepository(r *api.Request) (api.Resource, error) {
	ctx := r.HTTP.Context()
	var o api.OrganizationScope
	var err error
	if r.Subject.Kind == policies.KindConsumer && len(r.Subject.Grants) == 1 {
		o, err = s.Scopes.Organization(ctx, r.Subject.Grants[0].Scope)
	} else {
		o, err = s.organizationOf(ctx, r.Subject)
	}
	return o.Resource("package", ""), err
}

// view is what the caller sees.
func (s *surface) view(r *api.Request) (*packages.View, error) {
	ctx := r.HTTP.Context()
	if r.Subject.Kind != policies.KindConsumer {
		return s.Repository.Organization(ctx, r.Resource.Scopes[0])
	}
	// The subject was made from these keys a moment ago. Who is gone since then is refused like one who never was.
	public, private, _ := r.HTTP.BasicAuth()
	v, err := s.Repository.Authenticate(ctx, public, private)
	if errors.Is(err, packages.ErrWrongKeys) {
		return nil, wrongKeys()
	}
	return v, err
}

// base is the absolute address of the repository, for addresses that must be absolute.
func (s *surface) base(r *http.Request) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	scheme := "http"
	// Whoever forges the header gets wrong addresses himself, and nobody else.
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// unchanged says whether the client has what it would get, and answers 304 then. The time must be exactly the one that was
// sent: a later one may be another consumer's, for Composer's cache knows repositories and not consumers. It is called after
// the keys were checked, and asks nothing but what was just checked.
func unchanged(w http.ResponseWriter, r *http.Request, v *packages.View) bool {
	modified := v.LastModified()
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
	if modified.IsZero() {
		return false
	}
	h.Set("Last-Modified", modified.Format(http.TimeFormat))
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	if err != nil || !since.Equal(modified) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// prefix is the path that the repository has for its clients, where a proxy gives it one.
func (s *surface) prefix() string {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return ""
	}
	return u.Path
}

func writeFile(w http.ResponseWriter, content []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

func (s *surface) getRoot(w http.ResponseWriter, r *api.Request, req *struct {
	UserAgent string `header:"User-Agent"`
}) error {
	v, err := s.view(r)
	if err != nil {
		return err
	}
	ctx := r.HTTP.Context()
	if strings.HasPrefix(req.UserAgent, "Composer/1.") {
		// Both kinds of clients keep this file under one name, so the old one's never says that it can be kept.
		content, err := v.RootV1(ctx, s.base(r.HTTP), s.prefix())
		if err != nil {
			return err
		}
		writeFile(w, content)
		return nil
	}
	if unchanged(w, r.HTTP, v) {
		return nil
	}
	content, err := v.Root(ctx, s.prefix())
	if err != nil {
		return err
	}
	writeFile(w, content)
	return nil
}

func (s *surface) getPackageFile(w http.ResponseWriter, r *api.Request, req *struct {
	Vendor string `path:"vendor"`
	File   string `path:"file"`
}) error {
	v, err := s.view(r)
	if err != nil {
		return err
	}
	name, dev, ok := composer.ParsePackagePath(req.Vendor + "/" + req.File)
	if !ok {
		return models.ErrNotFound
	}
	// What is not there is asked for first: 304 for it would keep a file that the consumer may not have any more.
	content, err := v.PackageFile(r.HTTP.Context(), s.base(r.HTTP), name, dev)
	if err != nil {
		return err
	}
	if content == nil {
		return models.ErrNotFound
	}
	if !unchanged(w, r.HTTP, v) {
		writeFile(w, content)
	}
	return nil
}

func (s *surface) getArchive(w http.ResponseWriter, r *api.Request, req *struct {
	Vendor  string `path:"vendor"`
	Package string `path:"package"`
	Archive string `path:"archive"`
}) error {
	v, err := s.view(r)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(strings.TrimSuffix(req.Archive, ".zip"), 10, 64)
	if err != nil || path.Ext(req.Archive) != ".zip" {
		return models.ErrNotFound
	}
	a, err := v.Open(r.HTTP.Context(), req.Vendor+"/"+req.Package, id)
	if err != nil {
		return err
	}
	defer a.Close()
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Version.Filename}))
	h.Set("ETag", `"`+a.Version.ArchiveSHA256+`"`)
	h.Set("Cache-Control", "private, no-cache")
	var uploaded time.Time
	if a.Version.UploadedAt != nil {
		uploaded = *a.Version.UploadedAt
	}
	http.ServeContent(&stallWriter{ResponseWriter: w, rc: http.NewResponseController(w)}, r.HTTP, "", uploaded, a)
	return nil
}

func (s *surface) notifyDownloads(ctx context.Context, req *struct {
	Body []byte `body:"raw"`
}) (api.Empty, error) {
	downloads, err := composer.ReadDownloads(req.Body)
	if err != nil {
		return api.Empty{}, problem.Wrap(problem.Invalid, err, "%s", err.Error())
	}
	v, err := s.view(api.From(ctx))
	if err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, v.CountDownloads(ctx, downloads)
}
