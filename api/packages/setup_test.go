package packages_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"slipway/api"
	surface "slipway/api/packages"
	"slipway/internal/blob"
	"slipway/internal/composer"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
)

// server is the surface over a database of its own, with one caller for each role.
type server struct {
	t          testing.TB
	url        string
	store      *models.Store
	blob       *blob.Store
	service    *packages.Service
	repository *packages.Repository
	// Tokens: of an administrator, and of an owner, a writer and a reader of the default organization; of somebody without
	// any role.
	admin, owner, writer, reader, stranger string

	mu        sync.Mutex
	exchanges []exchange
}

// sealer encrypts as the product does, with a key of its own.
type sealer struct{ tink.AEAD }

func (s sealer) Encrypt(plain []byte, associated string) ([]byte, error) {
	return s.AEAD.Encrypt(plain, []byte(associated))
}

func (s sealer) Decrypt(cipher []byte, associated string) ([]byte, error) {
	return s.AEAD.Decrypt(cipher, []byte(associated))
}

func newSealer(t testing.TB) sealer {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	a, err := aead.New(h)
	require.NoError(t, err)
	return sealer{a}
}

// onBothDatabases runs a test on SQLite and on PostgreSQL.
func onBothDatabases(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newServer(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, newServer(t, postgres(t))) })
}

func postgres(t testing.TB) string {
	return testenv.PostgresTemplate(t, "packages", func(url string) error {
		s, err := models.Open(context.Background(), url, models.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Migrate(context.Background())
	})
}

// newServer serves the surface over the database at an address. more may change what it is made of, and add groups.
func newServer(t testing.TB, address string, more ...func(*server, *surface.Options) []api.Group) *server {
	ctx := t.Context()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := models.Open(ctx, address, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(newSealer(t))
	files, err := blob.Open(ctx, "file://"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	s := &server{t: t, store: store, blob: files}
	s.service = &packages.Service{Store: store, Blob: files, Logger: quiet, Limits: composer.ArchiveLimits{Bytes: 1 << 20, Entries: 100}, TempDir: t.TempDir()}
	s.repository = packages.NewRepository(s.service, nil)

	policy, err := policies.New(policies.Options{Log: quiet})
	require.NoError(t, err)
	people, err := api.NewAuthenticator(store, api.AuthenticatorOptions{Log: quiet})
	require.NoError(t, err)
	o := surface.Options{Store: store, Service: s.service, Repository: s.repository, Policy: policy, Scopes: api.NewScopes(store, api.ScopesOptions{})}
	var groups []api.Group
	for _, f := range more {
		groups = append(groups, f(s, &o)...)
	}
	groups = append(groups, surface.New(o))
	handler, err := api.New(api.Options{
		Groups:        groups,
		Authenticator: surface.NewAuthenticator(surface.AuthenticatorOptions{Next: people, Repository: s.repository, Log: quiet}),
		Policy:        policy, Logger: quiet,
	})
	require.NoError(t, err)
	web := httptest.NewServer(s.recorded(handler))
	t.Cleanup(web.Close)
	s.url = web.URL

	root, err := store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	s.admin = s.person("admin", "", "", "")
	s.owner = s.person("owner", root.ID, policies.RoleOwner, "")
	s.writer = s.person("writer", root.ID, policies.RoleWrite, "")
	s.reader = s.person("reader", root.ID, policies.RoleRead, "")
	s.stranger = s.person("stranger", "", "", "")
	return s
}

// exchange is a request and the status of its answer.
type exchange struct {
	method, path, since string
	authorized          bool
	status              int
}

// recorded remembers what was asked for.
func (s *server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &statusWriter{ResponseWriter: w, status: 200}
		next.ServeHTTP(rec, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _, authorized := r.BasicAuth()
		s.exchanges = append(s.exchanges, exchange{r.Method, r.URL.Path, r.Header.Get("If-Modified-Since"), authorized, rec.status})
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// take gives what was asked for since the last call.
func (s *server) take() []exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.exchanges
	s.exchanges = nil
	return list
}

// person makes a user, named admin for an administrator, with a role on an organization and a token that is limited to scope.
func (s *server) person(name, organization, role, scope string) string {
	ctx := s.t.Context()
	u := &models.User{Name: name, Admin: name == "admin"}
	require.NoError(s.t, s.store.CreateUser(ctx, u))
	if role != "" {
		require.NoError(s.t, s.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID,
			ScopeKind: models.ScopeOrganization, ScopeID: organization, Role: role}))
	}
	token := &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: name}
	if scope != "" {
		token.Scopes = []string{scope}
	}
	secret, err := s.store.CreateToken(ctx, token)
	require.NoError(s.t, err)
	return secret
}

// organization adds an organization with an owner whose token is limited to it.
func (s *server) organization(name string) (id, token string) {
	o := &models.Organization{Canonical: name, Kind: models.OrganizationTenant}
	require.NoError(s.t, s.store.CreateOrganization(s.t.Context(), o))
	return o.ID, s.person("owner-of-"+name, o.ID, policies.RoleOwner, o.ID)
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(a.body, &m), string(a.body))
	return m
}

func (a answer) list(t testing.TB) []map[string]any {
	t.Helper()
	var l []map[string]any
	require.NoError(t, json.Unmarshal(a.body, &l), string(a.body))
	require.NotNil(t, l, "a list is never null")
	return l
}

// request sends a request. body is nil, bytes, or something to be sent as JSON.
func (s *server) request(method, path string, body any, prepare func(*http.Request)) answer {
	s.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	case string:
		r = strings.NewReader(b)
	case io.Reader:
		r = b
	default:
		j, err := json.Marshal(b)
		require.NoError(s.t, err)
		r = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, r)
	require.NoError(s.t, err)
	if prepare != nil {
		prepare(req)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return answer{res.StatusCode, res.Header, b}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// as sends a request with a token.
func (s *server) as(token, method, path string, body any) answer {
	s.t.Helper()
	return s.request(method, path, body, bearer(token))
}

// must sends a request as the owner and expects a status.
func (s *server) must(status int, method, path string, body any) answer {
	s.t.Helper()
	a := s.as(s.owner, method, path, body)
	require.Equal(s.t, status, a.status, "%s %s: %s", method, path, a.body)
	return a
}

type object = map[string]any

// id is the number of what was made.
func (s *server) id(a answer) int64 {
	s.t.Helper()
	n, ok := a.object(s.t)["id"].(float64)
	require.True(s.t, ok, string(a.body))
	return int64(n)
}

func (s *server) newPackage(name string) int64 {
	s.t.Helper()
	return s.id(s.must(201, "POST", "/packages", object{"name": name, "description": "About " + name, "status": 1}))
}

// newVersion adds a version, with an archive.
func (s *server) newVersion(packageID int64, packageName, version string) int64 {
	s.t.Helper()
	id := s.id(s.must(201, "POST", fmt.Sprintf("/versions/package/%d", packageID), object{"name": version, "status": 1}))
	s.must(200, "PUT", fmt.Sprintf("/versions/%d/archive", id), archiveOf(s.t, packageName, version))
	return id
}

// consumer has the keys of a consumer.
type consumer struct {
	s               *server
	id              int64
	public, private string
}

func (s *server) newConsumer(email string) consumer {
	s.t.Helper()
	a := s.must(201, "POST", "/consumers", object{"email": email})
	o := a.object(s.t)
	return consumer{s, s.id(a), o["public_key"].(string), o["private_key"].(string)}
}

func (s *server) permit(c consumer, packageID int64, constraint string) int64 {
	s.t.Helper()
	return s.id(s.must(201, "POST", "/permissions", object{"consumer_id": c.id, "package_id": packageID, "version": constraint}))
}

// get sends a request with the consumer's keys. since is the Last-Modified that is known, "" for none.
func (c consumer) get(path, since string) answer {
	c.s.t.Helper()
	return c.s.request("GET", path, nil, func(r *http.Request) {
		r.SetBasicAuth(c.public, c.private)
		if since != "" {
			r.Header.Set("If-Modified-Since", since)
		}
	})
}

// available lists the packages of packages.json.
func (c consumer) available() []string {
	c.s.t.Helper()
	a := c.get("/packages.json", "")
	require.Equal(c.s.t, 200, a.status, string(a.body))
	var root struct {
		Available []string `json:"available-packages"`
	}
	require.NoError(c.s.t, json.Unmarshal(a.body, &root))
	return root.Available
}

// versions lists the versions in a p2 file, newest first; nil for 404.
func (c consumer) versions(file string) []string {
	c.s.t.Helper()
	a := c.get("/p2/"+file+".json", "")
	if a.status == 404 {
		return nil
	}
	require.Equal(c.s.t, 200, a.status, string(a.body))
	files, err := composer.ReadPackageFile(a.body)
	require.NoError(c.s.t, err)
	var list []string
	for _, m := range files[strings.TrimSuffix(file, "~dev")] {
		list = append(list, m.Text("version"))
	}
	return list
}

// dist gives the address of a version's archive, without the host.
func (c consumer) dist(name, version string) string {
	c.s.t.Helper()
	a := c.get("/p2/"+name+".json", "")
	require.Equal(c.s.t, 200, a.status)
	files, err := composer.ReadPackageFile(a.body)
	require.NoError(c.s.t, err)
	for _, m := range files[name] {
		if m.Text("version") == version {
			b, err := json.Marshal(m)
			require.NoError(c.s.t, err)
			var d struct {
				Dist struct{ URL string }
			}
			require.NoError(c.s.t, json.Unmarshal(b, &d))
			require.True(c.s.t, strings.HasPrefix(d.Dist.URL, c.s.url+"/dist/"), d.Dist.URL)
			return strings.TrimPrefix(d.Dist.URL, c.s.url)
		}
	}
	c.s.t.Fatalf("no version %s of %s", version, name)
	return ""
}

// zipOf makes a zip archive; names that end in a slash are folders.
func zipOf(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.CreateHeader(&zip.FileHeader{Name: f[0], Method: zip.Deflate, Modified: time.Unix(1_700_000_000, 0)})
		require.NoError(t, err)
		_, err = e.Write([]byte(f[1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// archiveOf is the archive of a version of a package, as one gets it from a forge: everything in one folder.
func archiveOf(t testing.TB, name, version string) []byte {
	t.Helper()
	return zipOf(t, [2]string{"top/composer.json", fmt.Sprintf(`{"name":%q,"description":"Says hello","type":"library","autoload":{"psr-4":{"Acme\\":"src/"}}}`, name)},
		[2]string{"top/src/Hello.php", "<?php // " + version})
}
