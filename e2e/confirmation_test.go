package e2e

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

var confirmationStep = client.PipelineStep{Name: "go?", Type: client.StepConfirmation}

// R9: a hundred people click at the same instant. One of them decides.
func TestR9OneDecision(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("decide")
	p.build("after", "echo after")
	p.pipeline("ask", []client.PipelineStep{confirmationStep}, []client.PipelineStep{{Type: client.StepBuild, Build: "after"}})
	ref := p.triggerPipeline("ask")
	link := s.link(ref)

	// Mail scanners and browsers follow links: that decides nothing.
	for _, c := range []struct{ method, accept string }{{http.MethodGet, "text/html"}, {http.MethodGet, "*/*"}, {http.MethodGet, ""}, {http.MethodHead, "*/*"},
		{http.MethodHead, "application/json"}, {http.MethodGet, "application/json;q=0, */*"}} {
		for _, credential := range []string{"Authorization: Bearer " + s.token, "Authorization:"} {
			a := s.do(c.method, link, nil, "Accept: "+c.accept, credential)
			require.Less(t, a.status, 500, "%s %q", c.method, c.accept)
			require.Equal(t, string(models.StatusWaiting), s.execution(ref).Outcome, "%s with Accept %q decided", c.method, c.accept)
		}
	}

	begin := make(chan struct{})
	var wg sync.WaitGroup
	var approved, disapproved, refused atomic.Int64
	for i := range 100 {
		wg.Go(func() {
			<-begin
			act := "/approve"
			if i%2 == 1 {
				act = "/disapprove"
			}
			a, err := s.try(http.MethodGet, strings.TrimSuffix(link, "/approve")+act, nil)
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusOK && i%2 == 0:
				approved.Add(1)
			case a.status == http.StatusOK:
				disapproved.Add(1)
			case a.status == http.StatusConflict && strings.Contains(string(a.body), "already, by admin"):
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	close(begin)
	wg.Wait()
	require.EqualValues(t, 1, approved.Load()+disapproved.Load())
	require.EqualValues(t, 99, refused.Load())
	want := models.StatusOK
	if disapproved.Load() == 1 {
		want = models.StatusFailed
	}
	e := s.reaches(ref, want)
	ran := e.Pipeline.Phases[1].Steps[0].ExecutionID != ""
	require.Equal(t, approved.Load() == 1, ran)
	audit, err := s.store.ListAudit(t.Context(), policies.Visible{All: true}, models.AuditFilter{ProjectID: s.row(ref).ProjectID})
	require.NoError(t, err)
	decisions := 0
	for _, entry := range audit {
		if strings.HasPrefix(entry.Action, "confirmation:") {
			decisions++
		}
	}
	require.Equal(t, 1, decisions, "one line in the audit log")
}

// R9: everything is started anew while a pipeline waits, Temporal included; the link still works.
func TestR9RestartOfEverythingWhileItWaits(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{processes: true, temporal: server})
	api, worker := s.startAPI("api", s.address()), s.startWorker("worker")
	p := s.project("patient")
	p.build("after", "echo after")
	p.pipeline("ask", []client.PipelineStep{confirmationStep}, []client.PipelineStep{{Type: client.StepBuild, Build: "after"}})
	ref := p.triggerPipeline("ask")
	link := s.link(ref)
	worker.stop()
	api.stop()
	require.NoError(t, server.Restart(t.Context()))
	s.startAPI("api-again", s.address())
	s.startWorker("worker-again")
	require.Equal(t, link, s.link(ref), "the link stays")
	require.NoError(t, s.client.Approve(t.Context(), link))
	s.ok(ref)
}
