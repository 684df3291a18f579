package packages_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/api"
	"slipway/api/own"
	surface "slipway/api/packages"
	"slipway/internal/fetch"
	"slipway/internal/testenv"
	"slipway/packages"
	"slipway/workflows"
)

// The rows of sources with a real Temporal server, whose worker only notes what it is asked to mirror.
func TestSources(t *testing.T) {
	temporal := testenv.Temporal(t)
	c, err := client.Dial(client.Options{HostPort: temporal.HostPort})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	mirrored := make(chan int64)
	w := worker.New(c, workflows.QueuePackages, worker.Options{DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(workflows.PackageMirror, workflow.RegisterOptions{Name: workflows.PackageMirrorWorkflow})
	w.RegisterActivityWithOptions(func(_ context.Context, in workflows.PackageMirrorInput) (workflows.PackageMirrorResult, error) {
		mirrored <- in.PackageID
		return workflows.PackageMirrorResult{}, nil
	}, activity.RegisterOptions{Name: workflows.ActivityMirrorPackage})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	s := newServer(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), func(s *server, o *surface.Options) []api.Group {
		return []api.Group{{Surface: own.Surface(), Rows: surface.SourceRows(surface.SourceOptions{Options: *o, Mirrors: &packages.Mirrors{Store: s.store, Client: c},
			CheckURL: func(url string) error { return fetch.CheckURL(url, fetch.Policy{}) }})}}
	})
	p := s.newPackage("acme/hello")
	source, mirror := fmt.Sprintf("/api/v1/slipway/packages/%d/source", p), fmt.Sprintf("/api/v1/slipway/packages/%d/mirror", p)
	s.must(404, "GET", source, nil)
	s.must(409, "POST", mirror, nil)
	s.must(404, "PUT", "/api/v1/slipway/packages/999/source", object{"repository": "https://example.com/hello.git"})
	for _, bad := range []object{{}, {"repository": "/etc"}, {"repository": "https://example.com/a.git", "interval": 5}, {"repository": "https://example.com/a.git", "interval": -1},
		{"repository": "https://example.com/a.git", "unknown": true}} {
		s.must(400, "PUT", source, bad)
	}
	s.must(404, "GET", source, nil)

	const key = "-----BEGIN OPENSSH PRIVATE KEY-----"
	o := s.must(200, "PUT", source, object{"repository": "ssh://git@example.com/hello.git", "private_key": key, "interval": 3600}).object(t)
	hook, ok := o["webhook"].(string)
	require.True(t, ok)
	require.True(t, strings.HasPrefix(hook, s.url+"/api/v1/slipway/package-hooks/"), hook)
	hook = strings.TrimPrefix(hook, s.url)
	a := s.must(200, "GET", source, nil)
	require.NotContains(t, string(a.body), key)
	require.NotContains(t, string(a.body), "webhook")
	require.Equal(t, object{"repository": "ssh://git@example.com/hello.git", "has_private_key": true, "interval": 3600.0, "mirrored": 0.0}, a.object(t))
	handle := c.ScheduleClient().GetHandle(t.Context(), workflows.PackageMirrorID(p)+"-schedule")
	described, err := handle.Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, time.Hour, described.Schedule.Spec.Intervals[0].Every)

	// Who may what.
	for token, want := range map[string][3]int{s.reader: {200, 403, 403}, s.stranger: {404, 404, 404}, "": {401, 401, 401}} {
		for i, row := range [][2]string{{"GET", source}, {"PUT", source}, {"POST", mirror}} {
			prepare := bearer(token)
			if token == "" {
				prepare = nil
			}
			require.Equal(t, want[i], s.request(row[0], row[1], object{"repository": "https://example.com/x.git"}, prepare).status, row)
		}
	}

	// On demand and by webhook, for which the path is enough.
	next := func() int64 {
		select {
		case id := <-mirrored:
			return id
		case <-time.After(30 * time.Second):
			t.Fatal(errors.New("nothing was mirrored"))
			return 0
		}
	}
	require.Equal(t, 202, s.as(s.writer, "POST", mirror, nil).status)
	require.Equal(t, p, next())
	require.NoError(t, c.GetWorkflow(t.Context(), workflows.PackageMirrorID(p), "").Get(t.Context(), nil))
	require.Equal(t, 202, s.request("POST", hook, `{"ref":"refs/tags/v1"}`, nil).status)
	require.Equal(t, p, next())
	require.Equal(t, 404, s.request("POST", hook+"x", "", nil).status)
	old := hook
	hook = strings.TrimPrefix(s.must(200, "PUT", source, object{"repository": "https://example.com/hello.git", "new_webhook": true}).object(t)["webhook"].(string), s.url)
	require.Equal(t, 404, s.request("POST", old, "", nil).status)
	require.Equal(t, 202, s.request("POST", hook, "", nil).status)
	require.Equal(t, p, next())
	_, err = handle.Describe(t.Context())
	require.Error(t, err, "without an interval there is no schedule")

	s.must(204, "DELETE", source, nil)
	s.must(404, "GET", source, nil)
	require.Equal(t, 404, s.request("POST", hook, "", nil).status)
}
