package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"slipway/internal/engine"
	"slipway/internal/release"
)

// RemoteInventory is the inventory of a server for the release engine: what runs on a laptop finds its dependencies there,
// and puts its releases there.
type RemoteInventory struct{ *Client }

var _ engine.Inventory = RemoteInventory{}

// Release gives the metadata of a release; the id may be a version query or a tag.
func (r RemoteInventory) Release(ctx context.Context, id release.ID) (*release.Metadata, error) {
	a, err := get[json.RawMessage](ctx, r.Client, versionPath(id.Project, id.Name, id.Query(), "/"))
	if err != nil {
		return nil, inventoryError(err)
	}
	return release.Decode(a.JSON)
}

// NextVersion gives the version to release next under a prefix.
func (r RemoteInventory) NextVersion(ctx context.Context, project, name, prefix string) (string, error) {
	return r.Client.NextVersion(ctx, project, name, prefix)
}

// Package opens the archive of a release.
func (r RemoteInventory) Package(ctx context.Context, id release.ID) (io.ReadCloser, error) {
	body, err := r.Download(ctx, id.Project, id.Name, "v"+id.Version)
	return body, inventoryError(err)
}

// Register adds a release.
func (r RemoteInventory) Register(ctx context.Context, m *release.Metadata) error {
	err := r.call(ctx, http.MethodPost, path("/api/v1/inventory/%s/register", m.Project), m, nil)
	var refused *Error
	// The documented answer for a release that is there is 400 with this text, as for every other mistake.
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest && strings.HasSuffix(refused.Body, "already exists") {
		return engine.ErrExists
	}
	return err
}

// Upload adds the package of a registered release. It goes out as it is read, however large it is.
func (r RemoteInventory) Upload(ctx context.Context, id release.ID, open func() (io.ReadCloser, error)) error {
	archive, err := open()
	if err != nil {
		return err
	}
	defer archive.Close()
	body, write := io.Pipe()
	form := multipart.NewWriter(write)
	go func() {
		part, err := form.CreateFormFile("file", id.Unqualified()+".tgz")
		if err == nil {
			_, err = io.Copy(part, archive)
		}
		if err == nil {
			err = form.Close()
		}
		write.CloseWithError(err)
	}()
	where := versionPath(id.Project, id.Name, "v"+id.Version, "/upload")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+where, body)
	if err != nil {
		body.CloseWithError(err)
		return fmt.Errorf("POST %s: %w", where, err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	response, err := r.do(request, where)
	body.CloseWithError(errors.New("the upload has ended")) // where the server did not read all of it
	if err != nil {
		var refused *Error
		if errors.As(err, &refused) && refused.Status == http.StatusConflict {
			return engine.ErrExists
		}
		return err
	}
	return response.Body.Close()
}

// inventoryError makes what is not there the engine's error for that.
func inventoryError(err error) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return engine.ErrNotFound
	}
	return err
}
