package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"slipway/internal/config"
	"slipway/models"
)

// spans collects what is sent to it as an OpenTelemetry collector would.
type spans struct {
	mu   sync.Mutex
	list []span
}

type span struct{ name, trace, id, parent string }

func (s *spans) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &q) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range q.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, sp := range scope.Spans {
				s.list = append(s.list, span{sp.Name, hex.EncodeToString(sp.TraceId), hex.EncodeToString(sp.SpanId), hex.EncodeToString(sp.ParentSpanId)})
			}
		}
	}
}

// above gives the names of the ancestors of a span of the name given, the nearest first; of several the one with the most:
// the workflow that was terminated has no span.
func (s *spans) above(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := map[string]span{}
	for _, sp := range s.list {
		byID[sp.trace+sp.id] = sp
	}
	var longest []string
	for _, sp := range s.list {
		if sp.name != name {
			continue
		}
		var names []string
		for parent, ok := byID[sp.trace+sp.parent]; ok; parent, ok = byID[parent.trace+parent.parent] {
			names = append(names, parent.name)
		}
		if len(names) > len(longest) {
			longest = names
		}
	}
	return longest
}

// One trace leads from the request through the workflow and its activity to the script; what happens is counted, and log
// lines carry the execution's id.
func TestTracesMetricsAndLogs(t *testing.T) {
	t.Parallel()
	var seen spans
	c := httptest.NewServer(&seen)
	t.Cleanup(c.Close)
	said := &output{}
	s := newStack(t, stackOptions{log: slog.New(slog.NewJSONHandler(said, nil)), tune: func(cfg *config.Config) { cfg.TraceEndpoint = c.URL + "/v1/traces" }})
	p := s.project("seen")
	p.build("build", "echo built")
	ok := p.trigger("build")
	s.ok(ok)
	g := newGate(t)
	p.build("held", "echo pid $$", g.wait())
	terminated := p.trigger("held")
	s.line(terminated, "pid ")
	require.NoError(t, s.workflows.TerminateWorkflow(t.Context(), terminated.ID, "", "by the test"))
	s.reaches(terminated, models.StatusFailed)

	await(t, "the script's span hangs below the request's", func() (bool, string) {
		chain := seen.above("script build")
		text := strings.Join(chain, " < ")
		return len(chain) > 0 && chain[len(chain)-1] == "triggerTheBuild", text
	})
	chain := strings.Join(seen.above("script build"), " < ")
	for _, name := range []string{"RunActivity:begin-build", "RunWorkflow:local-build", "StartWorkflow:local-build", "triggerTheBuild"} {
		require.Contains(t, chain, name)
	}

	families, err := s.app.Registry.Gather()
	require.NoError(t, err)
	for _, want := range []string{
		"slipway_http_requests_total operation=triggerTheBuild", "slipway_http_request_duration_seconds operation=triggerTheBuild", "slipway_executions_triggered_total kind=build",
		"slipway_executions_finished_total kind=build,status=ok", "slipway_executions_finished_total kind=build,status=failed", "slipway_execution_queue_seconds kind=build",
		"slipway_script_duration_seconds step=build", "slipway_reconciler_actions_total ",
	} {
		require.True(t, counted(families, want), want)
	}

	// The end is logged after it is recorded, and maybe after somebody has read it.
	for _, ref := range []string{ok.ID, terminated.ID} {
		await(t, "a log line names execution "+ref, func() (bool, string) {
			for line := range strings.Lines(said.String()) {
				var record map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &record))
				if record["execution"] == ref && record["msg"] == "execution ended" {
					return true, ""
				}
			}
			return false, said.String()
		})
	}
}

// counted says whether a family has a series above zero whose labels hold those named: "family label=value,label=value".
func counted(families []*dto.MetricFamily, want string) bool {
	name, labels, _ := strings.Cut(want, " ")
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[fmt.Sprintf("%s=%s", l.GetName(), l.GetValue())] = true
			}
			matches := m.GetCounter().GetValue() > 0 || m.GetHistogram().GetSampleCount() > 0
			for _, l := range strings.Split(labels, ",") {
				matches = matches && (l == "" || has[l])
			}
			if matches {
				return true
			}
		}
	}
	return false
}
