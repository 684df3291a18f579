package releases_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/api/releases"
	"slipway/internal/blob"
	"slipway/internal/keyring"
	"slipway/internal/testenv"
	"slipway/inventory"
	"slipway/models"
	"slipway/policies"
)

// server is a running inventory.
type server struct {
	t       testing.TB
	handler http.Handler
	store   *models.Store
	service *inventory.Service
	files   string // the storage folder
	url     string
	group   api.Group
}

// options change how a server is made.
type options struct {
	mode        releases.LoginMode
	database    string // address; empty: a new SQLite file
	files       string // storage folder; empty: a new one
	blob        *blob.Store
	development bool
	publicURL   string
	stall       time.Duration
}

func newServer(t testing.TB, o options) *server {
	t.Helper()
	ctx := t.Context()
	if o.mode == "" {
		o.mode = releases.LoginNone
	}
	if o.database == "" {
		o.database = "sqlite:" + filepath.Join(t.TempDir(), "slipway.db")
	}
	if o.files == "" {
		o.files = filepath.Join(t.TempDir(), "files")
	}
	store, err := models.Open(ctx, o.database, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	store.UseEncrypter(keys)
	if o.blob == nil {
		o.blob, err = blob.Open(ctx, "file://"+o.files)
		require.NoError(t, err)
	}
	policy, err := policies.New(policies.Options{})
	require.NoError(t, err)
	auth, err := api.NewAuthenticator(store, api.AuthenticatorOptions{None: o.mode == releases.LoginNone})
	require.NoError(t, err)
	service := &inventory.Service{Store: store, Blob: o.blob}
	group, err := releases.New(releases.Options{Store: store, Inventory: service, Policy: policy, Scopes: api.NewScopes(store, api.ScopesOptions{}),
		Login: releases.Login{Mode: o.mode, Sessions: auth, PublicURL: o.publicURL}, Development: o.development, Stall: o.stall, Version: "1.2.3"})
	require.NoError(t, err)
	handler, err := api.New(api.Options{Groups: []api.Group{group}, Authenticator: releases.ForLogins(auth), Policy: policy, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ts := httptest.NewServer(handler)
	t.Cleanup(ts.Close)
	return &server{t: t, handler: handler, store: store, service: service, files: o.files, url: ts.URL, group: group}
}

// onBothDatabases runs a test on a fresh SQLite file and on a fresh PostgreSQL database.
func onBothDatabases(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, testenv.Postgres(t)) })
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

// noRedirects shows redirects instead of following them.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// do sends a request the way the client does: with X-Escape-Token, even when it is empty, and a JSON content type.
func (s *server) do(method, path, token, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, token, body, header...)
	require.NoError(s.t, err)
	return a
}

func (s *server) try(method, path, token, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Escape-Token", token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := noRedirects.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(b)}, err
}

func (s *server) get(path string) answer { s.t.Helper(); return s.do(http.MethodGet, path, "", "") }

// form makes the multipart form of an upload.
func form(t testing.TB, field, name string, content []byte) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, name)
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.Bytes()
}

func (s *server) upload(path, token string, archive []byte) answer {
	s.t.Helper()
	contentType, body := form(s.t, "file", "package.tgz", archive)
	return s.do(http.MethodPost, path, token, string(body), "Content-Type", contentType)
}

const inv = "/api/v1/inventory"

// register registers a release of namespace ns and fails the test if that is refused.
func (s *server) register(ns, metadata string) {
	s.t.Helper()
	a := s.do(http.MethodPost, inv+"/"+ns+"/register", "", metadata)
	require.Equal(s.t, answer{status: 200}, answer{status: a.status, body: a.body}, metadata)
}

func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}
