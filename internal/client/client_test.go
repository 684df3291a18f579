package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"slipway/internal/logs"
)

// documented are the operations of the two surfaces, as method and pattern of the path.
func documented(t *testing.T) map[string][]*regexp.Regexp {
	t.Helper()
	content, err := os.ReadFile("testdata/operations.tsv")
	require.NoError(t, err)
	operations := map[string][]*regexp.Regexp{}
	parameter := regexp.MustCompile(`\\\{[^}]*\\\}`)
	for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		fields := strings.Split(line, "\t")
		require.Len(t, fields, 3, line)
		pattern := parameter.ReplaceAllString(regexp.QuoteMeta(fields[2]), `[^/]+`)
		operations[fields[1]] = append(operations[fields[1]], regexp.MustCompile("^"+pattern+"$"))
	}
	// And Slipway's own, which the route table names.
	content, err = os.ReadFile("../../docs/api/routes.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) == 5 && (fields[4] == "own" || strings.HasPrefix(fields[1], "/api/v1/auth/")) {
			pattern := parameter.ReplaceAllString(regexp.QuoteMeta(fields[1]), `[^/]+`)
			operations[fields[0]] = append(operations[fields[0]], regexp.MustCompile("^"+pattern+"$"))
		}
	}
	return operations
}

// seen is a request as the server saw it.
type seen struct {
	method, path, query, token, body string
}

// serve answers every documented request with the given body and refuses every other.
func serve(t *testing.T, answer string) (*Client, *seen) {
	t.Helper()
	operations := documented(t)
	last := &seen{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Authorization"), string(body)}
		for _, pattern := range operations[r.Method] {
			if pattern.MatchString(r.URL.EscapedPath()) {
				_, _ = io.WriteString(w, answer)
				return
			}
		}
		http.Error(w, "this is not a documented operation", http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", "secret", nil)
	require.NoError(t, err)
	return c, last
}

func TestEveryCallIsDocumented(t *testing.T) {
	c, last := serve(t, `{"id":"e1","status":"ok"}`)
	ctx := t.Context()
	build, job, pipeline := BuildRef("p", "dev", "b", "e1"), DeploymentJobRef("p", "dev", "team/app", "e1"), PipelineRef("p", "pl", "e1")
	for name, call := range map[string]struct {
		do     func() error
		method string
		path   string
	}{
		"health":             {func() error { return c.Healthy(ctx) }, "GET", "/health"},
		"add project":        {func() error { return c.AddProject(ctx, Project{Name: "p"}) }, "POST", "/api/v1/state/p/add-project"},
		"add environment":    {func() error { return c.AddEnvironment(ctx, "p", "dev") }, "POST", "/api/v1/state/p/environments/"},
		"update environment": {func() error { return c.UpdateEnvironment(ctx, "p", Environment{Name: "dev"}) }, "PUT", "/api/v1/state/p/environments/dev/"},
		"environment":        {func() error { _, err := c.Environment(ctx, "p", "dev"); return err }, "GET", "/api/v1/state/p/environments/dev/"},
		"delete deployment":  {func() error { return c.DeleteDeployment(ctx, "p", "dev", "a/b") }, "DELETE", "/api/v1/state/p/environments/dev/deployments/"},
		"add namespace":      {func() error { return c.AddNamespace(ctx, "p", "n") }, "POST", "/api/v1/state/p/add-namespace"},
		"add build":          {func() error { return c.AddBuild(ctx, "p", "dev", Build{Name: "b"}) }, "POST", "/api/v1/state/p/environments/dev/builds/"},
		"trigger build":      {func() error { _, err := c.TriggerBuild(ctx, "p", "dev", "b"); return err }, "POST", "/api/v1/state/p/environments/dev/builds/by-name/b/trigger-build"},
		"add job":            {func() error { return c.AddDeploymentJob(ctx, "p", DeploymentJob{}) }, "POST", "/api/v1/deployment-jobs/by-project/p/add"},
		"trigger job": {func() error { _, err := c.TriggerDeploymentJob(ctx, "p", "dev", "team/app", Deploy); return err }, "POST",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/team%2Fapp/trigger"},
		"smoke": {func() error { _, err := c.TriggerDeploymentJob(ctx, "p", "dev", "app", Smoke); return err }, "POST",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/app/trigger/smoke"},
		"destroy": {func() error { _, err := c.TriggerDeploymentJob(ctx, "p", "dev", "app", Destroy); return err }, "POST",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/app/trigger/destroy"},
		"add pipeline":     {func() error { return c.AddPipeline(ctx, "p", Pipeline{}) }, "POST", "/api/v1/pipelines/by-project/p/add"},
		"trigger pipeline": {func() error { _, err := c.TriggerPipeline(ctx, "p", "pl"); return err }, "POST", "/api/v1/pipelines/by-project/p/by-name/pl/trigger"},
		"build execution": {func() error { _, err := c.Execution(ctx, build); return err }, "GET",
			"/api/v1/state/p/environments/dev/builds/by-name/b/executions/e1/"},
		"job execution": {func() error { _, err := c.Execution(ctx, job); return err }, "GET",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/team%2Fapp/executions/e1/"},
		"pipeline execution": {func() error { _, err := c.Execution(ctx, pipeline); return err }, "GET",
			"/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/"},
		"pipeline": {func() error { _, err := c.Pipeline(ctx, "p", "pl"); return err }, "GET", "/api/v1/pipelines/by-project/p/by-name/pl/"},
		"deploy a version": {func() error { _, err := c.TriggerDeployment(ctx, "p", "dev", "app", "1.0"); return err }, "POST",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/app/trigger"},
		"errand": {func() error { _, err := c.RunErrand(ctx, "p", "dev", "app", "e", nil); return err }, "POST",
			"/api/v1/deployment-jobs/by-project/p/by-environment/dev/by-name/app/trigger/errand"},
		"find":       {func() error { _, err := c.Find(ctx, "e1"); return err }, "GET", "/api/v1/slipway/executions/e1/"},
		"who am I":   {func() error { _, err := c.WhoAmI(ctx); return err }, "GET", "/api/v1/slipway/whoami"},
		"login kind": {func() error { _, err := c.LoginKind(ctx); return err }, "GET", "/api/v1/auth/login-methods"},
		"logout":     {func() error { return c.Logout(ctx) }, "GET", "/api/v1/auth/logout"},
		"retry from": {func() error { _, err := c.RetryFrom(ctx, pipeline, "a b"); return err }, "POST", "/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/retry"},
		"cancel":     {func() error { return c.Cancel(ctx, pipeline) }, "POST", "/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/cancel"},
		"retry":      {func() error { _, err := c.Retry(ctx, build); return err }, "POST", "/api/v1/state/p/environments/dev/builds/by-name/b/executions/e1/retry"},
		"approve": {func() error {
			return c.Approve(ctx, c.base+"/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/confirmation/code/approve")
		}, "GET",
			"/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/confirmation/code/approve"},
		"disapprove": {func() error {
			return c.Disapprove(ctx, "/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/confirmation/code/approve")
		}, "GET", "/api/v1/pipelines/by-project/p/by-name/pl/executions/e1/confirmation/code/disapprove"},
		"release":      {func() error { _, err := c.Release(ctx, "n", "a", "0.1.@"); return err }, "GET", "/api/v1/inventory/n/units/a/versions/0.1.@/"},
		"next version": {func() error { _, err := c.NextVersion(ctx, "n", "a", "0.1."); return err }, "GET", "/api/v1/inventory/n/units/a/next-version"},
		"download": {func() error {
			body, err := c.Download(ctx, "n", "a", "v1")
			if err == nil {
				err = body.Close()
			}
			return err
		}, "GET", "/api/v1/inventory/n/units/a/versions/v1/download"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, call.do())
			require.Equal(t, call.method, last.method)
			require.Equal(t, call.path, last.path)
			require.Equal(t, "Bearer secret", last.token)
		})
	}
}

func TestListsAreDocumented(t *testing.T) {
	c, last := serve(t, `{}`)
	ctx := t.Context()
	for name, call := range map[string]struct {
		do     func() error
		method string
		path   string
	}{
		"projects":          {func() error { _, err := c.Projects(ctx); return err }, "GET", "/api/v1/state/"},
		"builds":            {func() error { _, err := c.Builds(ctx); return err }, "GET", "/api/v1/builds/"},
		"builds of project": {func() error { _, err := c.Builds(ctx, "p"); return err }, "GET", "/api/v1/state/p/builds/"},
		"jobs":              {func() error { _, err := c.DeploymentJobs(ctx); return err }, "GET", "/api/v1/deployment-jobs/"},
		"jobs of project":   {func() error { _, err := c.DeploymentJobs(ctx, "p"); return err }, "GET", "/api/v1/deployment-jobs/by-project/p/"},
		"pipelines":         {func() error { _, err := c.Pipelines(ctx); return err }, "GET", "/api/v1/pipelines/"},
		"pipelines of":      {func() error { _, err := c.PipelinesOf(ctx, "p"); return err }, "GET", "/api/v1/pipelines/by-project/p/"},
	} {
		require.NoError(t, call.do(), name)
		require.Equal(t, call.method, last.method)
		require.Equal(t, call.path, last.path)
	}
	c, last = serve(t, `[]`)
	_, err := c.Executions(ctx, ExecutionFilter{Project: "p q", Status: "ok,failed", PageSize: 3})
	require.NoError(t, err)
	require.Equal(t, "/api/v1/slipway/executions/?page_size=3&project=p+q&status=ok%2Cfailed", last.path+"?"+last.query)
	_, err = c.PendingConfirmations(ctx, PendingFilter{Execution: "e 1", PageSize: 3, PageFrom: "c1"})
	require.NoError(t, err)
	require.Equal(t, "/api/v1/slipway/confirmations/?execution=e+1&page_from=c1&page_size=3", last.path+"?"+last.query)
}

func TestQueriesAndBodies(t *testing.T) {
	c, last := serve(t, `{"id":"e1"}`)
	require.NoError(t, c.DeleteDeployment(t.Context(), "p", "dev", "a/b c"))
	require.Equal(t, "deployment=a%2Fb+c", last.query)
	require.NoError(t, c.UpdateEnvironment(t.Context(), "p", Environment{Name: "dev", Inputs: map[string]any{"language": "de"}}))
	require.JSONEq(t, `{"name":"dev","inputs":{"language":"de"}}`, last.body)
	ref, err := c.TriggerBuild(t.Context(), "p", "dev", "b")
	require.NoError(t, err)
	require.Equal(t, BuildRef("p", "dev", "b", "e1"), ref)
}

func TestNextVersionIsBareText(t *testing.T) {
	c, _ := serve(t, "0.1.7")
	version, err := c.NextVersion(t.Context(), "n", "a", "0.1.")
	require.NoError(t, err)
	require.Equal(t, "0.1.7", version)
}

func TestErrorsShowWhatTheServerSaid(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "add-project") {
			http.Error(w, "Resource already exists", http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	c, err := New(server.URL, "", nil)
	require.NoError(t, err)
	err = c.AddProject(t.Context(), Project{Name: "p"})
	require.EqualError(t, err, "POST /api/v1/state/p/add-project: 409: Resource already exists")
	var answer *Error
	require.ErrorAs(t, err, &answer)
	require.Equal(t, http.StatusConflict, answer.Status)
	_, err = c.Environment(t.Context(), "p", "dev")
	require.ErrorContains(t, err, "404: Not Found")
}

func TestOddAnswersAreRefused(t *testing.T) {
	c, _ := serve(t, "<html>")
	_, err := c.Environment(t.Context(), "p", "dev")
	require.ErrorContains(t, err, "not what was expected")
	c, _ = serve(t, "{}")
	_, err = c.TriggerBuild(t.Context(), "p", "dev", "b")
	require.ErrorContains(t, err, "no execution id")
	for _, address := range []string{"", "127.0.0.1:80", "ftp://host", "http://"} {
		_, err := New(address, "", nil)
		require.Error(t, err, address)
	}
}

func TestTheTokenGoesToNoOtherServer(t *testing.T) {
	c, last := serve(t, "{}")
	for _, link := range []string{"http://elsewhere.example/approve", "//elsewhere.example/approve", c.base + ".example/approve", "approve"} {
		require.Error(t, c.Approve(t.Context(), link), link)
	}
	require.Empty(t, last.path)
}

func TestWatchEndsWithTheExecution(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := []string{"pending", "running", "failed"}[min(calls.Add(1), 3)-1]
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "e1", "status": status, "reason": "script build.sh exited with status 3"})
	}))
	defer server.Close()
	c, err := New(server.URL, "", nil)
	require.NoError(t, err)
	var statuses []string
	execution, err := c.Watch(t.Context(), PipelineRef("p", "pl", "e1"), time.Millisecond, func(e *Execution) error {
		statuses = append(statuses, e.Status)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"pending", "running", "failed"}, statuses)
	require.Equal(t, "script build.sh exited with status 3", execution.Reason)

	calls.Store(0)
	boom := errors.New("boom")
	_, err = c.Watch(t.Context(), PipelineRef("p", "pl", "e1"), time.Millisecond, func(*Execution) error { return boom })
	require.ErrorIs(t, err, boom)
}

// logServer streams lines; after the first `breakAfter` of them it drops the connection once.
func logServer(t *testing.T, messages []string, breakAfter int) *Client {
	t.Helper()
	var connections atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if r.URL.RawQuery != "" {
			if _, err := json.Number(strings.TrimPrefix(r.URL.RawQuery, "from=")).Int64(); err == nil {
				n, _ := json.Number(strings.TrimPrefix(r.URL.RawQuery, "from=")).Int64()
				from = int(n)
			}
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		first := connections.Add(1) == 1
		for i := from; i < len(messages); i++ {
			if first && i == breakAfter {
				_ = conn.CloseNow()
				return
			}
			if err := conn.Write(r.Context(), websocket.MessageText, []byte(messages[i])); err != nil {
				return
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, "secret", nil)
	require.NoError(t, err)
	return c
}

func TestFollowLogsTakesABrokenStreamUpAgain(t *testing.T) {
	messages := []string{`{"message":"a"}`, `{"message":"b"}`, `{"message":"c"}`, `{"message":"d"}`}
	for _, breakAfter := range []int{-1, 0, 2, 3} {
		c := logServer(t, messages, breakAfter)
		var got []string
		err := c.FollowLogs(t.Context(), BuildRef("p", "dev", "b", "e1"), func(item logs.Item) error {
			got = append(got, item.Message)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c", "d"}, got, "broken after %d", breakAfter)
	}
}

func TestFollowLogsReadsLists(t *testing.T) {
	c := logServer(t, []string{`[{"message":"a"},{"message":"b"}]`}, -1)
	count := 0
	require.NoError(t, c.FollowLogs(t.Context(), BuildRef("p", "dev", "b", "e1"), func(logs.Item) error { count++; return nil }))
	require.Equal(t, 2, count)
}

func TestFollowLogsEnds(t *testing.T) {
	ref := BuildRef("p", "dev", "b", "e1")
	boom := errors.New("boom")
	c := logServer(t, []string{`{"message":"a"}`}, -1)
	require.ErrorIs(t, c.FollowLogs(t.Context(), ref, func(logs.Item) error { return boom }), boom)

	c = logServer(t, []string{`no json`}, -1)
	require.ErrorContains(t, c.FollowLogs(t.Context(), ref, nil), "invalid character")

	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c, err := New(server.URL, "", nil)
	require.NoError(t, err)
	var refused *Error
	require.ErrorAs(t, c.FollowLogs(t.Context(), ref, nil), &refused)
	require.Equal(t, http.StatusNotFound, refused.Status)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.FollowLogs(ctx, ref, nil), context.Canceled)
}

func TestPipelineStepsNameTheirExecutions(t *testing.T) {
	ref, ok := PipelineStep{Type: StepBuild, Environment: "dev", Build: "b", ExecutionID: "e1"}.Ref("p")
	require.True(t, ok)
	require.Equal(t, BuildRef("p", "dev", "b", "e1"), ref)
	ref, ok = PipelineStep{Type: StepDeploy, Project: "q", Environment: "dev", Deployment: "d", ExecutionID: "e1"}.Ref("p")
	require.True(t, ok)
	require.Equal(t, DeploymentJobRef("q", "dev", "d", "e1"), ref)
	_, ok = PipelineStep{Type: StepDeploy, Environment: "dev", Deployment: "d"}.Ref("p")
	require.False(t, ok, "it has not begun")
	_, ok = PipelineStep{Type: StepConfirmation, ExecutionID: "e1"}.Ref("p")
	require.False(t, ok)
}
