package rsql

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadFilter(t *testing.T) {
	for query, want := range map[string]struct {
		filter string
		found  bool
		rest   string
	}{
		"":                                    {"", false, ""},
		"limit=10&sort=-name":                 {"", false, "limit=10&sort=-name"},
		"filter=":                             {"", true, ""},
		"filter":                              {"", true, ""},
		"filter=q==nginx;type==a":             {"q==nginx;type==a", true, ""},
		"limit=10&filter=a==b;c==d&sort=name": {"a==b;c==d", true, "limit=10&sort=name"},
		"filter=a%3D%3Db%3Bc%3D%3Dd":          {"a==b;c==d", true, ""},
		"filter=a==b+and+c==d":                {"a==b and c==d", true, ""},
		"filter=a==b%2Bc":                     {"a==b+c", true, ""},
		"filter=a==b%26c==d&x=%26":            {"a==b&c==d", true, "x=%26"},
		"filter=name==caf%C3%A9;a==é":         {"name==café;a==é", true, ""},
		"f%69lter=a==b;c==d":                  {"a==b;c==d", true, ""},
		"Filter=a==b;c==d":                    {"", false, "Filter=a==b;c==d"},
		"filter%5B0%5D=a":                     {"", false, "filter%5B0%5D=a"},
		"filter=a==b%00":                      {"a==b\x00", true, ""},
		"fil%zzter=a&filter=b":                {"b", true, "fil%zzter=a"},
		"x=1;y=2&filter=a==b&z=%zz&&=":        {"a==b", true, "x=1;y=2&z=%zz&="},
	} {
		filter, found, rest, err := ReadFilter(query, "filter")
		require.NoError(t, err, query)
		require.Equal(t, want.filter, filter, query)
		require.Equal(t, want.found, found, query)
		require.Equal(t, want.rest, rest, query)
	}
	for query, text := range map[string]string{
		"filter=a==b&filter=c==d":   `parameter "filter" is there more than once`,
		"filter=&filter=":           `parameter "filter" is there more than once`,
		"filter=a==b&f%69lter=c==d": `parameter "filter" is there more than once`,
		"filter=a==50%":             `parameter "filter" holds a percent sign that starts no escape`,
		"filter=a==%zz;b==c":        `parameter "filter" holds a percent sign that starts no escape`,
	} {
		filter, found, _, err := ReadFilter(query, "filter")
		problem := asError(t, err)
		require.Equal(t, CodeInvalidQuery, problem.Code)
		require.Equal(t, text, problem.Detail)
		require.Empty(t, filter)
		require.False(t, found)
	}
}

// A raw ";" arrives through a real server, where Go's own parser drops the whole pair.
func TestReadFilterFromRequest(t *testing.T) {
	type read struct {
		filter, rest string
		dropped      bool
	}
	requests := make(chan read, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		filter, _, rest, err := ReadFilter(request.URL.RawQuery, "filter")
		if err != nil {
			filter = err.Error()
		}
		requests <- read{filter, rest, request.URL.Query().Get("filter") == ""}
	}))
	defer server.Close()
	response, err := http.Get(server.URL + `/assets?limit=20&filter=q==nginx;(class==A,created_at>2024-01-01)&sort=-name`)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	got := <-requests
	require.Equal(t, read{"q==nginx;(class==A,created_at>2024-01-01)", "limit=20&sort=-name", true}, got)
	values, err := url.ParseQuery(got.rest)
	require.NoError(t, err)
	require.Equal(t, url.Values{"limit": {"20"}, "sort": {"-name"}}, values)
}
