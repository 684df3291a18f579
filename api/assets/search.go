package assets

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"slipway/api"
	"slipway/assets"
	"slipway/internal/problem"
)

// search answers POST on searches: 302 to the results. Clients follow it as a GET, so that to most of them the search
// looks like any other.
func (s *surface) search(ctx context.Context, c *call) (api.Response, error) {
	r, err := readSearch(c.body)
	if err != nil {
		return api.Response{}, err
	}
	r.Scope, r.By, r.RequestID = c.scope, c.request.Subject, requestIDOf(c.http)
	a, err := s.Service.StartSearch(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	header := http.Header{}
	setHeaders(headerWriter{header}, c.http)
	header.Set("Location", s.origin(c.http)+c.withVersion(c.base()+"/searches/"+a.ID+"/results"))
	return api.Response{Status: http.StatusFound, ContentType: mediaType, Header: header, Body: []byte(`{"jsonapi":{"version":"1.0"}}`)}, nil
}

// headerWriter lets setHeaders fill a header before the response is written.
type headerWriter struct{ header http.Header }

func (w headerWriter) Header() http.Header       { return w.header }
func (w headerWriter) Write([]byte) (int, error) { return 0, http.ErrNotSupported }
func (w headerWriter) WriteHeader(int)           {}

// origin begins absolute addresses.
func (s *surface) origin(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

// results answers GET on the results of a search.
func (s *surface) results(ctx context.Context, c *call) (api.Response, error) {
	id, err := c.uuidParam("search_id")
	if err != nil {
		return api.Response{}, err
	}
	paging, err := c.parameters.paging(0)
	if err != nil {
		return api.Response{}, err
	}
	out, err := s.Service.Results(ctx, assets.ResultsRequest{Scope: c.scope, SearchID: id, Sort: c.parameters["sort"], Paging: paging})
	if err != nil {
		return api.Response{}, err
	}
	header := http.Header{}
	status := http.StatusOK
	var d *document
	if out.Running {
		// Nothing documents what is answered before the end: what Slipway says is what JSON:API recommends.
		header.Set("Retry-After", "1")
		status = http.StatusAccepted
		d = &document{JSONAPI: &jsonapiVersion, Data: []resource{}, Links: pageLinks{Self: links(c.http, c.parameters, "", "").Self}, Meta: &meta{Status: "started"}}
	} else {
		d = c.page(&out.List, out.Search.OnlyCount)
		if out.Search.Kept < out.Search.Found {
			if d.Meta == nil {
				d.Meta = &meta{}
			}
			d.Meta.Kept = &out.Search.Kept
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		return api.Response{}, problem.Wrap(problem.Internal, err, "internal error")
	}
	setHeaders(headerWriter{header}, c.http)
	return api.Response{Status: status, ContentType: mediaType, Header: header, Body: b}, nil
}
