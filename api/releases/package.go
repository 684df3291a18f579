package releases

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
)

// uploadPackage reads the part named "file" of a multipart form straight into storage.
func (s *surface) uploadPackage(w http.ResponseWriter, r *api.Request, req *versionPath) error {
	ctx := r.HTTP.Context()
	// net/http reads a body in pieces of 4 KiB for the multipart reader; one large buffer below it saves system calls.
	body := &stallReader{r: r.HTTP.Body, rc: http.NewResponseController(w), stall: s.Stall}
	r.HTTP.Body = io.NopCloser(bufio.NewReaderSize(body, 256<<10))
	err := func() error {
		form, err := r.HTTP.MultipartReader()
		if err != nil {
			return problem.Wrap(problem.Invalid, err, "%s", err.Error())
		}
		id, err := release.ParseID(req.Name + "-" + req.Version)
		if err != nil {
			return problem.Wrap(problem.Invalid, err, "%s", err.Error())
		}
		id.Project = req.Namespace
		if !id.Resolved() {
			return problem.New(problem.Invalid, "Can't upload package against unresolved version '%s'", id)
		}
		for {
			part, err := form.NextPart()
			if errors.Is(err, io.EOF) {
				// Of a release that is not there, that is what people want to know first.
				if _, err := s.Inventory.Find(ctx, id.Project, id.Name, id.Version); err != nil {
					return err
				}
				return problem.New(problem.Invalid, "%s", http.ErrMissingFile)
			}
			if err != nil {
				return problem.Wrap(problem.Invalid, err, "%s", err.Error())
			}
			if part.FormName() == "file" && part.FileName() != "" {
				return s.Inventory.Upload(ctx, id, part, r.Subject)
			}
		}
	}()
	if err != nil {
		// A client that sends everything before it reads the answer must not find a closed connection instead.
		_, _ = io.CopyN(io.Discard, r.HTTP.Body, 16<<20)
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// stallReader gives up a connection that sends nothing for too long; a slow one may take its time.
type stallReader struct {
	r     io.Reader
	rc    *http.ResponseController
	stall time.Duration
}

func (s *stallReader) Read(p []byte) (int, error) {
	// Connections that know no deadlines are the tests'.
	_ = s.rc.SetReadDeadline(time.Now().Add(s.stall))
	n, err := s.r.Read(p)
	_ = s.rc.SetReadDeadline(time.Time{})
	return n, err
}

// stallWriter gives up a receiver that takes nothing for too long.
type stallWriter struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
}

func (s *stallWriter) Write(p []byte) (int, error) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.stall))
	n, err := s.ResponseWriter.Write(p)
	_ = s.rc.SetWriteDeadline(time.Time{})
	return n, err
}

// downloadPackage answers ranges and conditions too: a package never changes, and its hash is its tag.
func (s *surface) downloadPackage(w http.ResponseWriter, r *api.Request, req *versionPath) error {
	p, err := s.Inventory.Download(r.HTTP.Context(), req.Namespace, req.Name, req.Version)
	if err != nil {
		return err
	}
	defer p.Close()
	h := w.Header()
	h.Set("Content-Type", "application/gzip")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.tgz"`, req.Name, req.Version))
	h.Set("ETag", `"`+p.Found.Release.PackageSHA256+`"`)
	h.Set("Cache-Control", "private, no-cache")
	counted := &countingDownload{ResponseWriter: &stallWriter{ResponseWriter: w, rc: http.NewResponseController(w), stall: s.Stall},
		count: func() {
			if r.HTTP.Method == http.MethodGet {
				s.Inventory.CountDownload(r.HTTP.Context(), p.Found)
			}
		}}
	http.ServeContent(counted, r.HTTP, "", uploadedAt(p.Found.Release), p)
	return nil
}

func uploadedAt(r *models.Release) time.Time {
	if r.UploadedAt == nil {
		return time.Time{}
	}
	return *r.UploadedAt
}

// countingDownload counts a download when the answer is the package, and not that it has not changed. Of a package that
// is fetched in ranges, the one that starts at the beginning counts.
type countingDownload struct {
	http.ResponseWriter
	count func()
}

func (c *countingDownload) WriteHeader(status int) {
	switch status {
	case http.StatusOK:
		c.count()
	case http.StatusPartialContent:
		if len(c.Header().Get("Content-Range")) >= 8 && c.Header().Get("Content-Range")[:8] == "bytes 0-" {
			c.count()
		}
	}
	c.ResponseWriter.WriteHeader(status)
}
