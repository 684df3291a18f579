package assets

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/internal/problem"
	"slipway/models"
)

// FuzzReadQuery: whatever stands in a URL is read or refused, and a link made of what was read gives the same again. S20.
func FuzzReadQuery(f *testing.F) {
	for _, seed := range []string{"", "filter=q==a;b==c&sort=-name", "filter=%zz", "a=b", "limit=10&limit=10", "filter=%00&version=2024-10-15", "filter=+%2B&&", "=", "%66ilter=x", "filter=\xff"} {
		f.Add(seed)
	}
	allowed := []string{"filter", "sort", "limit", "version", "starting_after"}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := readQuery(raw, allowed)
		if err != nil {
			var bad *problem.Error
			require.True(t, errors.As(err, &bad))
			require.Equal(t, problem.Invalid, bad.Kind)
			return
		}
		delete(p, "starting_after")
		r := &http.Request{URL: &url.URL{Path: "/x", RawQuery: raw}}
		first, err := url.Parse(links(r, p, "n", "").First)
		require.NoError(t, err)
		again, err := readQuery(first.RawQuery, allowed)
		require.NoError(t, err)
		require.Equal(t, p, again)
		next, err := url.Parse(links(r, p, "n", "").Next)
		require.NoError(t, err)
		require.Equal(t, "n", next.Query().Get("starting_after"))
	})
}

// FuzzReadEdit: a body is refused with a pointer, or every edit in it keeps the limits. S20.
func FuzzReadEdit(f *testing.F) {
	id := "0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e"
	for _, attributes := range []string{`{}`, `null`, `{"class":null}`, `{"class":{"rank":1}}`, `{"labels":["a"]}`, `{"labels":{"add":["a"],"remove":["b"]}}`, `{"tags":{"add":"x"}}`,
		`{"tags":{"add":{"a":""},"remove":["b"]}}`, `{"tags":{"a":"b"}}`, `{"tags":{"a": }}`, `{"labels":[null]}`, `{"class":{"display_name":"A","rank":1.0e0}}`} {
		f.Add([]byte(`{"type":"container_images","id":"` + id + `","attributes":` + attributes + `}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if api.CheckBody(raw) != nil || !json.Valid(raw) {
			return // refused before it gets here
		}
		e, err := readEdit(raw, "/data")
		if err != nil {
			var bad *problem.Error
			require.True(t, errors.As(err, &bad))
			w := httptest.NewRecorder()
			writeError(w, httptest.NewRequest("PATCH", "/", nil), bad)
			require.Equal(t, 400, w.Code)
			require.True(t, json.Valid(w.Body.Bytes()))
			return
		}
		require.True(t, e.Class != nil || e.Labels != nil || e.Tags != nil)
		if l := e.Labels; l != nil {
			for _, label := range append(append(append([]string{}, l.Add...), l.Remove...), l.Replace...) {
				require.Empty(t, models.CheckAssetLabel(label))
			}
		}
		if tags := e.Tags; tags != nil {
			for k, v := range tags.Add {
				require.Empty(t, models.CheckAssetTagKey(k)+models.CheckAssetTagValue(v))
			}
		}
	})
}
