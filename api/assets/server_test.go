package assets_test

import (
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

	"slipway/api"
	assetsapi "slipway/api/assets"
	"slipway/assets"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

const mediaType = "application/vnd.api+json"

// server is the surface over a real router, policy and database.
type server struct {
	*httptest.Server
	store   *models.Store
	service *assets.Service
	runs    *searchRuns
	groups  []api.Group // of ownServer
	// acme is a tenant with group shops and org web below it; other is a tenant of strangers.
	acme, shops, web, other *models.Organization
	// owner, reader and stranger are tokens: of the owner of acme, of a reader of web, and of the owner of other.
	owner, reader, stranger string
}

// searchRuns stands for the executions: a search runs when its test says so, at once unless it is held.
type searchRuns struct {
	mu      sync.Mutex
	store   *models.Store
	service *assets.Service
	hold    bool
	away    bool
	held    []executions.TriggerRequest
}

func (r *searchRuns) Trigger(ctx context.Context, q executions.TriggerRequest) (*models.Execution, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return nil, &problem.Error{Kind: problem.Unavailable, Message: "the workflow service is not available", RetryAfter: 5 * time.Second}
	}
	e, _, err := r.store.CreateExecution(ctx, models.NewExecution{Kind: q.Kind, OrganizationID: q.OrganizationID, Audit: q.Audit, SubjectID: q.SubjectID, SubjectName: q.SubjectName, Trigger: q.Trigger,
		IdempotencyKey: q.IdempotencyKey, Definition: q.Definition, Within: q.Within})
	if err != nil {
		return nil, err
	}
	if r.hold {
		r.held = append(r.held, q)
		return e, nil
	}
	return e, r.run(ctx, q)
}

func (r *searchRuns) run(ctx context.Context, q executions.TriggerRequest) error {
	_, err := r.service.RunSearch(ctx, q.Definition.(models.AssetSearchDefinition))
	return err
}

func onBothDatabases(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, newServer(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), assets.Config{}))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, newServer(t, testenv.PostgresTemplate(t, "assets", func(url string) error {
			s, err := models.Open(context.Background(), url, models.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			return s.Migrate(context.Background())
		}), assets.Config{}))
	})
}

func newServer(t testing.TB, address string, cfg assets.Config) *server {
	ctx := t.Context()
	s := &server{}
	var err error
	s.store, err = models.Open(ctx, address, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	require.NoError(t, s.store.Migrate(ctx))
	s.runs = &searchRuns{store: s.store}
	s.service, err = assets.New(s.store, s.runs, bytes.Repeat([]byte("k"), 32), nil, cfg)
	require.NoError(t, err)
	s.runs.service = s.service
	policy, err := policies.New(policies.Options{})
	require.NoError(t, err)
	auth, err := api.NewAuthenticator(s.store, api.AuthenticatorOptions{})
	require.NoError(t, err)
	group := assetsapi.New(assetsapi.Options{Service: s.service, Scopes: api.NewScopes(s.store, api.ScopesOptions{})})
	handler, err := api.New(api.Options{Groups: []api.Group{group}, Authenticator: auth, Policy: policy, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	s.Server = httptest.NewServer(handler)
	t.Cleanup(s.Server.Close)

	s.acme = s.organization(t, "acme", models.OrganizationTenant, nil)
	s.shops = s.organization(t, "acme-shops", models.OrganizationGroup, s.acme)
	s.web = s.organization(t, "acme-web", models.OrganizationOrg, s.shops)
	s.other = s.organization(t, "other", models.OrganizationTenant, nil)
	s.owner = s.token(t, "olga", s.acme, "owner")
	s.reader = s.token(t, "rita", s.web, "read")
	s.stranger = s.token(t, "stan", s.other, "owner")
	return s
}

func (s *server) organization(t testing.TB, canonical, kind string, parent *models.Organization) *models.Organization {
	o := &models.Organization{Canonical: canonical, Kind: kind}
	if parent != nil {
		o.ParentID = &parent.ID
	}
	require.NoError(t, s.store.CreateOrganization(t.Context(), o))
	return o
}

func (s *server) token(t testing.TB, name string, on *models.Organization, role string) string {
	u := &models.User{Name: name}
	require.NoError(t, s.store.CreateUser(t.Context(), u))
	require.NoError(t, s.store.AddGrant(t.Context(), &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeOrganization, ScopeID: on.ID, Role: role}))
	secret, err := s.store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: u.ID, Name: "test"})
	require.NoError(t, err)
	return secret
}

// images are what tests look at: n images of org web, with the names img-0 ... in this order of creation.
func (s *server) images(t testing.TB, org *models.Organization, n int) []string {
	t.Helper()
	var list []models.Image
	ids := make([]string, n)
	for i := range n {
		created := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
		img := models.Image{Registry: "docker.io", Repository: fmt.Sprintf("library/img-%d", i), ConfigDigest: fmt.Sprintf("sha256:%064x", i+1),
			Architecture: "amd64", OS: "linux", CreatedAt: &created, BuiltAt: &created, SizeBytes: int64(i), ImageTags: []string{"latest"},
			Digests: []models.AssetDigests{{Manifest: fmt.Sprintf("sha256:%064x", 1000+i)}}, Document: json.RawMessage(`{"author":"me","config":{"user":"root"}}`)}
		if i%2 == 0 {
			img.Labels = []string{"even"}
		}
		require.NoError(t, img.Check())
		list = append(list, img)
		ids[i] = models.NewAssetID(org.ID, img.Registry, img.Repository, img.ConfigDigest)
	}
	_, err := s.store.PutImages(t.Context(), org.ID, list, false)
	require.NoError(t, err)
	return ids
}

type answer struct {
	status int
	header http.Header
	body   []byte
	JSON   map[string]any
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call makes a request. The body, where there is one, is sent as JSON:API.
func (s *server) call(t testing.TB, token, method, path string, body any, headers ...string) answer {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		require.NoError(t, err)
		r = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, r)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	if len(a.body) > 0 && a.body[0] == '{' {
		require.NoError(t, json.Unmarshal(a.body, &a.JSON), "%s", a.body)
	}
	return a
}

func (s *server) get(t testing.TB, path string) answer {
	t.Helper()
	return s.call(t, s.owner, "GET", path, nil)
}

func (a answer) ids() []string {
	ids := []string{}
	for _, d := range a.JSON["data"].([]any) {
		ids = append(ids, d.(map[string]any)["id"].(string))
	}
	return ids
}

func (a answer) link(name string) string {
	l, _ := a.JSON["links"].(map[string]any)[name].(string)
	return l
}

// fault is the first error of an answer.
func (a answer) fault(t testing.TB) (code string, source, meta map[string]any, detail string) {
	t.Helper()
	require.Equal(t, "1.0", a.JSON["jsonapi"].(map[string]any)["version"])
	e := a.JSON["errors"].([]any)[0].(map[string]any)
	require.Equal(t, fmt.Sprint(a.status), e["status"])
	require.NotEmpty(t, e["detail"])
	require.NotEmpty(t, e["id"])
	code, _ = e["code"].(string)
	source, _ = e["source"].(map[string]any)
	meta, _ = e["meta"].(map[string]any)
	return code, source, meta, e["detail"].(string)
}

func (s *server) base() string { return "/tenants/" + s.acme.ID + "/inventory/assets" }
