package state_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"slipway/api"
	"slipway/api/confirm"
	"slipway/api/own"
	"slipway/api/state"
	"slipway/deliveries"
	"slipway/executions"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
	"slipway/schedules"
)

// webUI is where people reach Temporal's Web UI.
const webUI = "https://temporal.example.com"

// kit is the whole API as it runs: the real router, policy, authentication and store. Only Temporal is a fake.
type kit struct {
	t        testing.TB
	store    *models.Store
	service  *executions.Service
	temporal *fakeTemporal
	server   *httptest.Server
	tokens   map[string]string
	groups   []api.Group
	sealer   *sealer
	blobs    blobs
	// statements counts those of the database.
	statements *atomic.Int64

	authenticator api.Authenticator
	policy        api.Policy
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, k *kit)) {
	t.Run("sqlite", func(t *testing.T) { f(t, newKit(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))) })
	t.Run("postgres", func(t *testing.T) { f(t, newKit(t, testenv.PostgresTemplate(t, "state", migrated))) })
}

func migrated(url string) error {
	store, err := models.Open(context.Background(), url, models.Options{})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(context.Background()), store.Close())
}

// onSQLite is a kit for tests that are about HTTP and not about the store.
func onSQLite(t testing.TB) *kit {
	return newKit(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
}

// newKit has the users admin, olga (who owns project "shop" once shop is called), walter (writes), rita (reads) and sam
// (a stranger).
func newKit(t testing.TB, url string) *kit {
	t.Helper()
	ctx := context.Background()
	statements := new(atomic.Int64)
	store, err := models.Open(ctx, url, models.Options{MaxConnections: 32, Faults: &models.Faults{Before: func() error { statements.Add(1); return nil }}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	require.NoError(t, store.Migrate(ctx))
	sealer := newSealer(t)
	store.UseEncrypter(sealer)
	engine, err := policies.New(policies.Options{})
	require.NoError(t, err)
	auth, err := api.NewAuthenticator(store, api.AuthenticatorOptions{})
	require.NoError(t, err)
	k := &kit{t: t, store: store, statements: statements, temporal: &fakeTemporal{}, tokens: map[string]string{}, sealer: sealer, blobs: blobs{}, authenticator: auth, policy: engine}
	k.service = executions.New(store, k.temporal, executions.NewLocalBus(), sealer, k.blobs, nil, nil, executions.Config{})
	scopes := api.NewScopes(store, api.ScopesOptions{})
	k.groups = []api.Group{
		state.New(state.Options{Store: store, Policy: engine, Scopes: scopes, Authenticator: auth, Executions: k.service, Queues: []string{"far-away"}, PublicURL: "https://slipway.example.com"}),
		own.New(own.Options{
			Store: store, Policy: engine, Scopes: scopes, Authenticator: auth, Executions: k.service, Version: "1.2.3",
			PublicURL: "https://slipway.example.com",
			Codec:     executions.NewCodec(sealer),
			// Nothing is sent here: there is no worker.
			Deliveries: deliveries.New(deliveries.Options{Store: store, Client: k.temporal, Sealer: sealer, UploadHook: deliveries.UploadHook{URL: "https://events.example.com/"}}),
			Schedules:  schedules.New(store, k.service, engine, k.temporal, slog.New(slog.DiscardHandler)),
		}),
	}
	k.service.SetDecider((&confirm.Links{Executions: k.service, Store: store, Scopes: scopes, Policy: engine}).MayDecideByLink)
	handler, err := api.New(api.Options{Groups: k.groups, Authenticator: auth, Policy: engine, CrossOrigins: []api.CrossOrigin{{Origin: webUI, Prefix: own.CodecPath + "/"}}})
	require.NoError(t, err)
	k.server = httptest.NewServer(handler)
	t.Cleanup(k.server.Close)
	for _, name := range []string{"admin", "olga", "walter", "rita", "sam"} {
		u := &models.User{Name: name, Admin: name == "admin"}
		require.NoError(t, store.CreateUser(ctx, u))
		token, err := store.CreateToken(ctx, &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: name})
		require.NoError(t, err)
		k.tokens[name] = token
	}
	return k
}

// shop makes project "shop" with the environments dev and prod, and gives the users their roles.
func (k *kit) shop() {
	k.t.Helper()
	k.as("olga").post("/api/v1/state/shop/add-project", map[string]any{"name": "shop"}).ok()
	k.grant("walter", policies.RoleWrite)
	k.grant("rita", policies.RoleRead)
	k.as("olga").post("/api/v1/state/shop/environments/", map[string]any{"name": "dev"}).ok()
	k.as("olga").post("/api/v1/state/shop/environments/", map[string]any{"name": "prod"}).ok()
}

func (k *kit) grant(user, role string) {
	k.t.Helper()
	ctx := context.Background()
	u, err := k.store.UserByName(ctx, user)
	require.NoError(k.t, err)
	p, err := k.store.ProjectByName(ctx, "shop")
	require.NoError(k.t, err)
	require.NoError(k.t, k.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: p.ID, Role: role}))
}

// caller sends requests as somebody.
type caller struct {
	k     *kit
	token string
	head  http.Header
}

// as gives a caller with the token of a user; "" is nobody.
func (k *kit) as(user string) *caller {
	return &caller{k: k, token: k.tokens[user], head: http.Header{}}
}

func (c *caller) with(name, value string) *caller {
	c.head = c.head.Clone()
	c.head.Set(name, value)
	return c
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

func (c *caller) do(method, path string, body any) *answer {
	c.k.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		require.NoError(c.k.t, err)
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, c.k.server.URL+path, r)
	require.NoError(c.k.t, err)
	for name, values := range c.head {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("X-Escape-Token", c.token)
	}
	noRedirect := *http.DefaultClient
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := noRedirect.Do(req)
	require.NoError(c.k.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.k.t, err)
	return &answer{t: c.k.t, what: method + " " + path, status: res.StatusCode, header: res.Header, body: text}
}

func (c *caller) get(path string) *answer            { c.k.t.Helper(); return c.do("GET", path, nil) }
func (c *caller) post(path string, body any) *answer { c.k.t.Helper(); return c.do("POST", path, body) }
func (c *caller) put(path string, body any) *answer  { c.k.t.Helper(); return c.do("PUT", path, body) }
func (c *caller) delete(path string) *answer         { c.k.t.Helper(); return c.do("DELETE", path, nil) }

// is requires a status, and gives the body as text.
func (a *answer) is(status int) string {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s: %s", a.what, a.body)
	return string(a.body)
}

func (a *answer) ok() string { a.t.Helper(); return a.is(http.StatusOK) }

// into requires 200 and reads the body.
func (a *answer) into(v any) {
	a.t.Helper()
	a.is(http.StatusOK)
	require.NoError(a.t, json.Unmarshal(a.body, v), "%s: %s", a.what, a.body)
}

// object requires 200 and a JSON object.
func (a *answer) object() map[string]any {
	a.t.Helper()
	a.is(http.StatusOK)
	return a.mustObject()
}

// mustObject reads a JSON object, whatever the status.
func (a *answer) mustObject() map[string]any {
	a.t.Helper()
	var m map[string]any
	require.NoError(a.t, json.Unmarshal(a.body, &m), "%s: %s", a.what, a.body)
	return m
}

// id requires 200 and an ExecutionID.
func (a *answer) id() string {
	a.t.Helper()
	id, _ := a.object()["id"].(string)
	require.NotEmpty(a.t, id, "%s: %s", a.what, a.body)
	return id
}

// fakeTemporal accepts every workflow. What it was asked is kept.
type fakeTemporal struct {
	client.Client
	mu        sync.Mutex
	started   []string
	cancelled []string
	signalled []string
	away      bool
	// What the workflow and the task queues are at; hangs never answers. See DescribeWorkflowExecution.
	workflow  *workflowservice.DescribeWorkflowExecutionResponse
	polled    map[string]time.Time
	hangs     bool
	schedules testenv.Schedules
}

func (f *fakeTemporal) record(list *[]string, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return serviceerror.NewUnavailable("away")
	}
	*list = append(*list, id)
	return nil
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	return nil, f.record(&f.started, o.ID)
}

func (f *fakeTemporal) ScheduleClient() client.ScheduleClient { return &f.schedules }

func (f *fakeTemporal) CancelWorkflow(_ context.Context, id, _ string) error {
	return f.record(&f.cancelled, id)
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, id, _, _ string, _ any) error {
	return f.record(&f.signalled, id)
}

// blobs is storage in memory.
type blobs map[string][]byte

func (b blobs) Read(_ context.Context, key string) ([]byte, error) {
	if data, ok := b[key]; ok {
		return data, nil
	}
	return nil, errors.New("no such blob: " + key)
}

func (b blobs) Write(_ context.Context, key string, data []byte) error {
	b[key] = data
	return nil
}

// sealer encrypts with a key of its own, as the keyring does.
type sealer struct{ aead cipher.AEAD }

func newSealer(t testing.TB) *sealer {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return &sealer{aead}
}

func (s *sealer) Encrypt(plain []byte, associated string) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(associated)), nil
}

func (s *sealer) Decrypt(sealed []byte, associated string) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, []byte(associated))
}
