package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/api/own"
	"slipway/deliveries"
	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

// inbox is a receiver of webhooks.
type inbox struct {
	*httptest.Server
	mu   sync.Mutex
	got  []webhook
	hold func(w http.ResponseWriter, n int) // answers the nth request, from 1
}

type webhook struct {
	path, body string
	header     http.Header
}

func newInbox(t testing.TB, answer func(w http.ResponseWriter, n int)) *inbox {
	b := &inbox{hold: answer}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.got = append(b.got, webhook{path: r.URL.RequestURI(), body: string(body), header: r.Header})
		n := len(b.got)
		b.mu.Unlock()
		if b.hold != nil {
			b.hold(w, n)
		}
	}))
	t.Cleanup(func() { b.CloseClientConnections(); b.Close() })
	return b
}

// all gives what came so far.
func (b *inbox) all() []webhook {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]webhook(nil), b.got...)
}

// has waits for n webhooks and gives them.
func (b *inbox) has(t testing.TB, n int) []webhook {
	t.Helper()
	await(t, fmt.Sprintf("%d webhooks arrive", n), func() (bool, string) { return len(b.all()) >= n, fmt.Sprint(len(b.all())) })
	return b.all()
}

// delivered waits until a delivery has ended and gives it.
func (s *stack) delivered(path, id string) own.DeliveryDetail {
	s.t.Helper()
	var d own.DeliveryDetail
	await(s.t, "delivery "+id+" has ended", func() (bool, string) {
		a := s.do(http.MethodGet, path+id+"/", nil)
		d = own.DeliveryDetail{}
		return json.Unmarshal(a.body, &d) == nil && a.status == http.StatusOK && models.Status(d.Status).Final(), string(a.body)
	})
	return d
}

const (
	canaryPath   = "canary-path-5c1e"
	canarySecret = "canary-signs-77aa"
)

// A user sets rules and hooks, and things happen: webhooks and mails arrive, and nobody else learns what is secret of them.
func TestS9DeliveriesOfAStack(t *testing.T) {
	t.Parallel()
	smtp := testenv.SMTP(t)
	s := newStack(t, stackOptions{tune: func(c *config.Config) {
		c.SMTPURL, c.SMTPFrom = config.Secret("smtp://"+smtp.Address()+"?starttls=off"), "Slipway <slipway@example.com>"
	}})
	p := s.project("told")
	ann := &models.User{Name: "ann", Email: "ann@example.com"}
	require.NoError(t, s.store.CreateUser(t.Context(), ann))
	s.grant("ann", policies.RoleWrite, "told")
	base := "/api/v1/slipway/projects/told/"

	chat := newInbox(t, func(w http.ResponseWriter, n int) {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("not at " + canaryPath))
		}
	})
	made := s.do(http.MethodPost, base+"notifications/", map[string]any{"name": "chat", "kind": "webhook", "url": chat.URL + "/" + canaryPath, "secret": canarySecret,
		"events": []string{"failed", "fixed", "confirmation"}})
	require.Equal(t, http.StatusOK, made.status, string(made.body))

	// A build fails: the first try is refused, the second arrives.
	p.build("web", "echo no; exit 3")
	ref := p.trigger("web")
	s.failed(ref, "3")
	got := chat.has(t, 2)
	require.Equal(t, got[0].body, got[1].body)
	id := got[1].header.Get(deliveries.HeaderDelivery)
	require.Equal(t, id, got[0].header.Get(deliveries.HeaderDelivery))
	require.Equal(t, "/"+canaryPath, got[1].path)
	require.True(t, deliveries.Verify(got[1].header.Get(deliveries.HeaderSignature), canarySecret, []byte(got[1].body), time.Now()))
	var payload deliveries.Payload
	require.NoError(t, json.Unmarshal([]byte(got[1].body), &payload))
	require.Equal(t, "failed", payload.Event)
	require.Equal(t, ref.ID, payload.Execution.ID)
	d := s.delivered(base+"deliveries/", id)
	require.Equal(t, "ok", d.Status)
	require.Len(t, d.Log, 2)
	require.Equal(t, 503, d.Log[0].StatusCode)
	require.Equal(t, "not at ***", d.Log[0].Answer)
	require.Equal(t, 200, d.Log[1].StatusCode)

	// A pipeline asks: by the rule, and by mail whoever may decide. The link works.
	p.pipeline("ship", []client.PipelineStep{confirmationStep})
	run := p.triggerPipeline("ship")
	asked := chat.has(t, 3)[2]
	require.Equal(t, "confirmation", asked.header.Get(deliveries.HeaderEvent))
	await(t, "the mail arrives", func() (bool, string) { return len(smtp.Mails()) > 0, "" })
	m, err := mail.ReadMessage(strings.NewReader(smtp.Mails()[0].Data))
	require.NoError(t, err)
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	require.Equal(t, "ann@example.com", smtp.Mails()[0].To)
	link := regexp.MustCompile(`http://\S+/confirmation/(\S+)/approve`).FindSubmatch(text)
	require.NotNil(t, link, string(text))
	require.Contains(t, asked.body, string(link[0]))
	code := string(link[1])
	var list []own.Delivery
	require.NoError(t, json.Unmarshal(s.do(http.MethodGet, base+"deliveries/?execution="+run.ID, nil).body, &list))
	require.Len(t, list, 2)
	for _, l := range list {
		shown := s.delivered(base+"deliveries/", l.ID)
		require.Equal(t, "ok", shown.Status)
		require.Contains(t, shown.Body, "/confirmation/***/approve")
		b, err := json.Marshal(shown)
		require.NoError(t, err)
		require.NotContains(t, string(b), code)
	}
	require.NoError(t, s.client.Approve(t.Context(), string(link[0])))
	s.ok(run)

	// An upload tells the hooks of its namespace.
	events := newInbox(t, nil)
	put := s.do(http.MethodPut, "/api/v1/inventory/told/hooks/", map[string]any{"events": map[string]string{"url": events.URL + "/" + canaryPath, "secret": canarySecret}})
	require.Equal(t, http.StatusCreated, put.status, string(put.body))
	p.release()
	uploaded := events.has(t, 1)[0]
	require.Contains(t, uploaded.body, `"event":"NEW_UPLOAD","project":"told","project_hooks":{"events":{}},"unit":"app"`)
	require.True(t, deliveries.Verify(uploaded.header.Get(deliveries.HeaderSignature), canarySecret, []byte(uploaded.body), time.Now()))
	hookID := uploaded.header.Get(deliveries.HeaderDelivery)
	require.Equal(t, "namespace/events", s.delivered("/api/v1/slipway/namespaces/told/deliveries/", hookID).Hook)

	// Neither the histories nor the database hold what is secret.
	dump := s.dump()
	for _, secret := range []string{canaryPath, canarySecret, code} {
		for _, workflow := range []string{id, list[0].ID, list[1].ID, hookID, run.ID} {
			require.False(t, bytes.Contains(s.history(workflow), []byte(secret)), "%s in the history of %s", secret, workflow)
		}
		require.False(t, bytes.Contains(dump, []byte(secret)), "%s in the database", secret)
	}
}

// The whole of it with processes: the worker dies between sending and recording, Temporal is away when a delivery is
// recorded, and the process that recorded one never starts it.
func TestR1KilledWorkerOfADelivery(t *testing.T) {
	t.Parallel()
	server := testenv.TemporalServer(t)
	s := newStack(t, stackOptions{processes: true, temporal: server})
	s.startAPI("api", s.address())
	worker := s.startWorker("worker-1")
	s.project("lost")
	sent, release := make(chan struct{}), make(chan struct{})
	b := newInbox(t, func(_ http.ResponseWriter, n int) {
		if n == 1 {
			close(sent)
			<-release
		}
	})
	defer close(release)
	base := "/api/v1/slipway/projects/lost/"
	p, err := s.store.ProjectByName(t.Context(), "lost")
	require.NoError(t, err)
	ns, err := s.store.NamespaceByName(t.Context(), "lost")
	require.NoError(t, err)
	require.NoError(t, s.store.SetNamespaceHooks(t.Context(), ns.ID, fmt.Sprintf(`{"events":{"url":%q}}`, b.URL)))
	// Recorded by a process that is gone before it starts anything: another one starts it.
	d, _, err := s.store.CreateDelivery(t.Context(), models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfHook, Event: "events", ProjectID: p.ID,
		NamespaceID: ns.ID, Hook: "namespace/events", Body: "{}", Secret: models.DeliverySecret{URL: b.URL}})
	require.NoError(t, err)
	<-sent
	worker.kill()
	s.startWorker("worker-2")
	first := s.delivered(base+"deliveries/", d.ID)
	require.Equal(t, "ok", first.Status)
	require.Len(t, first.Log, 2)
	require.Nil(t, first.Log[0].FinishedAt, "nobody knows how it went")
	got := b.all()
	require.Len(t, got, 2, "at least once")
	for n, w := range got {
		require.Equal(t, d.ID, w.header.Get(deliveries.HeaderDelivery))
		require.Equal(t, fmt.Sprint(n+1), w.header.Get(deliveries.HeaderAttempt))
	}

	// Temporal is away: the delivery waits, and goes out when it is back.
	require.NoError(t, server.Kill())
	a := s.do(http.MethodPost, base+"deliveries/"+d.ID+"/redeliver", nil)
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var waiting own.Delivery
	require.NoError(t, json.Unmarshal(a.body, &waiting))
	require.NoError(t, server.Restart(t.Context()))
	require.Equal(t, "ok", s.delivered(base+"deliveries/", waiting.ID).Status)
	require.Len(t, b.all(), 3)
	require.Equal(t, waiting.ID, b.all()[2].header.Get(deliveries.HeaderDelivery))
}
