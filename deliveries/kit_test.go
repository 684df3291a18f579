package deliveries

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"slipway/internal/keyring"
	"slipway/internal/netguard"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/workflows"
)

// kit is a service on a real database, with nothing but Temporal replaced: attempts are made by the test.
type kit struct {
	t        *testing.T
	store    *models.Store
	keys     *keyring.Keyring
	temporal *starts
	service  *Service
	project  *models.Project
	log      *strings.Builder
}

// starts records which workflows are started.
type starts struct {
	client.Client
	mu   sync.Mutex
	ids  []string
	away bool
}

func (s *starts) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, serviceerror.NewUnavailable("away")
	}
	s.ids = append(s.ids, o.ID)
	return nil, nil
}

// loopbackOnly allows the receivers of tests: they listen on 127.0.0.1, and nothing else of what is not public.
var loopbackOnly = netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}

func onBothDatabases(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newKit(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, newKit(t, testenv.PostgresTemplate(t, "deliveries", migrated))) })
}

func migrated(url string) error {
	store, err := models.Open(context.Background(), url, models.Options{})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(context.Background()), store.Close())
}

func onSQLite(t *testing.T) *kit {
	return newKit(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
}

func newKit(t *testing.T, url string) *kit {
	t.Helper()
	store, err := models.Open(t.Context(), url, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(t.Context()))
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	store.UseEncrypter(keys)
	k := &kit{t: t, store: store, keys: keys, temporal: &starts{}, log: &strings.Builder{}}
	k.service = New(Options{Store: store, Client: k.temporal, Sealer: keys, Network: loopbackOnly, PublicURL: "https://slipway.example.com", Version: "1.2.3",
		ConfirmationURL: func(public, project string, e *models.Execution, code string) string {
			return public + "/" + project + "/" + e.ID + "/" + code
		}, Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute }, Log: slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	k.project = &models.Project{Name: "shop"}
	require.NoError(t, store.CreateProject(t.Context(), k.project))
	return k
}

// webhook records a delivery to an address.
func (k *kit) webhook(url string, change func(*models.NewDelivery)) *models.Delivery {
	k.t.Helper()
	n := models.NewDelivery{Kind: models.DeliveryWebhook, Source: models.DeliveryOfNotification, Event: models.EventFailed, ProjectID: k.project.ID, Target: models.MaskURL(url),
		Body: `{"event":"failed"}`, Secret: models.DeliverySecret{URL: url, Secret: "hunter2-signs"}}
	if change != nil {
		change(&n)
	}
	d, _, err := k.store.CreateDelivery(k.t.Context(), n)
	require.NoError(k.t, err)
	return d
}

// attempt makes one attempt and reads it back.
func (k *kit) attempt(d *models.Delivery) (workflows.Outcome, *AgainError, models.DeliveryAttempt) {
	k.t.Helper()
	out, err := k.service.Attempt(k.t.Context(), d.ID)
	var again *AgainError
	if !errors.As(err, &again) {
		require.NoError(k.t, err)
	}
	list, err := k.store.DeliveryAttempts(k.t.Context(), d.ID)
	require.NoError(k.t, err)
	now, err := k.store.DeliveryByID(k.t.Context(), d.ID)
	require.NoError(k.t, err)
	require.Equal(k.t, again == nil, now.Status.Final())
	if again != nil {
		require.NotNil(k.t, now.NextAttemptAt)
		require.Equal(k.t, again.Reason, now.Reason)
	} else {
		require.Equal(k.t, out, workflows.Outcome{Status: now.Status, Reason: now.Reason})
	}
	if len(list) == 0 {
		return out, again, models.DeliveryAttempt{}
	}
	return out, again, list[len(list)-1]
}

// receiver is a server that webhooks go to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	bodies []string
	answer http.HandlerFunc
}

func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.got, r.bodies = append(r.got, q), append(r.bodies, string(body))
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, q)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
