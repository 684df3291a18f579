package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A step may run in a project that the caller may not see, or as something without a log: the other logs are printed.
func TestLogsGoOnWhereAStepIsHidden(t *testing.T) {
	const builds = "/api/v1/state/p/environments/dev/builds/by-name/"
	pages := map[string]string{
		"/api/v1/slipway/executions/o1/": `{"id":"o1","kind":"pipeline","project":"p","subject":"outer","status":"ok"}`,
		"/api/v1/pipelines/by-project/p/by-name/outer/executions/o1/": `{"id":"o1","status":"ok","pipeline":{"project":"p","phases":[{"steps":[
			{"name":"theirs","type":"build","project":"secret","environment":"dev","build":"b","execution_id":"b1"},
			{"name":"no log","type":"build","environment":"dev","build":"c","execution_id":"c1"},
			{"name":"tell","type":"webhook-trigger","execution_id":"w1"},
			{"name":"mine","type":"build","environment":"dev","build":"d","execution_id":"d1"}]}]}}`,
		"/api/v1/slipway/executions/c1/": `{"id":"c1","kind":"build","project":"p","environment":"dev","subject":"c"}`,
		"/api/v1/slipway/executions/w1/": `{"id":"w1","kind":"delivery","project":"p"}`,
		"/api/v1/slipway/executions/d1/": `{"id":"d1","kind":"build","project":"p","environment":"dev","subject":"d"}`,
		builds + "d/executions/d1/logs":  `[{"message":"one"}]`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := pages[r.URL.Path]
		switch {
		case r.URL.Path == builds+"c/executions/c1/logs":
			w.WriteHeader(http.StatusForbidden)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(text))
	}))
	defer server.Close()
	c := newCLI(t)
	t.Setenv(urlVariable, server.URL)
	t.Setenv(tokenVariable, "secret")
	const hidden = ": its log is not yours to read, or is gone\n"
	require.Equal(t, "* theirs"+hidden+"* no log"+hidden+"mine | one\n", c.run("logs", "o1"))
	require.Contains(t, c.run("logs", "o1", "-o", "json"), `{"type":"hidden","execution_id":"b1","step":"theirs"}`)
	c.fails(exitNotFound, "has no execution b1 that you may see", "logs", "b1")
}
