package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// documents serves JSON by path, and logs as streams. A text of three digits is a status to refuse with.
func documents(t *testing.T, byPath map[string]string, streams map[string][]string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lines, ok := streams[r.URL.Path]; ok {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			for _, line := range lines {
				_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"message":"`+line+`"}`))
			}
			_ = conn.Close(websocket.StatusNormalClosure, "ok")
			return
		}
		text, ok := byPath[r.URL.Path]
		if !ok {
			t.Errorf("nobody should ask for %s", r.URL.Path)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if status, err := strconv.Atoi(text); err == nil {
			w.WriteHeader(status)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, "", nil)
	require.NoError(t, err)
	return c
}

// What a step's pipeline runs is followed too, under both names. What is not waited for is not, nor what was kept of the
// execution that is retried.
func TestFollowPipelinesInPipelines(t *testing.T) {
	const pipelines = "/api/v1/pipelines/by-project/p/by-name/"
	const build = "/api/v1/state/p/environments/dev/builds/by-name/b/executions/b1/"
	c := documents(t, map[string]string{
		pipelines + "outer/executions/o1/": `{"id":"o1","status":"failed","outcome":"failed","reason":"step 'no' failed","pipeline":{"project":"p","phases":[{"steps":[
			{"name":"all","type":"pipeline-trigger","pipeline":"inner","wait_for_pipeline":true,"execution_id":"i1","status":"ok","outcome":"ok"},
			{"name":"aside","type":"pipeline-trigger","pipeline":"inner","execution_id":"elsewhere","status":"ok","outcome":"ok"},
			{"name":"kept","type":"build","environment":"dev","build":"b","execution_id":"before","kept":true,"status":"ok","outcome":"ok"},
			{"name":"go?","type":"confirmation","status":"running","outcome":"waiting","team":"qa"}]}]}}`,
		pipelines + "inner/executions/i1/": `{"id":"i1","status":"ok","outcome":"ok","pipeline":{"project":"p","phases":[{"steps":[
			{"name":"make","type":"build","environment":"dev","build":"b","execution_id":"b1","status":"ok","outcome":"ok"}]}]}}`,
		build: `{"id":"b1","status":"ok","outcome":"ok"}`,
	}, map[string][]string{build + "logs_ws": {"one", "two"}})
	var got []string
	e, err := c.Follow(t.Context(), PipelineRef("p", "outer", "o1"), FollowOptions{Tell: func(e Event) error {
		got = append(got, strings.TrimSpace(string(e.Kind)+" "+e.Step+" "+e.Line.Message+e.Outcome+e.Asked))
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, "failed", e.Outcome)
	before := func(a, b string) {
		t.Helper()
		require.Contains(t, got, a)
		require.Contains(t, got, b)
		require.Less(t, slices.Index(got, a), slices.Index(got, b), "%q", got)
	}
	before("log all / make one", "log all / make two")
	before("log all / make two", "status all / make ok")
	before("status all / make ok", "status all ok")
	before("status all ok", "status  failed")
	require.Contains(t, got, "status kept ok")
	require.Contains(t, got, "wait go? team qa")
	require.Len(t, got, 9, "%q", got)
}

// A step may run in a project that the caller may not see. It is told of once, and what else there is goes on.
func TestFollowGoesOnWhereAStepIsHidden(t *testing.T) {
	const builds = "/api/v1/state/p/environments/dev/builds/by-name/"
	const hidden = "/api/v1/state/secret/environments/dev/builds/by-name/b/executions/b1/"
	const outer = "/api/v1/pipelines/by-project/p/by-name/outer/executions/o1/"
	pages := map[string]string{
		outer: `{"id":"o1","status":"ok","outcome":"ok","pipeline":{"project":"p","phases":[{"steps":[
			{"name":"theirs","type":"build","project":"secret","environment":"dev","build":"b","execution_id":"b1","status":"ok","outcome":"ok"},
			{"name":"no log","type":"build","environment":"dev","build":"c","execution_id":"c1","status":"ok","outcome":"ok"},
			{"name":"mine","type":"build","environment":"dev","build":"d","execution_id":"d1","status":"ok","outcome":"ok"}]}]}}`,
		hidden: "404", hidden + "logs_ws": "404",
		builds + "c/executions/c1/": `{"id":"c1","status":"ok","outcome":"ok"}`, builds + "c/executions/c1/logs_ws": "403",
		builds + "d/executions/d1/": `{"id":"d1","status":"ok","outcome":"ok"}`,
	}
	c := documents(t, pages, map[string][]string{builds + "d/executions/d1/logs_ws": {"one"}})
	var got []string
	follow := func() (*Execution, error) {
		got = nil
		return c.Follow(t.Context(), PipelineRef("p", "outer", "o1"), FollowOptions{Tell: func(e Event) error {
			got = append(got, strings.TrimSpace(string(e.Kind)+" "+e.Execution+" "+e.Step+" "+e.Line.Message+e.Outcome))
			return nil
		}})
	}
	e, err := follow()
	require.NoError(t, err)
	require.Equal(t, "ok", e.Outcome)
	require.ElementsMatch(t, []string{"hidden b1 theirs", "status b1 theirs ok", "hidden c1 no log", "status c1 no log ok", "log d1 mine one", "status d1 mine ok", "status o1  ok"}, got)

	pages[builds+"c/executions/c1/"] = "500"
	_, err = follow()
	require.ErrorContains(t, err, "500", "anything else ends it")
	pages[outer] = "404"
	_, err = follow()
	require.ErrorContains(t, err, "404", "so does what was asked for itself")
}

func TestFollowEndsWithTheErrorOfTell(t *testing.T) {
	c := documents(t, map[string]string{"/api/v1/pipelines/by-project/p/by-name/x/executions/e/": `{"id":"e","status":"running","outcome":"running","pipeline":{}}`}, nil)
	boom := errors.New("the pipe is closed")
	_, err := c.Follow(t.Context(), PipelineRef("p", "x", "e"), FollowOptions{Tell: func(Event) error { return boom }})
	require.ErrorIs(t, err, boom)
}

// A server that is away is asked again, and told of once; what it refuses is not asked again.
func TestFollowIsPatient(t *testing.T) {
	var asked atomic.Int32
	answers := []int{503, 502, 429, 200}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := answers[min(int(asked.Add(1)), len(answers))-1]
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"id":"e","status":"ok","outcome":"ok","pipeline":{}}`))
	}))
	defer server.Close()
	c, err := New(server.URL, "", nil)
	require.NoError(t, err)
	c.Patience = time.Minute
	var kinds []EventKind
	follow := func() error {
		kinds = nil
		_, err := c.Follow(t.Context(), PipelineRef("p", "x", "e"), FollowOptions{Tell: func(e Event) error {
			kinds = append(kinds, e.Kind)
			return nil
		}})
		return err
	}
	require.NoError(t, follow())
	require.Equal(t, []EventKind{EventLost, EventBack, EventStatus}, kinds)

	asked.Store(0)
	answers = []int{404}
	var refused *Error
	require.ErrorAs(t, follow(), &refused)
	require.Empty(t, kinds)
	require.EqualValues(t, 1, asked.Load())

	answers = []int{503}
	c.Patience = time.Millisecond
	require.ErrorAs(t, follow(), &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	require.Equal(t, []EventKind{EventLost}, kinds)
}

func TestContextsAreKeptForTheirOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "slipway", "contexts.json")
	kept, err := OpenContexts(file)
	require.NoError(t, err)
	kept.Contexts["a"] = Context{URL: "http://a", Token: "t"}
	kept.Current = "a"
	require.NoError(t, kept.Save())
	again, err := OpenContexts(file)
	require.NoError(t, err)
	require.Equal(t, kept, again)
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing half written is left")
	for _, bad := range []string{"", "a b", "../x", ".x", strings.Repeat("x", 101)} {
		require.Error(t, ValidateContextName(bad), bad)
	}
}

func TestLinksArePathsOfTheServerThatWasAsked(t *testing.T) {
	for url, want := range map[string]string{
		"https://public.example.com/api/v1/pipelines/by-project/p/x/approve": "/api/v1/pipelines/by-project/p/x/approve",
		"/api/v1/pipelines/x":            "/api/v1/pipelines/x",
		"https://elsewhere.example.com/": "https://elsewhere.example.com/",
	} {
		require.Equal(t, want, (&PendingConfirmation{ConfirmationURL: url}).Link())
	}
}
