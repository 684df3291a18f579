package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"slipway/internal/release"
)

// Release is a release in the inventory with what the inventory knows of it.
type Release struct {
	Metadata   *release.Metadata `json:"release"`
	Versions   []string          `json:"versions"`
	IsLatest   bool              `json:"is_latest"`
	Downloads  int               `json:"downloads"`
	UploadedBy string            `json:"uploaded_by"`
	UploadedAt time.Time         `json:"uploaded_at"`
}

// Release returns the release that a version query names: an exact version such as v0.1.3, latest, 0.1.@, or a tag.
func (c *Client) Release(ctx context.Context, namespace, application, query string) (*Release, error) {
	var result Release
	err := c.call(ctx, http.MethodGet, versionPath(namespace, application, query, "/?full=true"), nil, &result)
	if err != nil {
		return nil, err
	}
	return &result, nil
}

// Download opens the package of a release, a gzipped tar. The caller closes it.
func (c *Client) Download(ctx context.Context, namespace, application, version string) (io.ReadCloser, error) {
	response, err := c.send(ctx, http.MethodGet, versionPath(namespace, application, version, "/download"), nil, "application/gzip")
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// NextVersion returns the version that the next release with a prefix such as "0.1." gets.
func (c *Client) NextVersion(ctx context.Context, namespace, application, prefix string) (string, error) {
	var text string
	err := c.call(ctx, http.MethodGet, path("/api/v1/inventory/%s/units/%s/next-version", namespace, application)+
		"?prefix="+url.QueryEscape(prefix), nil, &text)
	return text, err
}

func versionPath(namespace, application, version, rest string) string {
	return path("/api/v1/inventory/%s/units/%s/versions/%s", namespace, application, version) + rest
}
