package deliveries

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/netguard"
	"slipway/models"
)

func TestWebhookIsSignedAndNamed(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("thanks")) })
		d := k.webhook(r.URL+"/hooks/x?y=z", func(n *models.NewDelivery) { n.Secret.Headers = map[string]string{"Authorization": "Bearer abcdef"} })
		out, again, a := k.attempt(d)
		require.Nil(t, again)
		require.Equal(t, models.StatusOK, out.Status)
		require.Equal(t, 200, a.StatusCode)
		require.Equal(t, "thanks", a.Answer)
		require.Empty(t, a.Error)
		q := r.got[0]
		require.Equal(t, http.MethodPost, q.Method)
		require.Equal(t, "/hooks/x?y=z", q.RequestURI)
		require.Equal(t, "application/json", q.Header.Get("Content-Type"))
		require.Equal(t, "Bearer abcdef", q.Header.Get("Authorization"))
		require.Equal(t, "slipway/1.2.3", q.Header.Get("User-Agent"))
		require.Equal(t, "failed", q.Header.Get(HeaderEvent))
		require.Equal(t, d.ID, q.Header.Get(HeaderDelivery))
		require.Equal(t, d.ID, q.Header.Get("Idempotency-Key"))
		require.Equal(t, "1", q.Header.Get(HeaderAttempt))
		signature := q.Header.Get(HeaderSignature)
		require.True(t, Verify(signature, "hunter2-signs", []byte(r.bodies[0]), time.Now()))
		require.False(t, Verify(signature, "hunter2-signs", []byte(r.bodies[0]+" "), time.Now()))
		require.False(t, Verify(signature, "another", []byte(r.bodies[0]), time.Now()))
		require.False(t, Verify(signature, "hunter2-signs", []byte(r.bodies[0]), time.Now().Add(6*time.Minute)), "a replay")
		require.False(t, Verify("", "", nil, time.Now()))
		// What has arrived is not sent again, whoever asks.
		out, _, _ = k.attempt(d)
		require.Equal(t, models.StatusOK, out.Status)
		require.Len(t, r.got, 1)

		unsigned := k.webhook(r.URL, func(n *models.NewDelivery) { n.Secret.Secret = "" })
		k.attempt(unsigned)
		require.Empty(t, r.got[1].Header.Get(HeaderSignature))
	})
}

// The signature that docs/notifications.md gives as an example.
func TestSignatureIsTheDocumentedOne(t *testing.T) {
	const want = "t=1700000000,v1=" + exampleSignature
	require.Equal(t, want, Sign("secret", time.Unix(1700000000, 0), []byte(`{"event":"test"}`)))
}

const exampleSignature = "e6a22eb66e93669c75e7a035a110d9a2ccfa7cdef62d0ecb361671b92718ee9f"

func TestWebhookAnswers(t *testing.T) {
	k := onSQLite(t)
	for _, c := range []struct {
		code  int
		again bool
		says  string
	}{
		{204, false, ""}, {202, false, ""},
		{301, false, "redirects are not followed"}, {302, false, "redirects"}, {307, false, "redirects"}, {308, false, "redirects"}, {304, false, "redirects"},
		{400, false, "it answered 400"}, {401, false, "401"}, {403, false, "403"}, {404, false, "404"}, {405, false, "405"}, {410, false, "410"}, {422, false, "422"},
		{408, true, "408"}, {425, true, "425"}, {429, true, "429"}, {500, true, "500"}, {502, true, "502"}, {503, true, "503"}, {599, true, "599"},
	} {
		inner := newReceiver(t, nil)
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", inner.URL)
			w.WriteHeader(c.code)
		})
		out, again, a := k.attempt(k.webhook(r.URL, nil))
		require.Equal(t, c.again, again != nil, c.code)
		require.Equal(t, c.code, a.StatusCode)
		require.Contains(t, a.Error, c.says)
		require.Empty(t, inner.got, "nobody follows a redirect")
		if !c.again {
			require.Equal(t, c.code < 300, out.Ok(), c.code)
		}
	}
}

// S13: the address is checked when it is dialled, whatever the name says.
func TestS13WebhooksReachNoInnerAddress(t *testing.T) {
	k := onSQLite(t)
	r := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	require.NoError(t, err)
	k.service = New(Options{Store: k.store, Client: k.temporal, Log: k.service.Log})
	for url, says := range map[string]string{
		r.URL:                               "a loopback address",
		"http://localhost:" + port:          "localhost is not allowed: it is a loopback address", // a name that resolves to an inner address
		"http://[::ffff:127.0.0.1]:" + port: "a loopback address",
		"http://10.1.2.3/":                  "a private address",
		"http://169.254.169.254/latest":     "the metadata service",
	} {
		out, again, a := k.attempt(k.webhook(url, nil))
		require.Nil(t, again, "it will not be allowed later")
		require.Equal(t, models.StatusFailed, out.Status)
		require.Contains(t, a.Error, says, url)
		require.Zero(t, a.StatusCode)
	}
	require.Empty(t, r.got)
	require.Error(t, k.service.CheckAddress("http://127.0.0.1/"))
	require.NoError(t, k.service.CheckAddress("http://localhost/"), "names are looked up when it is sent")
	require.NoError(t, New(Options{Store: k.store, Network: netguard.Policy{AllowPrivate: true}}).CheckAddress("http://127.0.0.1/"))
}

func TestReceiverDownThenUp(t *testing.T) {
	k := onSQLite(t)
	r := newReceiver(t, nil)
	address := r.Listener.Addr().String()
	r.Close()
	d := k.webhook("http://"+address+"/", nil)
	for n := range 3 {
		_, again, a := k.attempt(d)
		require.NotNil(t, again)
		require.Equal(t, time.Duration(n+1)*time.Minute, again.After)
		require.Equal(t, n+1, a.Number)
		require.Contains(t, a.Error, "connection refused")
		require.NotContains(t, a.Error, "http://")
	}
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	back := &receiver{}
	server := &http.Server{Handler: back}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	out, again, a := k.attempt(d)
	require.Nil(t, again)
	require.True(t, out.Ok())
	require.Equal(t, 4, a.Number)
	require.Equal(t, "4", back.got[0].Header.Get(HeaderAttempt))
	require.Equal(t, d.ID, back.got[0].Header.Get(HeaderDelivery))
}

func TestReceiverThatIsSlow(t *testing.T) {
	k := onSQLite(t)
	k.service = New(Options{Store: k.store, Client: k.temporal, Network: loopbackOnly, Timeout: 50 * time.Millisecond, Log: k.service.Log})
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	silent := newReceiver(t, func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-end:
		}
	})
	_, again, a := k.attempt(k.webhook(silent.URL, nil))
	require.NotNil(t, again)
	require.Equal(t, "no answer within 50ms", a.Error)
	// An answer that begins and never ends is one: the status is what counts.
	dripping := newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		_, _ = w.Write([]byte("so far"))
		w.(http.Flusher).Flush()
		select {
		case <-q.Context().Done():
		case <-end:
		}
	})
	out, again, a := k.attempt(k.webhook(dripping.URL, nil))
	require.Nil(t, again)
	require.True(t, out.Ok())
	require.Equal(t, "so far", a.Answer)
}

func TestHugeAnswerIsCut(t *testing.T) {
	k := onSQLite(t)
	sent := make(chan int, 1)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for range 1 << 14 { // a GiB, if somebody reads it
			m, err := w.Write([]byte(strings.Repeat("x", 1<<16)))
			n += m
			if err != nil {
				break
			}
		}
		sent <- n
	})
	out, _, a := k.attempt(k.webhook(r.URL, nil))
	require.True(t, out.Ok())
	require.Len(t, a.Answer, models.MaxDeliveryAnswer)
	require.Less(t, <-sent, 1<<25, "the connection is dropped")
	// So are headers without end.
	r = newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	_, again, _ := k.attempt(k.webhook(r.URL, nil))
	require.NotNil(t, again)
}

func TestWrongCertificateIsRefused(t *testing.T) {
	k := onSQLite(t)
	reached := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	_, again, a := k.attempt(k.webhook(server.URL, nil))
	require.NotNil(t, again, "it may be renewed")
	require.Contains(t, a.Error, "certificate")
	require.False(t, reached)
}

func TestRetryAfterIsHonoured(t *testing.T) {
	k := onSQLite(t)
	for text, want := range map[string]time.Duration{"120": 2 * time.Minute, "1": time.Minute, "999999": time.Hour, "soon": time.Minute, "-5": time.Minute,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): time.Minute, time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat): time.Hour} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, again, _ := k.attempt(k.webhook(r.URL, nil))
		require.Equal(t, want, again.After, text)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	k := onSQLite(t)
	r := newReceiver(t, status(500))
	d := k.webhook(r.URL, func(n *models.NewDelivery) { n.MaxAttempts = 3 })
	for range 2 {
		_, again, _ := k.attempt(d)
		require.NotNil(t, again)
	}
	out, again, _ := k.attempt(d)
	require.Nil(t, again)
	require.Equal(t, "it answered 500; it was tried 3 times", out.Reason)
	require.Len(t, r.got, 3)
	total := time.Duration(0)
	for n := 1; n < models.DeliveryAttempts; n++ {
		total += Backoff(n)
		require.LessOrEqual(t, Backoff(n), maxBackoff+maxBackoff/10)
	}
	require.InDelta(t, 4.2, total.Hours(), 0.5)
}

// A worker that is lost between sending and recording: the receiver gets it again, under the same id, and the lost attempt
// counts.
func TestLostWorkerMeansAnotherAttempt(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		r := newReceiver(t, nil)
		d := k.webhook(r.URL, func(n *models.NewDelivery) { n.MaxAttempts = 3 })
		_, err := k.store.BeginDeliveryAttempt(t.Context(), d.ID)
		require.NoError(t, err)
		out, _, a := k.attempt(d)
		require.True(t, out.Ok())
		require.Equal(t, 2, a.Number)
		require.Equal(t, d.ID, r.got[0].Header.Get(HeaderDelivery))
		list, err := k.store.DeliveryAttempts(t.Context(), d.ID)
		require.NoError(t, err)
		require.Nil(t, list[0].FinishedAt)

		// A delivery that takes every worker with it ends.
		deadly := k.webhook(r.URL, func(n *models.NewDelivery) { n.MaxAttempts = 2 })
		for range 2 {
			_, err := k.store.BeginDeliveryAttempt(t.Context(), deadly.ID)
			require.NoError(t, err)
		}
		out, _, _ = k.attempt(deadly)
		require.Equal(t, models.StatusFailed, out.Status)
		require.Contains(t, out.Reason, "worker of the last attempt was lost")
		require.Len(t, r.got, 1)
	})
}

// S9: what a receiver repeats of the secrets it was sent is not shown, nor is it in the log.
func TestS9AnswersShowNoSecret(t *testing.T) {
	k := onSQLite(t)
	r := newReceiver(t, nil)
	r.answer = func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(400)
		_, _ = w.Write([]byte("no " + q.RequestURI + " for " + q.Header.Get("Authorization") + " " + q.Header.Get("X-Key") + ", code-4711-x, " + r.bodies[0]))
	}
	d := k.webhook(strings.Replace(r.URL, "http://", "http://user:hunter6@", 1)+"/hooks/hunter7?token=hunter8", func(n *models.NewDelivery) {
		n.Body, n.ShownBody = `{"url":"/code-4711-x"}`, `{"url":"/***"}`
		n.Secret.Headers = map[string]string{"X-Key": "hunter9"}
		n.Secret.Hide = []string{"code-4711-x"}
	})
	out, _, a := k.attempt(d)
	require.Equal(t, models.StatusFailed, out.Status)
	require.Contains(t, r.bodies[0], "code-4711-x")
	for _, secret := range []string{"hunter6", "hunter7", "hunter8", "hunter9", "code-4711-x"} {
		require.NotContains(t, a.Answer+a.Error+out.Reason, secret)
		require.NotContains(t, k.log.String(), secret)
	}
	// Errors of the transport hold addresses.
	r.Close()
	_, again, a := k.attempt(k.webhook(r.URL+"/hooks/hunter7", nil))
	require.NotContains(t, again.Error()+a.Error, "hunter7")
}
