package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
)

const triggerOutage = "/api/v1/state/outage/environments/dev/builds/by-name/build/trigger-build"

// Temporal is gone and comes back. The API and the worker stay.
func TestR3TemporalOutage(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{temporal: server})
	p := s.project("outage")
	ran := p.dir + "/ran"
	p.build("build", "echo ran >>"+ran)
	s.ok(p.trigger("build"))
	// Two that are open when it happens: one waits for a person, one for another execution's deployment.
	p.release()
	g := newGate(t)
	p.job("web", "", "echo pid $$", g.wait(), "echo passed")
	p.pipeline("ask", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}}, []client.PipelineStep{{Type: client.StepBuild, Build: "build"}})
	asks := p.triggerPipeline("ask")
	link := s.link(asks)
	require.NoError(t, server.Kill())

	a := s.do(http.MethodPost, triggerOutage, nil)
	require.Equal(t, http.StatusServiceUnavailable, a.status, string(a.body))
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.NotContains(t, string(a.body), "127.0.0.1", "S18: no internal host")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/api/v1/state/outage/environments/dev/", nil).status, "reads work")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/ready", nil).status)
	list, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild})
	require.NoError(t, err)
	require.Equal(t, models.StatusAbandoned, list[0].Status)
	abandoned := list[0].ID
	// A decision is taken all the same, and told later.
	require.NoError(t, s.client.Approve(t.Context(), link))

	require.NoError(t, server.Restart(t.Context()))
	s.ok(asks)
	var ref client.Ref
	await(t, "triggers work again", func() (bool, string) {
		ref, err = s.client.TriggerBuild(t.Context(), "outage", "dev", "build")
		return err == nil, fmt.Sprint(err)
	})
	s.ok(ref)
	deploy := p.deploy("web")
	s.line(deploy, "pid ")
	g.open(1)
	s.ok(deploy)
	e, err := s.store.ExecutionByID(t.Context(), abandoned)
	require.NoError(t, err)
	require.Equal(t, models.StatusAbandoned, e.Status)
	tried := 0
	all, err := s.store.ListExecutions(t.Context(), models.ExecutionFilter{Kind: models.KindBuild, PageSize: 1000})
	require.NoError(t, err)
	for _, e := range all {
		if e.Status == models.StatusOK && e.SubjectName == "build" {
			tried++
		}
	}
	require.Len(t, fileLines(t, ran), tried, "what was refused never ran")
}

// A deployment whose script runs while Temporal is gone for a moment goes on.
func TestR3TemporalRestartsUnderAScript(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{temporal: server})
	p := s.project("outage")
	ran := p.dir + "/ran"
	g := newGate(t)
	p.build("build", "echo ran >>"+ran, "echo pid $$", g.wait())
	ref := p.trigger("build")
	s.line(ref, "pid ")
	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	// More than one gate: a restart that takes longer than the heartbeat timeout costs the build its first try, and that
	// is right; it must not cost more.
	g.open(5)
	s.ok(ref)
	require.NotEmpty(t, fileLines(t, ran))
}

// PostgreSQL crashes and comes back.
func TestR3PostgresOutage(t *testing.T) {
	t.Parallel()
	cluster := testenv.PostgresServer(t)
	admin, err := pgx.Connect(t.Context(), cluster.URL("postgres"))
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "CREATE DATABASE slipway")
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))
	s := newStack(t, stackOptions{database: cluster.URL("slipway")})
	p := s.project("outage")
	p.release()
	ran := p.dir + "/ran"
	g, h := newGate(t), newGate(t)
	p.build("build", "echo ran >>"+ran, "echo pid $$", g.wait(), "echo passed")
	// A deployment whose script ends while the database is away: it must not count as interrupted, for it was not.
	p.job("web", "", "echo $step >>"+ran, "echo pid $$", h.wait(), "echo passed; touch "+p.dir+"/passed")
	build, deploy := p.trigger("build"), p.deploy("web")
	s.line(build, "pid ")
	s.line(deploy, "pid ")

	require.NoError(t, cluster.Stop("immediate"))
	for _, request := range []struct{ method, path string }{
		{http.MethodGet, "/api/v1/state/outage/environments/dev/"}, {http.MethodPost, triggerOutage}, {http.MethodGet, "/ready"},
		{http.MethodGet, "/api/v1/state/"}, {http.MethodGet, "/api/v1/inventory/outage/units/app/"},
	} {
		a := s.do(request.method, request.path, nil)
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s %s: %s", request.method, request.path, a.body)
		require.NotEmpty(t, a.header.Get("Retry-After"), request.path)
		require.NotContains(t, string(a.body), "slipway-pg", "S18: no internals")
	}
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/health", nil).status, "the process itself is well")
	h.open(1)
	await(t, "the deploy script has ended", func() (bool, string) { return len(processesOf(t, deploy.ID)) == 0, "" })
	require.NoError(t, cluster.Start())

	g.open(5)
	s.ok(build)
	s.ok(deploy)
	require.Contains(t, s.logText(deploy), "passed", "what it said while the database was away")
	s.ok(p.trigger("build"))
}

// R10: a cancel while Temporal is gone ends the script at once, and the execution when Temporal is back.
func TestR3R10CancelWithoutTemporal(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{temporal: server})
	p := s.project("outage")
	p.build("build", "echo pid $$", "exec sleep 1000")
	p.pipeline("ask", []client.PipelineStep{{Name: "go?", Type: client.StepConfirmation}})
	ref, asks := p.trigger("build"), p.triggerPipeline("ask")
	s.line(ref, "pid ")
	s.link(asks)
	require.NoError(t, server.Kill())
	require.NoError(t, s.client.Cancel(t.Context(), ref))
	noProcessesOf(t, 3*time.Second, ref.ID)
	require.NoError(t, s.client.Cancel(t.Context(), asks))
	require.False(t, s.execution(asks).Ended(), "nobody knows yet")
	require.NoError(t, server.Restart(t.Context()))
	s.reaches(ref, models.StatusCancelled)
	s.reaches(asks, models.StatusCancelled)
}
