package releases_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// S20: whatever comes in, no row answers with a server error, and refusals have the surface's shape.
func FuzzRows(f *testing.F) {
	for _, seed := range []struct {
		row                    uint8
		a, b, c, query, header string
		body                   string
	}{
		{0, "ns", "app", "v1", "", "application/json", `{}`},
		{11, "ns", "app", "@", "prefix=0.", "text/plain", `{"name":"app","version":"1"}`},
		{16, "_", "a/b", "v0.1.@", "full=1", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--x--\r\n"},
		{20, "..", "\x00", "\xff", "name=%00", "application/x-www-form-urlencoded", `{"release_id":"ns/app-v1","tag":"ci"}`},
		{28, "ns", "app", "latest", "redeem-token=abcdefghijklmnopqrstuvwxyz", "text/html", `{"query":"%_\\","metadata":{"\u0000":"x"}}`},
		{30, "ns'--", `"app"`, "v1;", "x", "", `{"slack":{"url":null}}`},
		{17, "ns", "app", "v1", "", "", `{"name":"app","version":"9","inputs":[null],"errands":{"x":null},"stages":{"build":null},"depends":[null],"templates":[{}]}`},
	} {
		f.Add(seed.row, seed.a, seed.b, seed.c, seed.query, seed.header, seed.body)
	}
	s := newServer(f, options{})
	s.register("ns", `{"name":"app","version":"1"}`)
	f.Fuzz(func(t *testing.T, n uint8, a, b, c, query, header, body string) {
		row := s.group.Rows[int(n)%len(s.group.Rows)]
		path := strings.NewReplacer("{namespace}", url.PathEscape(a), "{name}", url.PathEscape(b), "{version}", url.PathEscape(c), "{diffWith}", url.PathEscape(c)).Replace(row.Path)
		req := &http.Request{Method: row.Method, URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{"Content-Type": {header}, "Accept": {header}, "Range": {header}},
			Body: http.NoBody, Host: "localhost", RemoteAddr: "127.0.0.1:1", ProtoMajor: 1, ProtoMinor: 1}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip()
		}
		req.URL.Path, req.URL.RawPath = u.Path, u.RawPath
		req.Body = http.MaxBytesReader(nil, readCloser{strings.NewReader(body)}, 1<<20)
		req.ContentLength = int64(len(body))
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, req.WithContext(t.Context()))
		require.Less(t, w.Code, 500, "%s %s: %s", row.Method, path, w.Body)
		if w.Code == 400 {
			require.NotEmpty(t, w.Body.String())
			require.NotContains(t, w.Body.String(), "SQL")
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
